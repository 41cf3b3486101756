//! The plugin beside Envoy's own `jwt_authn`, in one Envoy with the same keys: thousands of tokens, good and mutated,
//! to both. Where they differ, it is because the plugin is stricter on purpose, and [`STRICTER`] says so.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use doorward_gate::policy::{Config, Policy};
use doorward_gate::{Decision, Gate, Host, RequestHead, SignatureCheck, UnixTime, Waiting};
use doorward_tests::http::raw::{Answer, Connection};
use serde_json::{Value, json};

use crate::support::gateway::{Gateway, Listener, Plan, bearer, head};
use crate::support::mutation::{Mutated, corpus, signatures};
use crate::support::own_key::now;
use crate::support::settings::{ISSUER, inline, provider};
use crate::support::signer::{Signer, jwks};
use crate::support::stricter::STRICTER;

/// Tokens for each key.
const TOKENS: usize = 1_200;
const SIGNATURES: usize = 1_200;
const SEED: u64 = 20_260_101;

const PLUGIN: usize = 0;
const NATIVE: usize = 1;

#[test]
fn where_native_and_plugin_differ_the_plugin_is_stricter_on_purpose() {
    let signers = signers();
    let gateway = gateway(&signers);
    let tokens: Vec<Mutated> = signers
        .iter()
        .flat_map(|signer| [corpus(signer, &signers, TOKENS, SEED), signatures(signer, TOKENS / 4, SEED)])
        .flatten()
        .collect();
    assert!(tokens.len() >= 5_000);

    let verdicts = ask_all(&gateway, &tokens, &[PLUGIN, NATIVE]);
    let (mut both, mut neither) = (0_usize, 0_usize);
    let mut seen = BTreeSet::new();
    let mut unexplained = BTreeMap::new();
    for (token, answers) in tokens.iter().zip(&verdicts) {
        let (plugin, native) = (&answers[0], &answers[1]);
        match (plugin.status, native.status) {
            (200, 200) => both += 1,
            (400 | 401, 401 | 403) => neither += 1,
            (400 | 401, 200) => {
                let on_purpose = |edit: &&str| STRICTER.iter().any(|rule| rule.edits.contains(edit));
                if !token.edits.iter().any(on_purpose) {
                    unexplained.entry(format!("refused alone: {:?}", token.edits)).or_insert(token);
                } else if let [edit] = token.edits[..] {
                    seen.insert(edit);
                }
            }
            (plugin, native) => {
                let said = String::from_utf8_lossy(&answers[1].body).into_owned();
                let what = format!("plugin {plugin}, native {native} ({said}): {:?}", token.edits);
                unexplained.entry(what).or_insert(token);
            }
        }
    }
    let shown: Vec<String> =
        unexplained.iter().map(|(what, token)| format!("{what}\n    {}", token.token)).collect();
    assert!(shown.is_empty(), "differences that nobody wrote down:\n{}", shown.join("\n"));
    let listed = STRICTER.iter().flat_map(|rule| rule.edits);
    let unseen: Vec<&&str> = listed.filter(|edit| !seen.contains(*edit)).collect();
    assert!(unseen.is_empty(), "these make no difference: {unseen:?}");
    // Both sides of the border were visited.
    assert!(both > 300 && neither > 1_000, "{both} accepted by both, {neither} by neither");
}

#[test]
fn the_hosts_cryptography_and_our_own_agree_on_every_signature() {
    let signers = signers();
    let gateway = gateway(&signers);
    // The host knows nothing of EdDSA.
    let known = signers.iter().filter(|signer| signer.algorithm != "EdDSA");
    let tokens: Vec<Mutated> = known.flat_map(|signer| signatures(signer, SIGNATURES, SEED)).collect();
    assert!(tokens.len() >= 3_000);

    let verdicts = ask_all(&gateway, &tokens, &[PLUGIN]);
    let mut own = gate(&settings(&signers));
    let mut good = 0_usize;
    for (token, answers) in tokens.iter().zip(&verdicts) {
        let native = answers[0].status == 200;
        assert_eq!(native, passes(&mut own, &token.token), "{:?} {}", token.edits, token.token);
        good += usize::from(native);
    }
    assert!(good >= tokens.len() / 4 && good <= tokens.len() * 3 / 4, "{good} of {} are good", tokens.len());
    // The plugin did use the host, and what it was compared with did not.
    gateway.wait_for_stat("wasmcustom.doorward_signatures.where.host", u64::try_from(good).unwrap());
    assert_eq!(gateway.stat("wasmcustom.doorward_signatures.where.wasm"), 0);
}

fn signers() -> [Signer; 4] {
    [Signer::es256("k1"), Signer::rs256("r1"), Signer::es384("p1"), Signer::ed25519("e1")]
}

/// The plugin and the native filter side by side, over the same keys, at the same work.
fn gateway(signers: &[Signer]) -> Gateway {
    let native = json!({
        "providers": {"doorward": {
            "issuer": ISSUER, "audiences": ["api"], "clock_skew_seconds": 300, "require_expiration": true,
            "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
            "local_jwks": {"inline_string": jwks(&signers.iter().collect::<Vec<_>>())},
        }},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "doorward"}}],
    });
    Gateway::start(Plan {
        listeners: vec![
            Listener::plugin(settings(signers)).answering_itself(),
            Listener::native(native).answering_itself(),
        ],
        concurrency: 2,
        ..Plan::plugin(Value::Null)
    })
}

fn settings(signers: &[Signer]) -> Value {
    let mut provider = provider(inline(&jwks(&signers.iter().collect::<Vec<_>>())));
    provider["algorithms"] = json!(["ES256", "RS256", "ES384", "EdDSA"]);
    // No token comes near a limit while the test runs.
    provider["clock_skew"] = json!("5m");
    json!({"providers": [provider], "rules": [{"path": "/**", "allow": "authenticated"}]})
}

/// Sends every token to each of these listeners, over connections that stay open.
fn ask_all(gateway: &Gateway, tokens: &[Mutated], listeners: &[usize]) -> Vec<Vec<Answer>> {
    let parts: Vec<Vec<Vec<Answer>>> = std::thread::scope(|scope| {
        let ask = |tokens: &[Mutated]| {
            let mut connections: Vec<Connection> = listeners
                .iter()
                .map(|listener| Connection::open(&gateway.address_of(*listener)).unwrap())
                .collect();
            tokens
                .iter()
                .map(|token| {
                    let request = head("GET /x", &[&bearer(&token.token)]);
                    let answer = |connection: &mut Connection| {
                        let sent = connection.send(&request);
                        let answer = sent.unwrap_or_else(|why| panic!("{:?}: {why}", token.edits));
                        if answer.header("connection") == Some("close") {
                            connection.reopen().unwrap();
                        }
                        answer
                    };
                    connections.iter_mut().map(answer).collect()
                })
                .collect()
        };
        let half = tokens.len() / 2;
        let (first, second) = tokens.split_at(half);
        let other = scope.spawn(move || ask(second));
        let own = ask(first);
        vec![own, other.join().unwrap()]
    });
    parts.into_iter().flatten().collect()
}

/// A host without cryptography of its own: everything is left to jwt-simple.
struct Bare(Cell<u64>);

impl Host for Bare {
    fn now(&self) -> UnixTime {
        Duration::from_secs(self.0.get())
    }

    fn verify_signature(&self, _: &SignatureCheck<'_>) -> Option<bool> {
        None
    }
}

fn gate(settings: &Value) -> Gate {
    let config = Config::read(settings.clone()).unwrap();
    Gate::new(Policy::compile(config, &|_| None).unwrap(), 1)
}

fn passes(gate: &mut Gate, token: &str) -> bool {
    let authorization = format!("Bearer {token}");
    let pairs =
        [(&b":method"[..], &b"GET"[..]), (b":path", b"/x"), (b"authorization", authorization.as_bytes())];
    let host = Bare(Cell::new(u64::try_from(now()).unwrap()));
    let decision = gate.decide(&RequestHead::from_pairs(pairs), &host, Waiting::Allowed);
    matches!(decision, Decision::Forward(..))
}
