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

/// Characters that are kept of a client's description of itself.
pub const MAX_USER_AGENT: usize = 256;

impl RequestContext {
    /// As much of the client's description of itself as is kept.
    #[must_use]
    pub fn device(&self) -> Option<String> {
        self.user_agent.as_ref().map(|text| text.chars().take(MAX_USER_AGENT).collect())
    }
}
