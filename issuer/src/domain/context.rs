use std::net::IpAddr;

/// Who asks, from where. Made at the edge, once per request.
#[derive(Clone, Debug, Default)]
pub struct RequestContext {
    /// Ties log lines, answers and events of one request together.
    pub request_id: String,
    /// The client's address, as far as trusted proxies vouch for it.
    pub address: Option<IpAddr>,
    /// The client's own description of itself; untrusted text.
    pub user_agent: Option<String>,
}
