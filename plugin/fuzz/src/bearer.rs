//! A request head, one `name:value` a line, through the whole gate: whatever it holds, no protected header of the
//! client's passes, and nobody gets an identity without a signature.
#![no_main]

use doorward_gate::policy::{Config, Policy};
use doorward_gate::{Decision, Gate, Host, RequestHead, SignatureCheck, UnixTime, Waiting};
use libfuzzer_sys::fuzz_target;

struct Nobody;

impl Host for Nobody {
    fn now(&self) -> UnixTime {
        UnixTime::from_secs(1_800_000_000)
    }

    fn verify_signature(&self, _: &SignatureCheck<'_>) -> Option<bool> {
        Some(false)
    }
}

const CONFIG: &str = r#"{
    "providers": [{"name": "d", "issuer": "https://i.test", "audiences": ["api"],
        "keys": {"remote": {"cluster": "c", "path": "/", "authority": "a"}}}],
    "token_sources": [{"header": "authorization"}, {"cookie": "t"}, {"query": "t"}],
    "cors_preflight": "allow",
    "rules": [{"path": "/p/**", "allow": "public"}, {"path": "/o/{id}", "allow": {"owner": "id"}},
        {"path": "/x", "allow": "optional"}, {"path": "/**", "allow": "authenticated"}]
}"#;

fuzz_target!(|bytes: &[u8]| {
    let _ = RequestHead::parse(bytes);
    let head = RequestHead::from_pairs(bytes.split(|b| *b == b'\n').map(|line| {
        // A pseudo-header's name begins with the colon.
        let colon = line.iter().skip(1).position(|b| *b == b':').map_or(line.len(), |at| at + 1);
        let (name, value) = line.split_at(colon);
        (name, value.strip_prefix(b":").unwrap_or_default())
    }));
    let config = serde_json::from_str(CONFIG).ok().and_then(|json| Config::read(json).ok());
    let policy = config.and_then(|config| Policy::compile(config, &|_| None).ok());
    let mut gate = Gate::new(policy.expect("the configuration above is good"), 1);
    if let Decision::Forward(permit, mutation) = gate.decide(&head, &Nobody, Waiting::Over) {
        assert!(permit.identity().is_none(), "nobody has signed anything");
        let left = head
            .headers()
            .map(|(name, _)| name)
            .filter(|name| !mutation.remove().any(|removed| removed.as_bytes().eq_ignore_ascii_case(name)));
        for name in left {
            let folded = name
                .to_ascii_lowercase()
                .iter()
                .map(|b| if *b == b'_' { b'-' } else { *b })
                .collect::<Vec<_>>();
            assert_ne!(folded, b"x-user-id");
            assert_ne!(folded, b"x-user-roles");
        }
    }
});
