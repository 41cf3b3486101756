//! The only way to a [`VerifiedToken`].

use super::UnverifiedToken;
use crate::json::Members;
use crate::keys::{Key, KeySet, Selected};
use crate::policy::Provider;
use crate::{Host, Reason};

/// A token whose signature was made by a key of its provider. Whether its claims hold is not known yet, so they
/// stay closed.
pub struct VerifiedToken<'a> {
    pub(super) claims: Members<'a>,
    /// The name of the key that made the signature, whatever the token says.
    pub(super) key: Option<String>,
}

impl std::fmt::Debug for VerifiedToken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedToken").finish_non_exhaustive()
    }
}

impl<'a> UnverifiedToken<'a> {
    /// Checks type, algorithm and signature. The algorithm is the key's; the token's own word only has to agree
    /// with it, which is what stops a public key from being used as an HMAC secret.
    ///
    /// # Errors
    /// `malformed_token` for a foreign `typ`, `unknown_key` when no key has this `kid`, `bad_signature`.
    pub fn verify(
        self,
        provider: &Provider,
        keys: &KeySet,
        host: &impl Host,
    ) -> Result<VerifiedToken<'a>, Reason> {
        if !provider.token_type().accepts(self.typ().as_deref()) {
            return Err(Reason::MalformedToken);
        }
        let algorithm =
            self.algorithm().filter(|a| provider.algorithms().contains(a)).ok_or(Reason::BadSignature)?;
        let candidates = match keys.select(self.kid(), algorithm) {
            Selected::Candidates(keys) => keys,
            Selected::OtherAlgorithm => return Err(Reason::BadSignature),
            Selected::Nothing => return Err(Reason::UnknownKey),
        };
        let verifies = |key: &&Key| key.verifies(self.raw, self.signing_input, self.signature, host);
        let key = candidates.into_iter().find(verifies).ok_or(Reason::BadSignature)?;
        Ok(VerifiedToken { key: key.kid.clone(), claims: self.claims })
    }
}
