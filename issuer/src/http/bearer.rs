use std::sync::Arc;

use poem::http::{HeaderMap, header};
use poem::{Request, RequestBody, Result};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::edge::Seen;
use super::problem::Problem;
use super::reason::Reason;
use crate::domain::authenticate::{Authenticate, Caller};

/// The caller behind the access token. An operation that asks for one cannot be reached without.
pub(super) struct Bearer(pub(super) Caller);

impl Bearer {
    async fn of(request: &Request) -> Result<Self, Problem> {
        let token = credential(request.headers())?;
        // Put there by the routes; without it nobody gets in.
        let authenticate = request.data::<Arc<Authenticate>>().ok_or(Reason::Internal)?;
        let caller = authenticate.authenticate(token).await?;
        if let Some(seen) = request.data::<Seen>() {
            seen.note(caller.user().id);
        }
        Ok(Self(caller))
    }
}

/// The one credential of a request. Two are a riddle, not a choice: whoever guesses guesses differently from the gateway.
pub(super) fn credential(headers: &HeaderMap) -> Result<&str, Reason> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next().ok_or(Reason::MissingCredential)?;
    if lines.next().is_some() {
        return Err(Reason::SeveralCredentials);
    }
    let (scheme, token) =
        line.to_str().ok().and_then(|line| line.split_once(' ')).ok_or(Reason::MalformedCredential)?;
    let well_formed = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    (scheme.eq_ignore_ascii_case("bearer") && well_formed).then_some(token).ok_or(Reason::MalformedCredential)
}

impl<'a> ApiExtractor<'a> for Bearer {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = MetaSecurityScheme {
            ty: "http",
            description: Some("The access token that a login answered with."),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: Some("JWT"),
            flows: None,
            openid_connect_url: None,
        };
        registry.create_security_scheme(SCHEME, scheme);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<Self::ParamType>,
    ) -> Result<Self> {
        Ok(Self::of(request).await?)
    }
}

const SCHEME: &str = "access_token";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Result<String, Reason> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, line.parse().unwrap());
        }
        credential(&headers).map(str::to_owned)
    }

    #[test]
    fn exactly_one_bearer_is_a_credential() {
        assert_eq!(read(&["Bearer a.b.c"]).as_deref(), Ok("a.b.c"));
        assert_eq!(read(&["bEARER a.b.c"]).as_deref(), Ok("a.b.c"));
        assert_eq!(read(&[]), Err(Reason::MissingCredential));
        assert_eq!(read(&["Bearer a", "Bearer a"]), Err(Reason::SeveralCredentials));
        for line in
            ["Basic YTpi", "Bearer", "Bearer ", "Bearer a b", "Bearer  a", "Bearer a,Bearer b", "a.b.c"]
        {
            assert_eq!(read(&[line]), Err(Reason::MalformedCredential), "{line}");
        }
    }
}
