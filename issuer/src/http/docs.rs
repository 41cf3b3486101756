use bytes::Bytes;
use poem::endpoint::make_sync;
use poem::http::header;
use poem::{Endpoint, Response};

use super::documented::with_problems;

/// The page only talks to this origin, whatever its scripts might like: everything it needs is in it.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `/openapi.json`: the API, for machines.
pub(super) fn specification(json: &str) -> impl Endpoint + use<> {
    let json = Bytes::from(with_problems(json));
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
