use proptest::prelude::*;

use super::*;
use crate::crypto::testing::ring_of;
use crate::domain::clock::SystemRandom;
use crate::domain::keys::KeyKind;

fn mint(keys: &[u8]) -> RefreshMint {
    RefreshMint::new(ring_of(KeyKind::Refresh, keys), Arc::new(SystemRandom))
}

/// A token of the one key of that byte.
fn token_of(byte: u8, session: SessionId, generation: u32, secret: u8) -> MintedRefreshToken {
    let ring = ring_of(KeyKind::Refresh, &[byte]).current();
    token(&ring.refresh().active, session, generation, &[secret; SECRET_BYTES])
}

fn session() -> SessionId {
    SessionId::random(&SystemRandom)
}

#[test]
fn a_minted_token_is_authentic_and_says_what_it_was_minted_for() {
    let session = session();
    let minted = mint(&[1]).mint(session);
    let authentic = mint(&[1]).authenticate(minted.token.expose()).unwrap();
    assert_eq!(
        (authentic.session, authentic.generation, authentic.fingerprint),
        (session, 0, minted.fingerprint)
    );
    assert_eq!(minted.token.expose().len(), 91);
    assert_ne!(mint(&[1]).mint(session).token.expose(), minted.token.expose());
}

#[test]
fn an_older_key_still_checks_and_the_newest_mints() {
    let old = mint(&[1]).mint(session());
    assert!(mint(&[1, 2]).authenticate(old.token.expose()).is_ok());
    assert!(mint(&[2]).authenticate(old.token.expose()).is_err());
    let new = mint(&[1, 2]).mint(session());
    assert!(mint(&[2]).authenticate(new.token.expose()).is_ok());
}

#[test]
fn every_generation_survives_the_round_trip() {
    for generation in [0, 1, 256, u32::MAX] {
        let minted = token_of(1, session(), generation, 7);
        assert_eq!(mint(&[1]).authenticate(minted.token.expose()).unwrap().generation, generation);
    }
}

fn read(mint: &RefreshMint, minted: &MintedRefreshToken) -> AuthenticRefreshToken {
    mint.authenticate(minted.token.expose()).unwrap()
}

#[test]
fn a_parent_has_one_child_wherever_it_is_computed() {
    let (here, there) = (mint(&[1]), mint(&[1]));
    let first = read(&here, &here.mint(session()));
    let child = here.child(&first);
    assert_eq!(there.child(&first).token.expose(), child.token.expose());
    let authentic = read(&there, &child);
    assert_eq!(
        (authentic.session, authentic.generation, authentic.fingerprint),
        (first.session, 1, child.fingerprint)
    );
    let grandchild = here.child(&authentic);
    assert_ne!(grandchild.fingerprint, child.fingerprint);
    let sibling = here.child(&read(&here, &here.mint(first.session)));
    assert_ne!(sibling.fingerprint, child.fingerprint, "another secret, another child");
    assert_ne!(mint(&[2]).child(&first).fingerprint, child.fingerprint, "another key, another child");
}

#[test]
fn a_child_is_found_again_after_a_change_of_the_key() {
    let (before, after) = (mint(&[1]), mint(&[1, 2]));
    let parent = read(&before, &before.mint(session()));
    let child = before.child(&parent);
    assert_ne!(after.child(&parent).fingerprint, child.fingerprint);
    let found = after.child_with(&parent, child.fingerprint).unwrap();
    assert_eq!(found.token.expose(), child.token.expose());
    let other = before.mint(session());
    assert!(after.child_with(&parent, other.fingerprint).is_none());
    assert!(after.child_with(&parent, parent.fingerprint).is_none(), "nobody is his own child");
}

#[test]
fn a_family_that_can_count_no_further_still_moves_on() {
    let mint = mint(&[1]);
    let last = token_of(1, session(), u32::MAX, 7);
    let child = mint.child(&read(&mint, &last));
    assert_eq!(read(&mint, &child).generation, u32::MAX);
    assert_ne!(child.fingerprint, last.fingerprint);
}

#[test]
fn the_secret_is_not_shown() {
    let mint = mint(&[1]);
    let parent = read(&mint, &token_of(1, session(), 0, 0xAB));
    let shown = format!("{:?}", parent.secret);
    assert_eq!(shown, "TokenSecret");
}

proptest! {
    #[test]
    fn one_changed_character_is_a_forgery(at in 0..91_usize, with in "[A-Za-z0-9_=+/ -]|\\PC") {
        let minted = mint(&[1]).mint(session());
        let mut text: Vec<String> = minted.token.expose().chars().map(String::from).collect();
        prop_assume!(text[at] != with);
        text[at] = with;
        prop_assert!(mint(&[1]).authenticate(&text.concat()).is_err());
    }

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,200}|[A-Za-z0-9_-]{80,100}") {
        prop_assert!(mint(&[1]).authenticate(&text).is_err());
    }
}
