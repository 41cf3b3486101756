//! Strip first, then set: what happens to the headers of a request that passes, on every path.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::collections::BTreeSet;
use std::rc::Rc;

use super::rule::Permit;
use crate::token::{Credential, Removal};
use crate::{Reason, RequestHead};

/// Bytes that a header value may not carry as they are; bytes above 0x7E are always encoded.
const VALUE: &AsciiSet = &CONTROLS.add(b'%');
/// Inside a list a comma would make two elements of one.
const ELEMENT: &AsciiSet = &VALUE.add(b',');

/// The contract's own names, protected whatever is configured.
const DEFAULT_HEADERS: [(&str, &str); 7] = [
    ("x-user-id", "user_id"),
    ("x-user-email", "email"),
    ("x-user-email-verified", "email_verified"),
    ("x-user-roles", "roles"),
    ("x-user-permissions", "permissions"),
    ("x-session-id", "session_id"),
    ("x-auth-provider", "provider"),
];

/// Which claim goes into which header, and which names no client may send.
#[derive(Debug)]
pub struct HeaderPlan {
    injected: Vec<(Rc<str>, Box<str>)>,
    /// In lower case and with `-`.
    protected: BTreeSet<Vec<u8>>,
    /// A bit for each length that a protected name has: most headers need no closer look.
    lengths: u64,
}

/// Headers of one identity, ready to be set.
pub type PreparedHeaders = Rc<[(Rc<str>, Box<str>)]>;

impl HeaderPlan {
    /// The plan for the configured names, or for the default set.
    pub(super) fn new(configured: Option<Vec<(String, String)>>) -> Self {
        let own = DEFAULT_HEADERS.map(|(header, claim)| (header.to_owned(), claim.to_owned()));
        let injected = configured.unwrap_or_else(|| own.to_vec());
        let names = own.iter().chain(&injected).map(|(header, _)| canonical(header.as_bytes()));
        let protected: BTreeSet<_> = names.collect();
        let lengths = protected.iter().map(|name| length_bit(name)).fold(0, |all, bit| all | bit);
        let injected = injected.into_iter().map(|(header, claim)| (header.into(), claim.into())).collect();
        Self { injected, protected, lengths }
    }

    /// Each header that is set, with the claim that fills it.
    pub fn injected(&self) -> impl Iterator<Item = (&Rc<str>, &str)> {
        self.injected.iter().map(|(header, claim)| (header, &**claim))
    }

    /// Whether only the gateway may send this header; `_` counts as `-`, since many servers fold the two.
    pub fn protects(&self, name: &[u8]) -> bool {
        let is_it = |protected: &Vec<u8>| {
            protected.len() == name.len() && protected.iter().zip(name).all(|(p, n)| *p == folded(*n))
        };
        self.lengths & length_bit(name) != 0 && self.protected.iter().any(is_it)
    }

    /// Refuses a request whose `Connection` header nominates a protected name. Envoy acts on `Connection` before
    /// any filter, save on upgrades: there the next hop would drop what is set here.
    ///
    /// # Errors
    /// [`Reason::ProtectedHeader`].
    pub(crate) fn check_nominations(&self, head: &RequestHead<'_>) -> Result<(), Reason> {
        let nominated = head.values("connection").flat_map(|value| value.split(|b| *b == b','));
        for name in nominated {
            if self.protects(name.trim_ascii()) {
                return Err(Reason::ProtectedHeader);
            }
        }
        Ok(())
    }

    /// Protected names as the client spelled them, each once.
    pub fn present_in(&self, head: &RequestHead<'_>) -> Vec<Rc<str>> {
        let mut found = Vec::new();
        for (name, _) in head.headers().filter(|(name, _)| self.protects(name)) {
            note(name, &mut found);
        }
        found
    }
}

#[cold]
fn note(name: &[u8], found: &mut Vec<Rc<str>>) {
    // A protected name is ASCII, and so is every spelling of it.
    let name = String::from_utf8_lossy(name);
    if !found.iter().any(|other| **other == *name) {
        found.push(name.into());
    }
}

/// Lengths of 63 and more share a bit.
fn length_bit(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

fn canonical(name: &[u8]) -> Vec<u8> {
    name.iter().copied().map(folded).collect()
}

fn folded(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

/// A single value as a header carries it.
pub(crate) fn encode_value(value: &str) -> Box<str> {
    utf8_percent_encode(value, VALUE).to_string().into()
}

/// A list as a header carries it.
pub(crate) fn encode_list<'a>(elements: impl Iterator<Item = &'a str>) -> Box<str> {
    let encoded: Vec<_> = elements.map(|e| utf8_percent_encode(e, ELEMENT).to_string()).collect();
    encoded.join(",").into()
}

/// All changes to a request that passes. There is no way to forward a request without one, and no way to one
/// but through [`HeaderMutation::new`], so that nothing skips the stripping.
#[derive(Debug, PartialEq, Eq)]
pub struct HeaderMutation {
    protected: Vec<Rc<str>>,
    credential: Option<Removal>,
    set: Option<PreparedHeaders>,
}

impl HeaderMutation {
    pub(crate) fn new(
        plan: &HeaderPlan,
        head: &RequestHead<'_>,
        permit: &Permit,
        credential: Option<&Credential<'_>>,
    ) -> Self {
        let credential = credential.filter(|_| !permit.keeps_credential());
        Self {
            protected: plan.present_in(head),
            credential: credential.map(|credential| credential.removal(head)),
            set: permit.identity().map(|identity| Rc::clone(identity.headers())),
        }
    }

    /// Names to remove, all spellings that the client sent. To be done before anything is set.
    pub fn remove(&self) -> impl Iterator<Item = &str> {
        let credential = match &self.credential {
            Some(Removal::Header(name)) => Some(name),
            Some(Removal::Rewrite(..)) | None => None,
        };
        self.protected.iter().chain(credential).map(|name| &**name)
    }

    /// A header whose value is replaced because the credential was a part of it.
    pub fn rewrite(&self) -> Option<(&'static str, &[u8])> {
        match &self.credential {
            Some(Removal::Rewrite(name, value)) => Some((name, value)),
            Some(Removal::Header(_)) | None => None,
        }
    }

    /// Headers to add once the names are free.
    pub fn set(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set.iter().flat_map(|headers| headers.iter()).map(|(name, value)| (&**name, &**value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn protected_names_are_seen_in_every_spelling() {
        let plan = HeaderPlan::new(Some(vec![("x-tenant".to_owned(), "tenant".to_owned())]));
        for name in ["x-user-id", "X_User_Id", "x_user-ID", "x-tenant", "X-TENANT", "x-auth-provider"] {
            assert!(plan.protects(name.as_bytes()), "{name}");
        }
        for name in ["x-user", "x-user-idx", "xx-user-id", "x.user.id", "", "\u{e9}"] {
            assert!(!plan.protects(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn stripping_names_each_spelling_once() {
        let plan = HeaderPlan::new(None);
        let head = RequestHead::from_pairs([
            (&b"x-user-id"[..], &b"a"[..]),
            (b"x_user_id", b"b"),
            (b"x-user-id", b"c"),
            (b"accept", b"*/*"),
            (b"\xff\xfe", b"\xff"),
        ]);
        assert_eq!(plan.present_in(&head), ["x-user-id".into(), "x_user_id".into()]);
    }

    #[test]
    fn connection_may_not_nominate_a_protected_name() {
        let plan = HeaderPlan::new(None);
        for value in [&b"x-user-id"[..], b"upgrade, X_User_Id", b"upgrade ,\tx-user-roles\t"] {
            let head = RequestHead::from_pairs([(&b"connection"[..], value)]);
            assert_eq!(plan.check_nominations(&head), Err(Reason::ProtectedHeader));
        }
        let head = RequestHead::from_pairs([(&b"connection"[..], &b"upgrade, keep-alive"[..])]);
        assert_eq!(plan.check_nominations(&head), Ok(()));
    }

    #[test]
    fn values_cannot_break_out() {
        assert_eq!(&*encode_value("a\r\nx-user-id: b%é\u{7f},"), "a%0D%0Ax-user-id: b%25%C3%A9%7F,");
        assert_eq!(&*encode_list(["a,b", "c d"].into_iter()), "a%2Cb,c d");
    }

    proptest! {
        #[test]
        fn an_encoded_value_is_printable_and_decodes_to_itself(value: String) {
            let encoded = encode_value(&value);
            prop_assert!(encoded.bytes().all(|b| (0x20..=0x7e).contains(&b)));
            prop_assert_eq!(percent_encoding::percent_decode_str(&encoded).decode_utf8().unwrap(), value);
        }

        #[test]
        fn list_elements_stay_apart(elements in prop::collection::vec(".{1,8}", 1..5)) {
            let encoded = encode_list(elements.iter().map(String::as_str));
            let decoded: Vec<_> = encoded.split(',')
                .map(|e| percent_encoding::percent_decode_str(e).decode_utf8().unwrap().into_owned()).collect();
            prop_assert_eq!(decoded, elements);
        }
    }
}
