//! A configuration: refused with a reason, or compiled.
#![no_main]

use doorward_gate::json;
use doorward_gate::policy::{Config, Policy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(members) = json::parse_object(text) else { return };
    let compiled =
        Config::read(members.into()).and_then(|config| Policy::compile(config, &|_| Some("s".repeat(32))));
    if let Err(error) = compiled {
        assert!(!error.to_string().is_empty());
    }
});
