//! Tokens by the thousand: good ones, and good ones with something changed, always the same for the same seed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::edits::{CLAIM_EDITS, Edit, HEADER_EDITS, TEXT_EDITS, TOKEN_EDITS, encode};
use crate::support::settings::claims_with;
use crate::support::signer::Signer;

/// A token, and what was done to it; nothing for one that is good.
pub(crate) struct Mutated {
    pub(crate) token: String,
    pub(crate) edits: Vec<&'static str>,
}

/// Numbers that look random and are the same each time (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(limit).unwrap()).unwrap()
    }
}

/// So many tokens of this signer, or a few more: every edit alone, and then some by chance and in pairs.
pub(crate) fn corpus(signer: &Signer, all: &[Signer], count: usize, seed: u64) -> Vec<Mutated> {
    let mut dice = Dice(seed);
    let mut tokens = vec![sign(signer, &[], &[], &[])];
    tokens.extend(HEADER_EDITS.iter().map(|edit| sign(signer, &[edit], &[], &[])));
    tokens.extend(CLAIM_EDITS.iter().map(|edit| sign(signer, &[], &[edit], &[])));
    for (number, (name, _)) in TEXT_EDITS.iter().enumerate() {
        tokens.push(Mutated { edits: vec![name], ..sign(signer, &[], &[], &[number]) });
    }
    let good = sign(signer, &[], &[], &[]).token;
    tokens.extend(TOKEN_EDITS.iter().map(|(name, edit)| Mutated { token: edit(&good), edits: vec![name] }));
    for other in all.iter().filter(|other| other.kid != signer.kid) {
        // Another key's signature under our name, and ours under another's.
        let (header, claims) = (signer.header().to_string(), claims_with("ada", json!({})).to_string());
        tokens.push(Mutated { token: other.sign_text(&header, &claims), edits: vec!["another key"] });
        let header = other.header().to_string();
        tokens.push(Mutated { token: signer.sign_text(&header, &claims), edits: vec!["another kid"] });
    }
    while tokens.len() < count {
        tokens.push(by_chance(signer, &mut dice));
    }
    tokens
}

fn by_chance(signer: &Signer, dice: &mut Dice) -> Mutated {
    let good = || sign(signer, &[], &[], &[]).token;
    match dice.below(8) {
        0 => Mutated { token: fresh(signer, dice), edits: vec![] },
        1 => Mutated { token: flipped(&good(), dice), edits: vec!["a bit flipped"] },
        2 => Mutated { token: replaced(&good(), dice), edits: vec!["a character replaced"] },
        3 => {
            let good = good();
            let (start, length) = (dice.below(good.len()), 1 + dice.below(6));
            let end = (start + length).min(good.len());
            Mutated { token: [&good[..start], &good[end..]].concat(), edits: vec!["a piece cut out"] }
        }
        4 => {
            let edit = &CLAIM_EDITS[dice.below(CLAIM_EDITS.len())];
            sign(signer, &[], &[edit], &[])
        }
        5 => {
            let header = &HEADER_EDITS[dice.below(HEADER_EDITS.len())];
            let claim = &CLAIM_EDITS[dice.below(CLAIM_EDITS.len())];
            sign(signer, &[header], &[claim], &[])
        }
        6 => {
            let (name, edit) = TOKEN_EDITS[dice.below(TOKEN_EDITS.len())];
            let claim = &CLAIM_EDITS[dice.below(CLAIM_EDITS.len())];
            let signed = sign(signer, &[], &[claim], &[]);
            Mutated { token: edit(&signed.token), edits: vec![claim.0, name] }
        }
        _ => {
            let (a, b) = (good(), fresh(signer, dice));
            let (a, b): (Vec<&str>, Vec<&str>) = (a.split('.').collect(), b.split('.').collect());
            let segments: Vec<&str> =
                (0..3).map(|at| if dice.below(2) == 0 { a[at] } else { b[at] }).collect();
            let edits = if segments[1..] == a[1..] || segments[1..] == b[1..] {
                vec![]
            } else {
                vec!["segments of two tokens"]
            };
            Mutated { token: segments.join("."), edits }
        }
    }
}

/// A good token that nobody has seen before.
fn fresh(signer: &Signer, dice: &mut Dice) -> String {
    signer.token(&claims_with("ada", json!({"jti": dice.roll().to_string()})))
}

fn sign(signer: &Signer, headers: &[&Edit], claims: &[&Edit], texts: &[usize]) -> Mutated {
    let mut header = signer.header();
    for (_, change) in headers {
        for (name, value) in change().as_object().unwrap() {
            if value.is_null() {
                header.as_object_mut().unwrap().remove(name);
            } else {
                header[name] = value.clone();
            }
        }
    }
    let changes: serde_json::Map<String, Value> =
        claims.iter().flat_map(|(_, change)| change().as_object().unwrap().clone()).collect();
    let mut both = (header.to_string(), claims_with("ada", Value::Object(changes)).to_string());
    for number in texts {
        both = TEXT_EDITS[*number].1(both.0, both.1);
    }
    let edits = headers.iter().chain(claims).map(|(name, _)| *name).collect();
    Mutated { token: signer.sign_text(&both.0, &both.1), edits }
}

/// Good and bad signatures over good tokens: about half of each.
pub(crate) fn signatures(signer: &Signer, count: usize, seed: u64) -> Vec<Mutated> {
    let mut dice = Dice(seed ^ 0xABCD);
    (0..count)
        .map(|number| {
            let good = fresh(signer, &mut dice);
            let (input, signature) = good.rsplit_once('.').unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
            let half = bytes.len() / 2;
            let edit = match number % 16 {
                0..8 => return Mutated { token: good, edits: vec![] },
                8 | 9 => {
                    let bit = dice.below(bytes.len() * 8);
                    bytes[bit / 8] ^= 1 << (bit % 8);
                    "a bit flipped"
                }
                10 => {
                    bytes.truncate(dice.below(bytes.len()));
                    bytes.push(1);
                    "the signature cut"
                }
                11 => {
                    bytes.push(u8::try_from(dice.below(256)).unwrap());
                    "a byte more in the signature"
                }
                12 => {
                    let (r, s) = bytes.split_at(half);
                    bytes = [s, r].concat();
                    "halves swapped"
                }
                13 => {
                    let start = if dice.below(2) == 0 { 0 } else { half };
                    bytes[start..start + half].fill(0);
                    "a half zero"
                }
                14 => {
                    let start = if dice.below(2) == 0 { 0 } else { half };
                    bytes[start..start + half].fill(0xff);
                    "a half beyond the order"
                }
                _ => {
                    bytes = signer.signature(format!("{input} ").as_bytes());
                    "of another text"
                }
            };
            Mutated { token: format!("{input}.{}", encode(bytes)), edits: vec![edit] }
        })
        .collect()
}

fn flipped(token: &str, dice: &mut Dice) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let segment = dice.below(3);
    let mut bytes = URL_SAFE_NO_PAD.decode(parts[segment]).unwrap();
    let bit = dice.below(bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    let changed = encode(bytes);
    let parts: Vec<&str> =
        (0..3).map(|at| if at == segment { changed.as_str() } else { parts[at] }).collect();
    parts.join(".")
}

fn replaced(token: &str, dice: &mut Dice) -> String {
    const OTHERS: &[u8] = b"ABCxyz019-_.=+/~";
    // Not the last one: some of its bits may belong to no byte, and that is another edit.
    let at = dice.below(token.len() - 1);
    let other = char::from(OTHERS[dice.below(OTHERS.len())]);
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}
