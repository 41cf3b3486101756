//! Request paths and templates.
//!
//! A path that two programs could read differently is refused: the gateway would judge one resource, and the
//! service behind it would serve another. What is left is decoded once, and only then compared.

use percent_encoding::percent_decode;
use std::borrow::Cow;

use crate::Reason;

/// A path that every program reads alike, decoded.
#[derive(Debug, PartialEq, Eq)]
pub struct Path<'a> {
    /// Without the leading slash, and without one trailing slash; empty for `/`. UTF-8.
    decoded: Cow<'a, [u8]>,
    query: Option<&'a [u8]>,
}

impl<'a> Path<'a> {
    /// Reads the value of `:path`.
    ///
    /// # Errors
    /// [`Reason::AmbiguousPath`] for control bytes, spaces, `#`, `\`, `;`, bytes above 0x7E, bad percent-encoding,
    /// an encoded `/`, `\`, `.`, `%` or control byte, bytes that are not UTF-8 once decoded, empty segments, and
    /// the segments `.` and `..`.
    pub fn parse(raw: &'a [u8]) -> Result<Self, Reason> {
        let (path, query) = match raw.iter().position(|b| *b == b'?') {
            Some(at) => (raw.get(..at).unwrap_or_default(), raw.get(at.saturating_add(1)..)),
            None => (raw, None),
        };
        if query.is_some_and(|q| q.iter().any(|b| *b <= b' ' || *b == 0x7f || *b == b'#')) {
            return Err(Reason::AmbiguousPath);
        }
        let path = path.strip_prefix(b"/").ok_or(Reason::AmbiguousPath)?;
        let path = path.strip_suffix(b"/").unwrap_or(path);
        if raw.starts_with(b"//") {
            return Err(Reason::AmbiguousPath);
        }
        let decoded = decode(path).ok_or(Reason::AmbiguousPath)?;
        let path = Self { decoded, query };
        if path.segments().any(|s| matches!(s, b"" | b"." | b"..")) {
            return Err(Reason::AmbiguousPath);
        }
        Ok(path)
    }

    /// The decoded segments; none for `/`. Never empty ones.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let root = self.decoded.is_empty();
        self.decoded.split(|byte| *byte == b'/').filter(move |_| !root)
    }

    /// The raw query, without the `?`.
    pub fn query(&self) -> Option<&'a [u8]> {
        self.query
    }
}

/// Decodes once, or `None` where that could hide something. No byte that separates or climbs can come out of an
/// escape, so segments are the same before and after.
fn decode(path: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut bytes = path.iter();
    let mut escaped = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let (high, low) = (hex(bytes.next())?, hex(bytes.next())?);
                let decoded = high.checked_mul(16)?.checked_add(low)?;
                if matches!(decoded, 0..=0x1f | 0x7f | b'/' | b'\\' | b'.' | b'%') {
                    return None;
                }
                escaped = true;
            }
            b'#' | b'\\' | b';' | 0..=b' ' | 0x7f.. => return None,
            _ => {}
        }
    }
    if !escaped {
        return Some(Cow::Borrowed(path));
    }
    let decoded = Cow::from(percent_decode(path));
    // Overlong forms and lone bytes above 0x7F are the classic second way to write a slash.
    str::from_utf8(&decoded).is_ok().then_some(decoded)
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    char::from(*digit?).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this text.
    Literal(Box<str>),
    /// `*` or `{name}`: any one segment.
    Any,
}

/// A compiled path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// The segments before `**`.
    pub(super) segments: Vec<Segment>,
    /// Whether `**` ends it: any number of further segments, none included.
    pub(super) open: bool,
    names: Vec<(Box<str>, usize)>,
}

impl Template {
    /// Compiles `/users/{id}/**` and the like.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the template.
    pub fn parse(template: &str) -> Result<Self, String> {
        let inner = template.strip_prefix('/').ok_or("must start with /")?;
        let mut compiled = Self { segments: Vec::new(), open: false, names: Vec::new() };
        if inner.is_empty() {
            return Ok(compiled);
        }
        for segment in inner.split('/') {
            if compiled.open {
                return Err("** is only allowed at the end".to_owned());
            }
            compiled.push(segment)?;
        }
        Ok(compiled)
    }

    fn push(&mut self, segment: &str) -> Result<(), String> {
        if segment == "**" {
            self.open = true;
            return Ok(());
        }
        if let Some(name) = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(format!("{segment}: a name is made of letters, digits and _"));
            }
            if self.position(name).is_some() {
                return Err(format!("{segment} stands twice"));
            }
            self.names.push((name.into(), self.segments.len()));
        }
        self.segments.push(compile_segment(segment)?);
        Ok(())
    }

    /// The template of exactly the paths that both match, if there are any.
    pub(super) fn intersection(&self, other: &Self) -> Option<Self> {
        let length = self.segments.len().max(other.segments.len());
        let long_enough = |template: &Self| template.open || template.segments.len() == length;
        if !long_enough(self) || !long_enough(other) {
            return None;
        }
        let segment = |at| match (self.segments.get(at), other.segments.get(at)) {
            (Some(Segment::Literal(one)), Some(Segment::Literal(two))) if one != two => None,
            (Some(literal @ Segment::Literal(_)), _) | (_, Some(literal @ Segment::Literal(_))) => {
                Some(literal.clone())
            }
            _ => Some(Segment::Any),
        };
        let segments = (0..length).map(segment).collect::<Option<_>>()?;
        Some(Self { segments, open: self.open && other.open, names: Vec::new() })
    }

    /// Where the segment captured under `name` stands.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names.iter().find(|(n, _)| **n == *name).map(|(_, position)| *position)
    }
}

fn compile_segment(segment: &str) -> Result<Segment, String> {
    if segment == "*" || segment.starts_with('{') && segment.ends_with('}') {
        return Ok(Segment::Any);
    }
    if segment.contains(['*', '{', '}']) {
        return Err(format!("{segment}: *, ** and {{name}} each stand for whole segments"));
    }
    // A literal is written as a client would send it, so that it can be compared with what clients send.
    match Path::parse(format!("/{segment}").as_bytes()) {
        Ok(path) if path.query.is_none() && !path.decoded.is_empty() => {
            Ok(Segment::Literal(String::from_utf8_lossy(&path.decoded).into()))
        }
        _ => Err(format!("{segment:?}: no request that is let through can have this segment")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segments(raw: &str) -> Result<Vec<String>, Reason> {
        let path = Path::parse(raw.as_bytes())?;
        Ok(path.segments().map(|s| String::from_utf8(s.to_vec()).unwrap()).collect())
    }

    #[test]
    fn plain_paths_are_read_as_they_stand() {
        assert_eq!(segments("/").unwrap(), Vec::<String>::new());
        assert_eq!(segments("/a/b").unwrap(), ["a", "b"]);
        assert_eq!(segments("/a/b/").unwrap(), ["a", "b"]);
        assert_eq!(segments("/a?b=/../c").unwrap(), ["a"]);
        assert_eq!(segments("/a*b").unwrap(), ["a*b"]);
        assert_eq!(segments("/%61dmin/%7Euser").unwrap(), ["admin", "~user"]);
        assert_eq!(segments("/caf%C3%A9").unwrap(), ["café"]);
        assert_eq!(segments("/c%23").unwrap(), ["c#"]);
        assert_eq!(segments("/...").unwrap(), ["..."]);
    }

    #[test]
    fn what_two_programs_could_read_differently_is_refused() {
        for raw in [
            "",
            "*",
            "a",
            "http://h/a",
            "//",
            "//admin",
            "/a//b",
            "/a//",
            "/./a",
            "/a/.",
            "/..",
            "/a/../b",
            "/a/..",
            "/%2e%2e/a",
            "/%2E/a",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%0a",
            "/a%7f",
            "/a\u{0}",
            "/a\n",
            "/a b",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%25b",
            "/a;x",
            "/a;x/b",
            "/a#b",
            "/a?b#c",
            "/a?b c",
            "/a?\u{0}",
            "/caf\u{e9}",
            "/%c0%af",
            "/%ff",
            "/%c3",
        ] {
            assert_eq!(segments(raw), Err(Reason::AmbiguousPath), "{raw:?}");
        }
    }

    #[test]
    fn templates_say_what_is_wrong_with_them() {
        for (template, want) in [
            ("a", "must start with /"),
            ("/**/a", "** is only allowed at the end"),
            ("/a*", "whole segments"),
            ("/{a}x", "whole segments"),
            ("/{a-b}", "letters, digits and _"),
            ("/{}", "letters, digits and _"),
            ("/{a}/{a}", "stands twice"),
            ("/a//b", "no request"),
            ("/..", "no request"),
            ("/a?b", "no request"),
            ("/a%2fb", "no request"),
            ("/a/", "no request"),
        ] {
            let error = Template::parse(template).unwrap_err();
            assert!(error.contains(want), "{template}: {error}");
        }
        assert_eq!(Template::parse("/caf%C3%A9").unwrap().segments, [Segment::Literal("café".into())]);
    }

    proptest! {
        #[test]
        fn never_panics_and_never_climbs(raw: Vec<u8>) {
            if let Ok(path) = Path::parse(&raw) {
                for segment in path.segments() {
                    let segment = str::from_utf8(segment).unwrap();
                    prop_assert!(!segment.is_empty() && segment != "." && segment != "..");
                    prop_assert!(!segment.contains(['/', '\\', '\0', '%']));
                }
            }
        }

        #[test]
        fn encoding_an_unreserved_character_changes_nothing(name in "[a-zA-Z0-9_~-]{1,12}") {
            let encoded: String = name.bytes().map(|b| format!("%{b:02X}")).collect();
            prop_assert_eq!(segments(&format!("/{encoded}")), segments(&format!("/{name}")));
        }

        #[test]
        fn template_parser_never_panics(template: String) {
            let _ = Template::parse(&template);
        }
    }
}
