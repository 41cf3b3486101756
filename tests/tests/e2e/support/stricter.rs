//! Where the plugin is stricter than Envoy's own filter on purpose.

/// Something that native lets pass and the plugin refuses, on purpose.
pub(crate) struct Stricter {
    /// The edits that show it.
    pub(crate) edits: &'static [&'static str],
    /// Why, in the words of `docs/threats.md`.
    pub(crate) why: &'static str,
}

/// The whole list: a difference that is not explained by it is a defect of one of the two.
pub(crate) const STRICTER: [Stricter; 10] = [
    Stricter {
        edits: &["typ JWT", "typ absent", "typ a number"],
        why: "An access token says that it is one (RFC 9068, section 2.1): tokens made for something else do not pass",
    },
    Stricter {
        edits: &["crit", "crit empty", "b64 false"],
        why: "A header that asks for an extension is refused, because no extension is understood (RFC 7515, section 4.1.11)",
    },
    Stricter { edits: &["kid empty"], why: "A key is called by its name: an empty one names none" },
    Stricter {
        edits: &[
            "signature padded",
            "signature in base64url with padding",
            "stray bits in the signature",
            "an empty segment in front",
            "an empty segment more",
            "a byte more in the signature",
        ],
        why: "A token has one spelling: padding, stray bits, empty segments and bytes after the signature make another one",
    },
    Stricter {
        edits: &["a comma too many"],
        why: "JSON is read by the letter: what parsers disagree about is refused",
    },
    Stricter {
        edits: &["aud with a slash"],
        why: "An audience is compared byte for byte; native drops `https://` and a slash at the end",
    },
    Stricter {
        edits: &["exp a float", "iat a float", "nbf a float"],
        why: "Times are whole seconds, as all readers read them alike",
    },
    Stricter {
        edits: &["iat future", "exp far"],
        why: "A token is not made in the future, and lives no longer than `max_lifetime`",
    },
    Stricter {
        edits: &["sub absent", "sub empty", "sub with spaces around"],
        why: "A user has an id, and it is the same before and after a reader trims it",
    },
    Stricter {
        edits: &["email a number", "email_verified a string", "roles a number", "roles mixed types"],
        why: "A claim that becomes a header has the type that the contract gives it",
    },
];
