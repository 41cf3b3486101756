//! The head of a request, borrowed from the one buffer the host handed over.

/// Method, path and headers of one request, as raw bytes.
///
/// Repeated headers stay repeated and nothing is assumed to be UTF-8: what the client really sent decides.
#[derive(Debug)]
pub struct RequestHead<'a> {
    method: &'a [u8],
    path: &'a [u8],
    headers: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> RequestHead<'a> {
    /// Reads the host's serialized header map: a count, the sizes of each name and value, then the bytes, each
    /// ended by a NUL (proxy-wasm ABI 0.2.1, little endian).
    ///
    /// `None` where the buffer does not hold what its sizes promise.
    pub fn parse(buffer: &'a [u8]) -> Option<Self> {
        let (count, rest) = read_u32(buffer)?;
        let (sizes, mut data) = rest.split_at_checked(count.checked_mul(8)?)?;
        let mut head = Self::with_room_for(count);
        for size in sizes.chunks_exact(8) {
            let (name_size, rest) = read_u32(size)?;
            let (value_size, _) = read_u32(rest)?;
            let (name, after_name) = read_entry(data, name_size)?;
            let (value, after_value) = read_entry(after_name, value_size)?;
            head.push(name, value);
            data = after_value;
        }
        Some(head)
    }

    /// A head from its header pairs, pseudo-headers included.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut head = Self::with_room_for(0);
        pairs.into_iter().for_each(|(name, value)| head.push(name, value));
        head
    }

    fn with_room_for(headers: usize) -> Self {
        Self { method: b"", path: b"", headers: Vec::with_capacity(headers) }
    }

    fn push(&mut self, name: &'a [u8], value: &'a [u8]) {
        match name {
            b":method" => self.method = value,
            b":path" => self.path = value,
            _ => self.headers.push((name, value)),
        }
    }

    /// The `:method`; empty when there is none.
    pub fn method(&self) -> &'a [u8] {
        self.method
    }

    /// The `:path` with its query; empty when there is none. No other header is ever asked for the path.
    pub fn path(&self) -> &'a [u8] {
        self.path
    }

    /// Every header but method and path, in the order of arrival.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + '_ {
        self.headers.iter().copied()
    }

    /// All values of the header `name`, which is given in lower case.
    pub fn values<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'a [u8]> + 's {
        self.headers().filter(move |(n, _)| is_same_name(n, name.as_bytes())).map(|(_, v)| v)
    }

    /// The value of a header that occurs exactly once.
    pub fn single(&self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether this asks to leave HTTP: an `Upgrade` in HTTP/1, or an extended CONNECT in HTTP/2.
    pub fn is_upgrade(&self) -> bool {
        self.values("upgrade").next().is_some() || self.method == b"CONNECT"
    }

    /// Whether a browser asks before a cross-origin request (Fetch standard, CORS preflight).
    pub fn is_cors_preflight(&self) -> bool {
        self.method == b"OPTIONS"
            && self.single("origin").is_some()
            && self.single("access-control-request-method").is_some()
    }
}

/// Names are short, and mostly of another length: less code is worth more here than a fast comparison.
fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

fn read_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*number)).ok()?, rest))
}

fn read_entry(data: &[u8], size: usize) -> Option<(&[u8], &[u8])> {
    let (entry, rest) = data.split_at_checked(size)?;
    match rest.split_first() {
        Some((0, rest)) => Some((entry, rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn serialize(pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
        let mut buffer = u32::try_from(pairs.len()).unwrap().to_le_bytes().to_vec();
        for part in pairs.iter().flat_map(|(n, v)| [n, v]) {
            buffer.extend(u32::try_from(part.len()).unwrap().to_le_bytes());
        }
        for part in pairs.iter().flat_map(|(n, v)| [n, v]) {
            buffer.extend(part);
            buffer.push(0);
        }
        buffer
    }

    proptest! {
        #[test]
        fn reads_what_the_host_wrote(pairs: Vec<(Vec<u8>, Vec<u8>)>) {
            let buffer = serialize(&pairs);
            let head = RequestHead::parse(&buffer).unwrap();
            let want: Vec<_> = pairs.iter().map(|(n, v)| (n.as_slice(), v.as_slice()))
                .filter(|(n, _)| *n != b":path" && *n != b":method").collect();
            prop_assert_eq!(head.headers().collect::<Vec<_>>(), want);
        }

        #[test]
        fn never_panics_on_a_torn_buffer(buffer: Vec<u8>) {
            let _ = RequestHead::parse(&buffer);
        }

        #[test]
        fn refuses_a_buffer_cut_short(pairs in prop::collection::vec(any::<(Vec<u8>, Vec<u8>)>(), 1..5), cut in 1usize..8) {
            let buffer = serialize(&pairs);
            prop_assert!(RequestHead::parse(&buffer[..buffer.len() - cut.min(buffer.len())]).is_none());
        }
    }

    #[test]
    fn a_repeated_header_is_not_single() {
        let head = RequestHead::from_pairs([(&b"origin"[..], &b"a"[..]), (b"Origin", b"b")]);
        assert_eq!(head.single("origin"), None);
        assert_eq!(head.values("origin").count(), 2);
    }
}
