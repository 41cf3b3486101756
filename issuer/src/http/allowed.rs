use poem::{Request, RequestBody, Result};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::bearer::Bearer;
use super::problem::Problem;
use super::reason::Reason;
use crate::domain::permit::{Permit, Right};

/// The caller behind the access token, who has the permission that `R` stands for. An operation that asks for one cannot be
/// reached without, and its body is not looked at before.
pub(super) struct Allowed<R>(pub(super) Permit<R>);

impl<'a, R: Right> ApiExtractor<'a> for Allowed<R> {
    const TYPES: &'static [ApiExtractorType] = Bearer::TYPES;

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        Bearer::register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        Bearer::security_schemes()
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<Self::ParamType>,
    ) -> Result<Self> {
        let Bearer(caller) = Bearer::from_request(request, body, options).await?;
        Ok(Self(Permit::of(caller).ok_or_else(|| Problem::from(Reason::Forbidden))?))
    }
}
