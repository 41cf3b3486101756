use std::collections::HashMap;
use std::sync::Arc;

use poem::http::{HeaderValue, StatusCode, header};
use poem::{Endpoint, IntoResponse, Middleware, PathPattern, Request, Response, Result};
use poem_openapi::OpenApi;

/// Says which methods a path takes, where it refused another one (RFC 9110, 15.5.6).
#[derive(Clone, Default)]
pub(super) struct Allow(Arc<HashMap<String, HeaderValue>>);

impl Allow {
    /// The operations of `T`, and further paths that can be read alone.
    pub(super) fn of<T: OpenApi>(read_only: &[&str]) -> Self {
        let operations = T::meta().into_iter().flat_map(|api| api.paths).filter_map(|path| {
            let methods: Vec<&str> =
                path.operations.iter().map(|operation| operation.method.as_str()).collect();
            let methods = HeaderValue::from_str(&methods.join(", ").replace("GET", "GET, HEAD")).ok()?;
            Some((shape(&path.path), methods))
        });
        let read_only =
            read_only.iter().map(|path| ((*path).to_owned(), HeaderValue::from_static("GET, HEAD")));
        Self(Arc::new(operations.chain(read_only).collect()))
    }
}

/// A path's pattern without the names in it: OpenAPI writes `/users/{id}`, and the router's own name for it is
/// `/users/:param0`.
fn shape(pattern: &str) -> String {
    let segments =
        pattern.split('/').map(|segment| if segment.starts_with([':', '{']) { ":" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

impl<E: Endpoint> Middleware<E> for Allow {
    type Output = AllowEndpoint<E>;

    fn transform(&self, inner: E) -> AllowEndpoint<E> {
        AllowEndpoint { allow: self.clone(), inner }
    }
}

/// An endpoint whose refusals of a method name the others.
pub(super) struct AllowEndpoint<E> {
    allow: Allow,
    inner: E,
}

impl<E: Endpoint> Endpoint for AllowEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let mut response = match self.inner.call(request).await {
            Ok(response) => response.into_response(),
            Err(error) => error.into_response(),
        };
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            let methods = response
                .data::<PathPattern>()
                .and_then(|pattern| self.allow.0.get(&shape(&pattern.0)))
                .cloned();
            response.headers_mut().extend(methods.map(|methods| (header::ALLOW, methods)));
        }
        Ok(response)
    }
}
