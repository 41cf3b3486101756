use std::collections::HashMap;
use std::sync::Arc;

use poem::http::{HeaderValue, StatusCode, header};
use poem::{Endpoint, IntoResponse, Middleware, PathPattern, Request, Response, Result};
use poem_openapi::OpenApi;

/// What is known of every path: tells the log and the metrics its name, and the client which methods it takes, where it
/// refused another one (RFC 9110, 15.5.6).
#[derive(Clone, Default)]
pub(super) struct Known(Arc<HashMap<String, KnownPath>>);

#[derive(Clone)]
struct KnownPath {
    name: RouteName,
    methods: HeaderValue,
}

/// How the API's documentation writes the path that a request matched, such as `/users/{id}`. Goes with the answer.
#[derive(Clone)]
pub(super) struct RouteName(pub(super) Arc<str>);

impl Known {
    /// The operations of `T`, and further paths that can be read alone.
    pub(super) fn of<T: OpenApi>(read_only: &[&str]) -> Self {
        let operations = T::meta().into_iter().flat_map(|api| api.paths).filter_map(|path| {
            let methods: Vec<&str> =
                path.operations.iter().map(|operation| operation.method.as_str()).collect();
            let methods = HeaderValue::from_str(&methods.join(", ").replace("GET", "GET, HEAD")).ok()?;
            Some((path.path, methods))
        });
        let read_only =
            read_only.iter().map(|path| ((*path).to_owned(), HeaderValue::from_static("GET, HEAD")));
        let known = operations.chain(read_only).map(|(path, methods)| {
            (shape(&path), KnownPath { name: RouteName(path.as_str().into()), methods })
        });
        Self(Arc::new(known.collect()))
    }
}

/// A path's pattern without the names in it: OpenAPI writes `/users/{id}`, and the router's own name for it is
/// `/users/:param0`.
fn shape(pattern: &str) -> String {
    let segments =
        pattern.split('/').map(|segment| if segment.starts_with([':', '{']) { ":" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

impl<E: Endpoint> Middleware<E> for Known {
    type Output = KnownEndpoint<E>;

    fn transform(&self, inner: E) -> KnownEndpoint<E> {
        KnownEndpoint { known: self.clone(), inner }
    }
}

/// An endpoint whose paths are known.
pub(super) struct KnownEndpoint<E> {
    known: Known,
    inner: E,
}

impl<E: Endpoint> Endpoint for KnownEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let mut response = match self.inner.call(request).await {
            Ok(response) => response.into_response(),
            Err(error) => error.into_response(),
        };
        let path = response.data::<PathPattern>().and_then(|pattern| self.known.0.get(&shape(&pattern.0)));
        if let Some(KnownPath { name, methods }) = path {
            if response.status() == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(header::ALLOW, methods.clone());
            }
            response.set_data(name.clone());
        }
        Ok(response)
    }
}
