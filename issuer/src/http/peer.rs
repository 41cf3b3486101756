use std::net::{IpAddr, SocketAddr};

use poem::Request;

/// The client's address, as far as the trusted proxies vouch for it.
///
/// Every proxy appends the address it was called from to `X-Forwarded-For`. With `trusted_hops` proxies of ours in front,
/// the entry that many from the right was written by the outermost of them; whatever stands further left came from the
/// client and may be invented. A client that could choose this address would escape every limit that counts by it.
pub(super) fn client_address(request: &Request, trusted_hops: usize) -> Option<IpAddr> {
    let peer = request.remote_addr().as_socket_addr().map(SocketAddr::ip);
    if trusted_hops == 0 {
        return peer.map(|address| address.to_canonical());
    }
    let lines = request.headers().get_all("x-forwarded-for");
    let entries: Vec<&str> =
        lines.iter().flat_map(|line| line.to_str().unwrap_or_default().split(',')).map(str::trim).collect();
    // Fewer entries than hops: the call came in behind the outermost proxy, and the first entry is one of ours all the same.
    let named = entries.get(entries.len().saturating_sub(trusted_hops)).and_then(|entry| parse(entry));
    named.or(peer).map(|address| address.to_canonical())
}

/// An address, with or without a port.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    bare.parse().or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(lines: &[&str], trusted_hops: usize) -> Option<String> {
        let request =
            lines.iter().fold(Request::builder(), |request, line| request.header("x-forwarded-for", *line));
        client_address(&request.finish(), trusted_hops).map(|address| address.to_string())
    }

    #[test]
    fn the_entry_is_counted_from_the_right() {
        assert_eq!(address(&["6.6.6.6, 1.1.1.1"], 1).as_deref(), Some("1.1.1.1"));
        assert_eq!(address(&["6.6.6.6, 1.1.1.1, 2.2.2.2"], 2).as_deref(), Some("1.1.1.1"));
        assert_eq!(address(&["6.6.6.6", "1.1.1.1"], 1).as_deref(), Some("1.1.1.1"));
        assert_eq!(address(&["1.1.1.1"], 2).as_deref(), Some("1.1.1.1"));
    }

    #[test]
    fn nobody_is_believed_without_trusted_hops() {
        assert_eq!(address(&["1.1.1.1"], 0), None);
    }

    #[test]
    fn every_spelling_of_an_address_is_one() {
        assert_eq!(address(&["::ffff:1.1.1.1"], 1).as_deref(), Some("1.1.1.1"));
        assert_eq!(address(&["1.1.1.1:80"], 1).as_deref(), Some("1.1.1.1"));
        assert_eq!(address(&["[2001:db8::1]:80"], 1).as_deref(), Some("2001:db8::1"));
        assert_eq!(address(&["[2001:db8::1]"], 1).as_deref(), Some("2001:db8::1"));
        assert_eq!(address(&["unknown"], 1), None);
        assert_eq!(address(&[], 1), None);
    }
}
