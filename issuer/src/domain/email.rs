use std::fmt;

use idna::{AsciiDenyList, uts46};
use unicode_normalization::UnicodeNormalization;

/// An e-mail address in its one canonical form: NFC, lower case, the domain in IDNA's ASCII form.
///
/// Two spellings of one address are one `Email`, so that the store's unique index sees them as one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Email(String);

/// Why a text is not an e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// Longer than a mail server would take.
    #[error("must have at most 254 bytes")]
    TooLong,
    /// No `@`, or nothing on one side of it.
    #[error("must have the form name@domain")]
    Form,
    /// The part before the `@`.
    #[error("has characters before the @ that are not supported")]
    Local,
    /// The part after the `@`.
    #[error("must have a valid domain name after the @")]
    Domain,
}

impl Email {
    /// Reads an address and brings it into canonical form.
    ///
    /// # Errors
    /// When the text is not an address that a mail server on the internet would take. Quoted local parts and
    /// address literals (`"a b"@c`, `a@[::1]`) are not supported.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        // Checked before any normalising, so that the work is bounded by it.
        if text.len() > MAX_BYTES {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Form)?;
        if local.is_empty() || domain.is_empty() {
            return Err(EmailError::Form);
        }
        let canonical = format!("{}@{}", canonical_local(local)?, canonical_domain(domain)?);
        if canonical.len() > MAX_BYTES { Err(EmailError::TooLong) } else { Ok(Self(canonical)) }
    }

    /// The canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`.
    #[must_use]
    pub fn local(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(local, _)| local)
    }

    /// The part after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// Shows the domain alone: whole addresses stay out of logs.
impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email(…{})", &self.0[self.local().len()..])
    }
}

const MAX_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;

fn canonical_local(local: &str) -> Result<String, EmailError> {
    let canonical: String = local.nfc().collect::<String>().to_lowercase().nfc().collect();
    let dots_are_fine = canonical.split('.').all(|atom| !atom.is_empty());
    if dots_are_fine && canonical.len() <= MAX_LOCAL_BYTES && canonical.chars().all(local_character) {
        Ok(canonical)
    } else {
        Err(EmailError::Local)
    }
}

fn local_character(c: char) -> bool {
    c.is_alphanumeric() || ".!#$%&'*+-/=?^_`{|}~".contains(c)
}

fn canonical_domain(domain: &str) -> Result<String, EmailError> {
    let ascii = uts46::Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            uts46::Hyphens::Check,
            // Also refuses an empty label, thus a dot at the end.
            uts46::DnsLength::Verify,
        )
        .map_err(|_| EmailError::Domain)?;
    // A name without a dot, or ending in a number, is not a mail domain but a host or an address.
    let (_, top) = ascii.rsplit_once('.').ok_or(EmailError::Domain)?;
    if top.bytes().all(|b| b.is_ascii_digit()) { Err(EmailError::Domain) } else { Ok(ascii.into_owned()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> String {
        Email::parse(text).unwrap().as_str().to_owned()
    }

    #[test]
    fn spellings_of_one_address_are_one() {
        assert_eq!(canonical("A@B.com"), "a@b.com");
        assert_eq!(canonical("jose\u{301}@example.com"), canonical("JOSÉ@EXAMPLE.COM"));
        assert_eq!(canonical("x@Bücher.example"), "x@xn--bcher-kva.example");
        assert_eq!(canonical("x@bu\u{308}cher.example"), canonical("x@xn--bcher-kva.EXAMPLE"));
        assert_eq!(canonical("first.last+tag@sub.example.org"), "first.last+tag@sub.example.org");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, error) in [
            ("", EmailError::Form),
            ("nobody", EmailError::Form),
            ("@b.com", EmailError::Form),
            ("a@", EmailError::Form),
            ("a b@c.com", EmailError::Local),
            ("a@b@c.com", EmailError::Local),
            ("\"a\"@c.com", EmailError::Local),
            (".a@c.com", EmailError::Local),
            ("a..b@c.com", EmailError::Local),
            ("a\u{200d}b@c.com", EmailError::Local),
            ("a\0@c.com", EmailError::Local),
            ("a@localhost", EmailError::Domain),
            ("a@127.0.0.1", EmailError::Domain),
            ("a@[::1]", EmailError::Domain),
            ("a@b.com.", EmailError::Domain),
            ("a@b..com", EmailError::Domain),
            ("a@b_c.com", EmailError::Domain),
            ("a@-b.com", EmailError::Domain),
            ("a@b.com\r\nBcc: x@y.com", EmailError::Local),
            ("a@b.com\r\n", EmailError::Domain),
        ] {
            assert_eq!(Email::parse(text), Err(error), "{text:?}");
        }
        assert_eq!(Email::parse(&format!("{}@c.com", "a".repeat(65))), Err(EmailError::Local));
        assert_eq!(Email::parse(&format!("a@{}.com", "b.".repeat(200))), Err(EmailError::TooLong));
    }

    #[test]
    fn debug_hides_who_it_is() {
        let shown = format!("{:?}", Email::parse("alice@example.com").unwrap());
        assert!(!shown.contains("alice"), "{shown}");
    }

    proptest! {
        #[test]
        fn never_panics_and_canonical_is_a_fixed_point(text in "\\PC{0,20}@?\\PC{0,20}(\\.[a-z]{2,3})?") {
            if let Ok(email) = Email::parse(&text) {
                prop_assert_eq!(Email::parse(email.as_str()), Ok(email));
            }
        }

        #[test]
        fn case_never_matters(local in "[a-zà-ÿ0-9]{1,20}", domain in "[a-z]{1,10}\\.[a-z]{2,4}") {
            let lower = format!("{local}@{domain}");
            prop_assert_eq!(Email::parse(&lower), Email::parse(&lower.to_uppercase()));
        }
    }
}
