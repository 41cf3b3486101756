//! Who is calling, as the gateway says.

use percent_encoding::percent_decode_str;
use poem::{FromRequest, Request, RequestBody};

use crate::problem::Problem;

/// The user whose token the gateway has checked.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) id: String,
    pub(crate) email: Option<String>,
}

impl<'a> FromRequest<'a> for Caller {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        // The gateway never lets a request through to here without a user: its absence is a mistake in the set-up.
        let id = injected(request, "x-user-id").ok_or(Problem::NotBehindGateway)?;
        Ok(Self { id, email: injected(request, "x-user-email") })
    }
}

/// The gateway percent-encodes what does not fit into a header.
fn injected(request: &Request, name: &str) -> Option<String> {
    let value = request.header(name)?;
    percent_decode_str(value).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
