use std::time::Duration;

use poem::error::ReadBodyError;
use poem::{Request, RequestBody, Result};
use poem_openapi::impl_apirequest_for_payload;
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::Type;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fields;
use super::problem::Problem;
use super::reason::Reason;

/// A JSON body. What is not JSON is a 400; JSON of the wrong shape is a 422 that names the field.
///
/// The framework's own `Json` repeats the offending value in its errors.
pub(super) struct Body<T>(pub(super) T);

const LIMIT: usize = 64 * 1024;
/// A client that sends slower than this holds a connection for nothing.
const PATIENCE: Duration = Duration::from_secs(10);

impl<T: Type> Payload for Body<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case(Self::CONTENT_TYPE)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: Type + DeserializeOwned> ParsePayload for Body<T> {
    const IS_REQUIRED: bool = true;

    async fn from_request(_: &Request, body: &mut RequestBody) -> Result<Self> {
        let reading = body.take()?.into_bytes_limit(LIMIT);
        let bytes = match tokio::time::timeout(PATIENCE, reading).await {
            Err(_) => return Err(Problem::from(Reason::RequestTimeout).into()),
            Ok(Err(ReadBodyError::PayloadTooLarge)) => {
                return Err(Problem::from(Reason::PayloadTooLarge).into());
            }
            Ok(read) => read.map_err(|_| Problem::from(Reason::MalformedBody))?,
        };
        Ok(Self(parse(&bytes)?))
    }
}

impl_apirequest_for_payload!(Body<T>, T: Type + DeserializeOwned);

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| Problem::from(Reason::MalformedBody))?;
    fields::read(&value).map_err(|wrong| Problem::invalid(vec![wrong]))
}

#[cfg(test)]
mod tests {
    use poem::Error;
    use poem_openapi::{ApiExtractor, ExtractParamOptions, Object};
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, Object)]
    struct Greeting {
        text: String,
    }

    async fn read(body: poem::Body, content_type: &str) -> Result<String, Error> {
        let request = Request::builder().content_type(content_type).body(body);
        let (request, mut body) = request.split();
        let options = ExtractParamOptions::default();
        <Body<Greeting> as ApiExtractor>::from_request(&request, &mut body, options)
            .await
            .map(|Body(greeting)| greeting.text)
    }

    fn reason(read: Result<String, Error>) -> &'static str {
        read.unwrap_err().data::<Problem>().unwrap().name()
    }

    #[tokio::test]
    async fn a_body_is_read_or_refused() {
        let json = "application/json";
        assert_eq!(
            read(r#"{"text": "hello"}"#.into(), "Application/JSON; charset=utf-8").await.unwrap(),
            "hello"
        );
        assert_eq!(reason(read("{".into(), json).await), "malformed_body");
        assert_eq!(reason(read("{}".into(), json).await), "validation_failed");
        assert_eq!(reason(read(" ".repeat(LIMIT + 1).into(), json).await), "payload_too_large");
        assert_eq!(read("{}".into(), "text/json").await.unwrap_err().status(), 415);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_comes_is_not_waited_for() {
        let silence = futures_util::stream::pending::<std::io::Result<Vec<u8>>>();
        let body = poem::Body::from_bytes_stream(silence);
        assert_eq!(reason(read(body, "application/json").await), "request_timeout");
    }
}
