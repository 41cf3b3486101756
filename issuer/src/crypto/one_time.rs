use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::domain::clock::Random;
use crate::domain::one_time::{MintedOneTimeToken, OneTimeToken, Purpose};
use crate::domain::ports::OneTimeTokens;
use crate::domain::token::TokenFingerprint;

/// Makes one-time tokens: base64url of 32 random bytes.
///
/// There is no key in it: what is stored of a token is SHA-256 over its purpose and bytes that nobody can guess.
pub struct OneTimeMint {
    random: Arc<dyn Random>,
}

const TOKEN_BYTES: usize = 32;

impl OneTimeMint {
    /// A mint that throws these dice.
    #[must_use]
    pub fn new(random: Arc<dyn Random>) -> Self {
        Self { random }
    }
}

impl OneTimeTokens for OneTimeMint {
    fn mint(&self, purpose: Purpose) -> MintedOneTimeToken {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        self.random.fill(&mut *bytes);
        let token = OneTimeToken::new(BASE64_URL_SAFE_NO_PAD.encode(*bytes));
        MintedOneTimeToken { token, fingerprint: fingerprint(purpose, &bytes) }
    }

    fn fingerprint(&self, purpose: Purpose, token: &str) -> Option<TokenFingerprint> {
        let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
        let read = BASE64_URL_SAFE_NO_PAD.decode_slice(token, &mut *bytes);
        (read == Ok(TOKEN_BYTES)).then(|| fingerprint(purpose, &bytes))
    }
}

/// The purpose goes in, so that a token of one purpose is not even found where another one is asked for.
fn fingerprint(purpose: Purpose, bytes: &[u8; TOKEN_BYTES]) -> TokenFingerprint {
    let hash = Sha256::new()
        .chain_update("doorward one-time token\0")
        .chain_update(purpose.as_str())
        .chain_update("\0")
        .chain_update(bytes);
    TokenFingerprint(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::SystemRandom;

    #[test]
    fn a_token_is_recognised_for_its_purpose_alone() {
        let mint = OneTimeMint::new(Arc::new(SystemRandom));
        let (reset, verify) = (Purpose::ResetPassword, Purpose::VerifyEmail);
        let minted = mint.mint(reset);
        assert_eq!(mint.fingerprint(reset, minted.token.expose()), Some(minted.fingerprint));
        assert_ne!(mint.fingerprint(verify, minted.token.expose()), Some(minted.fingerprint));
        assert_ne!(mint.mint(reset).fingerprint, minted.fingerprint);
    }

    #[test]
    fn a_token_has_one_spelling() {
        let mint = OneTimeMint::new(Arc::new(SystemRandom));
        let token = mint.mint(Purpose::VerifyEmail).token;
        let token = token.expose();
        let cut = &token[..token.len() - 1];
        // The last character carries two bits that have to be zero.
        let stray: Vec<String> = ('a'..='z').map(|last| format!("{cut}{last}")).collect();
        let read = stray.iter().filter(|text| mint.fingerprint(Purpose::VerifyEmail, text).is_some()).count();
        assert!(read < stray.len() / 2, "{read} spellings");
        for text in ["", cut, &format!("{token}="), &format!("{token}A"), &format!(" {token}"), "ä"] {
            assert!(mint.fingerprint(Purpose::VerifyEmail, text).is_none(), "{text:?}");
        }
    }
}
