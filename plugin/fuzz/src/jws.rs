//! A token as text: strictly parsed, or refused, never both ways.
#![no_main]

use doorward_gate::token::{Segments, UnverifiedToken};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(segments) = Segments::decode(text) else { return };
    if let Ok(token) = UnverifiedToken::parse(&segments) {
        assert_eq!(text.matches('.').count(), 2);
        assert!(!text.contains(['=', ' ', '\n']));
        let _ = (token.algorithm(), token.kid(), token.issuer());
    }
});
