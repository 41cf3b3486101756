//! A key document from a server that has gone mad.
#![no_main]

use doorward_gate::keys::{Algorithm, KeySet};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    if let Ok(keys) = KeySet::from_jwks(document, &Algorithm::ALL) {
        assert!(!keys.is_empty());
    }
});
