//! Finds the one credential of a request.

use percent_encoding::percent_decode;
use std::rc::Rc;

use crate::policy::path::Path;
use crate::{Reason, RequestHead};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 * 1024;

/// A place where a token may stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// A header: `Bearer TOKEN` in `authorization`; in any other header the scheme may be left out.
    Header(Rc<str>),
    /// A cookie of this name.
    Cookie(Box<str>),
    /// A query parameter of this name (RFC 6750 section 2.3).
    Query(Box<str>),
}

/// The one credential of a request, and nothing more is known of it: whether it has the form of a token is asked
/// only when the same bytes are not in the cache.
#[derive(Clone, Copy)]
pub struct Credential<'a> {
    bytes: &'a [u8],
    source: &'a TokenSource,
}

/// What takes a credential out of its request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// This header goes.
    Header(Rc<str>),
    /// This header keeps the rest of its value.
    Rewrite(&'static str, Vec<u8>),
}

impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("source", self.source).finish_non_exhaustive()
    }
}

impl<'a> Credential<'a> {
    /// Looks into every source.
    ///
    /// # Errors
    /// `several_credentials` for more than one, wherever they stand; within one header that is for [`Self::token`] to see.
    pub fn extract(
        sources: &'a [TokenSource],
        head: &RequestHead<'a>,
        path: &Path<'a>,
    ) -> Result<Option<Self>, Reason> {
        let mut found = None;
        for source in sources {
            source.each(head, path, |bytes| match found.replace(Self { bytes, source }) {
                Some(_) => Err(Reason::SeveralCredentials),
                None => Ok(()),
            })?;
        }
        Ok(found)
    }

    /// The credential as it was sent.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The credential as a bearer token: `token68` of RFC 9110 section 11.2, which every JWT is.
    ///
    /// # Errors
    /// `several_credentials` for a header of more than one, `malformed_credential` for what cannot be a bearer token.
    pub fn token(&self) -> Result<&'a str, Reason> {
        if matches!(self.source, TokenSource::Header(_)) && self.bytes.contains(&b',') {
            return Err(Reason::SeveralCredentials);
        }
        let body = self.bytes.iter().rposition(|b| *b != b'=').and_then(|last| self.bytes.get(..=last));
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"-._~+/".contains(b);
        match (body, str::from_utf8(self.bytes)) {
            (Some(body), Ok(token)) if token.len() <= MAX_TOKEN && body.iter().all(allowed) => Ok(token),
            _ => Err(Reason::MalformedCredential),
        }
    }

    /// A cookie is sent by the browser, whoever made the request: on requests that change something, and on those
    /// that leave HTTP, it counts only if the browser vouches for where they come from.
    pub(crate) fn check_site(
        &self,
        head: &RequestHead<'_>,
        allowed_origins: &[Box<str>],
    ) -> Result<(), Reason> {
        let reads = matches!(head.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE");
        if !matches!(self.source, TokenSource::Cookie(_)) || (reads && !head.is_upgrade()) {
            return Ok(());
        }
        let same_origin = head.single("sec-fetch-site") == Some(b"same-origin");
        let origin = head.single("origin");
        if same_origin || origin.is_some_and(|o| allowed_origins.iter().any(|a| a.as_bytes() == o)) {
            Ok(())
        } else {
            Err(Reason::CrossSite)
        }
    }

    /// How to take the credential out of the request: its header, its cookie crumb or its query parameter.
    pub(crate) fn removal(&self, head: &RequestHead<'_>) -> Removal {
        match self.source {
            TokenSource::Header(name) => Removal::Header(Rc::clone(name)),
            TokenSource::Cookie(name) => without_cookie(head, name),
            TokenSource::Query(name) => Removal::Rewrite(":path", without_parameter(head.path(), name)),
        }
    }
}

impl TokenSource {
    /// Hands over the raw credentials that stand here, until one is not wanted.
    fn each<'a>(
        &self,
        head: &RequestHead<'a>,
        path: &Path<'a>,
        take: impl FnMut(&'a [u8]) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        match self {
            Self::Header(name) => header_credential(head, name)?.into_iter().try_for_each(take),
            Self::Cookie(name) => each_cookie(head, name, take),
            Self::Query(name) => each_parameter(path, name, take),
        }
    }
}

// Few gateways look into cookies and queries: that is kept out of the way of those that do not.

#[cold]
fn each_cookie<'a>(
    head: &RequestHead<'a>,
    name: &str,
    take: impl FnMut(&'a [u8]) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let values = crumbs(head).filter_map(|crumb| crumb_value(crumb, name));
    // A browser keeps sending a cookie that was cleared.
    values.filter(|value| !value.is_empty()).try_for_each(take)
}

#[cold]
fn each_parameter<'a>(
    path: &Path<'a>,
    name: &str,
    take: impl FnMut(&'a [u8]) -> Result<(), Reason>,
) -> Result<(), Reason> {
    let parameters = path.query().into_iter().flat_map(|query| query.split(|b| *b == b'&'));
    let values = parameters.filter_map(|parameter| parameter_value(parameter, name));
    values.filter(|value| !value.is_empty()).try_for_each(take)
}

#[cold]
fn without_cookie(head: &RequestHead<'_>, name: &str) -> Removal {
    let rest = crumbs(head).filter(|crumb| crumb_value(crumb, name).is_none());
    let rest = rest.collect::<Vec<_>>().join(&b"; "[..]);
    if rest.is_empty() { Removal::Header("cookie".into()) } else { Removal::Rewrite("cookie", rest) }
}

/// Envoy joins repeated headers with commas, so a comma is a second credential too. In what may be a token
/// [`Credential::token`] looks for it, which nobody asks for a token that is known already.
fn header_credential<'a>(head: &RequestHead<'a>, name: &str) -> Result<Option<&'a [u8]>, Reason> {
    let mut values = head.values(name);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Reason::SeveralCredentials);
    }
    let value = value.trim_ascii();
    let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
    let (scheme, rest) = value.split_at_checked(end).unwrap_or((value, b""));
    if scheme.eq_ignore_ascii_case(b"bearer") {
        // Only spaces may stand between (RFC 9110 section 11.4); others stay, and spoil the token.
        let spaces = rest.iter().take_while(|b| **b == b' ').count();
        return Ok(Some(rest.get(spaces..).unwrap_or_default()));
    }
    if name != "authorization" {
        return Ok(Some(value));
    }
    // Another scheme is somebody else's business, not a bearer token that went wrong.
    if value.contains(&b',') { Err(Reason::SeveralCredentials) } else { Ok(None) }
}

fn crumbs<'a>(head: &RequestHead<'a>) -> impl Iterator<Item = &'a [u8]> {
    head.values("cookie")
        .flat_map(|v| v.split(|b| *b == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|c| !c.is_empty())
}

fn crumb_value<'a>(crumb: &'a [u8], name: &str) -> Option<&'a [u8]> {
    crumb.strip_prefix(name.as_bytes())?.strip_prefix(b"=")
}

/// The service behind may decode the name, so it is compared decoded.
fn parameter_value<'a>(parameter: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut halves = parameter.splitn(2, |b| *b == b'=');
    let decoded: Vec<u8> = percent_decode(halves.next()?).collect();
    (decoded == name.as_bytes()).then(|| halves.next().unwrap_or_default())
}

#[cold]
fn without_parameter(path: &[u8], name: &str) -> Vec<u8> {
    let mut halves = path.splitn(2, |b| *b == b'?');
    let (path, query) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let rest: Vec<_> = query.split(|b| *b == b'&').filter(|p| parameter_value(p, name).is_none()).collect();
    let rest = rest.join(&b'&');
    if rest.is_empty() { path.to_vec() } else { [path, &rest].join(&b'?') }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_sources() -> Vec<TokenSource> {
        vec![
            TokenSource::Header("authorization".into()),
            TokenSource::Header("x-api-token".into()),
            TokenSource::Cookie("at".into()),
            TokenSource::Query("at".into()),
        ]
    }

    fn extract(path: &str, headers: &[(&str, &str)]) -> Result<Option<String>, Reason> {
        let sources = all_sources();
        let head = head(path, headers);
        let path = Path::parse(path.as_bytes()).unwrap();
        let found = Credential::extract(&sources, &head, &path)?;
        found.map(|c| c.token().map(str::to_owned)).transpose()
    }

    fn head<'a>(path: &'a str, headers: &[(&'a str, &'a str)]) -> RequestHead<'a> {
        let pseudo = [(":method", "GET"), (":path", path)];
        RequestHead::from_pairs(pseudo.iter().chain(headers).map(|(n, v)| (n.as_bytes(), v.as_bytes())))
    }

    #[test]
    fn finds_the_one_credential_wherever_it_stands() {
        for (path, header) in [
            ("/", Some(("authorization", "Bearer a.b-c_~+/=="))),
            ("/", Some(("authorization", "bEARER   a.b-c_~+/=="))),
            ("/", Some(("x-api-token", "a.b-c_~+/=="))),
            ("/", Some(("cookie", "x=1; at=a.b-c_~+/==;y=2"))),
            ("/?x=1&at=a.b-c_~+/==", None),
            ("/?%61t=a.b-c_~+/==", None),
        ] {
            assert_eq!(
                extract(path, &Vec::from_iter(header)),
                Ok(Some("a.b-c_~+/==".to_owned())),
                "{path} {header:?}"
            );
        }
        for (path, header) in [
            ("/", None),
            ("/", Some(("authorization", "Basic dTpw"))),
            ("/?at=", Some(("cookie", "at=; atx=1; xat=2"))),
        ] {
            assert_eq!(extract(path, &Vec::from_iter(header)), Ok(None), "{path} {header:?}");
        }
    }

    #[test]
    fn two_credentials_are_refused_whatever_they_are() {
        for (path, headers) in [
            ("/", vec![("authorization", "Bearer a"), ("authorization", "Bearer a")]),
            ("/", vec![("authorization", "Basic a"), ("authorization", "Bearer a")]),
            ("/", vec![("authorization", "Bearer a, Bearer b")]),
            ("/", vec![("authorization", "Basic a, Bearer b")]),
            ("/", vec![("authorization", "Bearer a,b")]),
            ("/", vec![("x-api-token", "a,b")]),
            ("/", vec![("x-api-token", "Bearer a,b")]),
            ("/", vec![("authorization", "Bearer a"), ("x-api-token", "b")]),
            ("/?at=b", vec![("authorization", "Bearer a")]),
            ("/?at=b&at=c", vec![]),
            ("/?at=b&a%74=c", vec![]),
            ("/", vec![("cookie", "at=a; at=b")]),
            ("/", vec![("cookie", "at=a"), ("cookie", "at=b")]),
        ] {
            assert_eq!(extract(path, &headers), Err(Reason::SeveralCredentials), "{path} {headers:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_token_is_malformed() {
        let long = format!("Bearer {}", "a".repeat(MAX_TOKEN + 1));
        for value in [
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Bearer =",
            "Bearer a=b",
            "Bearer \u{e9}",
            "Bearer a\tb",
            "Bearer\ta",
            "Bearer \ta",
            &long,
        ] {
            assert_eq!(
                extract("/", &[("authorization", value)]),
                Err(Reason::MalformedCredential),
                "{value}"
            );
        }
    }

    #[test]
    fn a_cookie_counts_only_from_our_own_pages_when_something_is_written() {
        let source = TokenSource::Cookie("at".into());
        let cookie = Credential { bytes: b"t", source: &source };
        let origins = ["https://app.example.test".into()];
        let check = |method: &str, headers: &[(&str, &str)]| {
            let pairs = [(":method", method)];
            let head = RequestHead::from_pairs(
                pairs.iter().chain(headers).map(|(n, v)| (n.as_bytes(), v.as_bytes())),
            );
            cookie.check_site(&head, &origins)
        };
        assert_eq!(check("GET", &[]), Ok(()));
        assert_eq!(check("POST", &[("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(check("POST", &[("origin", "https://app.example.test")]), Ok(()));
        for (method, headers) in [
            ("POST", vec![]),
            ("QUERY", vec![]),
            ("POST", vec![("sec-fetch-site", "same-site")]),
            ("POST", vec![("sec-fetch-site", "none")]),
            ("POST", vec![("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]),
            ("DELETE", vec![("origin", "https://app.example.test.evil.test")]),
            ("DELETE", vec![("origin", "null")]),
            ("GET", vec![("upgrade", "websocket"), ("origin", "https://evil.test")]),
        ] {
            assert_eq!(check(method, &headers), Err(Reason::CrossSite), "{method} {headers:?}");
        }
    }

    #[test]
    fn the_credential_is_taken_out_and_nothing_else() {
        let take = |path: &str, headers: &[(&str, &str)]| {
            let sources = all_sources();
            let head = head(path, headers);
            let parsed = Path::parse(path.as_bytes()).unwrap();
            Credential::extract(&sources, &head, &parsed).unwrap().unwrap().removal(&head)
        };
        let removed = |name: &str| Removal::Header(name.into());
        let rewritten = |name, value: &str| Removal::Rewrite(name, value.into());
        assert_eq!(take("/", &[("authorization", "Bearer a")]), removed("authorization"));
        assert_eq!(take("/", &[("cookie", "at=a")]), removed("cookie"));
        assert_eq!(take("/", &[("cookie", "x=1; at=a;y=2")]), rewritten("cookie", "x=1; y=2"));
        assert_eq!(take("/p?at=a", &[]), rewritten(":path", "/p"));
        assert_eq!(take("/p?x=%20&at=a&y", &[]), rewritten(":path", "/p?x=%20&y"));
    }
}
