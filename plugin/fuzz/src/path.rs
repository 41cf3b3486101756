//! A path, and a template made of the same bytes.
#![no_main]

use doorward_gate::policy::path::{Path, Template};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &[u8]| {
    if let Ok(path) = Path::parse(raw) {
        for segment in path.segments() {
            assert!(!matches!(segment, b"" | b"." | b".."));
            assert!(!segment.iter().any(|byte| b"/\\\0%".contains(byte)));
            assert!(std::str::from_utf8(segment).is_ok());
        }
    }
    if let Ok(text) = std::str::from_utf8(raw) {
        let _ = Template::parse(text);
    }
});
