/// Finds the end of a request's head in what a client sends, however it cuts it.
#[derive(Debug, Default)]
pub(super) struct HeadEnd {
    /// Something other than line breaks came: what comes before that is passed over by the server, too.
    begun: bool,
    /// Nothing came since the last line break.
    line_is_empty: bool,
    /// The first bytes of the first line.
    start: Vec<u8>,
}

/// How HTTP/2 begins (RFC 9113, 3.4); no method is called that.
const HTTP_2: &[u8] = b"PRI";

impl HeadEnd {
    /// Whether the head ends within `bytes`, which follow those before.
    pub(super) fn is_in(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().any(|byte| self.is_at(*byte))
    }

    /// Whether this is the beginning of HTTP/2, whose heads nobody could watch here.
    pub(super) fn is_of_http_2(&self) -> bool {
        self.start == HTTP_2
    }

    fn is_at(&mut self, byte: u8) -> bool {
        match byte {
            b'\n' if self.begun && self.line_is_empty => return true,
            b'\n' => self.line_is_empty = true,
            // Before a line feed it belongs to it; elsewhere the server refuses it.
            b'\r' => {}
            _ => {
                (self.begun, self.line_is_empty) = (true, false);
                if self.start.len() < HTTP_2.len() {
                    self.start.push(byte);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(pieces: &[&str]) -> bool {
        let mut head = HeadEnd::default();
        pieces.iter().any(|piece| head.is_in(piece.as_bytes()))
    }

    #[test]
    fn an_empty_line_ends_a_head() {
        assert!(ends(&["GET / HTTP/1.1\r\nhost: a\r\n\r\n"]));
        assert!(ends(&["GET / HTTP/1.1\nhost: a\n\n"]));
        assert!(ends(&["\r\n\r\nGET / HTTP/1.1\r\n\r\nbody"]));
        assert!(!ends(&["GET / HTTP/1.1\r\nhost: a\r\n"]));
    }

    #[test]
    fn nothing_but_empty_lines_is_no_head() {
        assert!(!ends(&["\r\n\r\n", "\n\n\n", "\r\n"]));
    }

    #[test]
    fn http_2_is_known_by_its_first_bytes() {
        for (pieces, known) in [
            (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"][..], true),
            (&["P", "R", "I"], true),
            (&["PR"], false),
            (&["POST / HTTP/1.1\r\n"], false),
            (&["GET /PRI HTTP/1.1\r\nPRI: PRI\r\n"], false),
        ] {
            let mut head = HeadEnd::default();
            assert!(!pieces.iter().any(|piece| head.is_in(piece.as_bytes())) || known);
            assert_eq!(head.is_of_http_2(), known, "{pieces:?}");
        }
    }

    #[test]
    fn it_does_not_matter_where_it_is_cut() {
        let head = "GET / HTTP/1.1\r\na: b\r\n\r\n";
        for at in 0..head.len() {
            assert!(ends(&[&head[..at], &head[at..]]), "{at}");
            assert!(!ends(&[&head[..at]]), "{at}");
        }
    }
}
