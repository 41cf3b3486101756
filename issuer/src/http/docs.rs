use std::collections::HashMap;
use std::marker::PhantomData;

use bytes::Bytes;
use poem::endpoint::{BoxEndpoint, make_sync};
use poem::http::{Method, header};
use poem::{Endpoint, Response};
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{OpenApi, OpenApiService};

use super::documented::with_problems;

/// The page only talks to this origin, whatever its scripts might like: everything it needs is in it.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The document of these operations. It takes their types alone, and none of the parts behind them.
pub(super) fn document<T: OpenApi>() -> String {
    let described = OpenApiService::new(Described::<T>(PhantomData), TITLE, env!("CARGO_PKG_VERSION"));
    with_problems(&described.spec())
}

/// Operations that nobody can call.
struct Described<T>(PhantomData<T>);

impl<T: OpenApi> OpenApi for Described<T> {
    fn meta() -> Vec<MetaApi> {
        T::meta()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

/// What the API is called.
pub(super) const TITLE: &str = "Doorward";

/// `/openapi.json`: the API, for machines.
pub(super) fn specification(document: String) -> impl Endpoint {
    let json = Bytes::from(document);
    make_sync(move |_| Response::builder().content_type("application/json").body(json.clone()))
}

/// `/docs`: the API, for people, with a form to try each operation.
pub(super) fn page(html: String) -> impl Endpoint {
    // Shared, not copied: it has more than a megabyte.
    let html = Bytes::from(html);
    make_sync(move |_| {
        Response::builder()
            .content_type("text/html; charset=utf-8")
            .header(header::CONTENT_SECURITY_POLICY, POLICY)
            .body(html.clone())
    })
}
