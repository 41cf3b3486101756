//! One request, from its head to the decision. Read [`Gate::decide`] first.

use std::rc::Rc;

use crate::keys::KeySet;
use crate::policy::path::Path;
use crate::policy::{Access, HeaderMutation, Mode, Permit, Policy, Provider, Rule};
use crate::token::{Credential, Identity, Segments, TokenCache, UnverifiedToken};
use crate::{Host, Reason, Refusal, RequestHead};

/// How much of a `kid` is shown to the operator, in characters.
const MAX_LOGGED_KID: usize = 64;

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// It passes, once these changes are made.
    Forward(Permit, HeaderMutation),
    /// It gets its answer here.
    Refuse(Refusal),
    /// It waits: keys that it needs may be on their way.
    Hold(Hold),
}

/// Why a request waits, and what it is told if that is of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The provider whose keys are missing, by its place in the configuration.
    pub provider: usize,
    /// The answer when nothing comes.
    pub otherwise: Refusal,
}

/// Whether a request may still wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// It may be held.
    Allowed,
    /// It has waited, or nobody may: decide with what there is.
    Over,
}

/// A policy, the keys that are trusted now, and the tokens that were seen lately.
#[derive(Debug)]
pub struct Gate {
    policy: Policy,
    keys: TrustedKeys,
    cache: TokenCache,
    last_version: u64,
}

impl Gate {
    /// A gate for a policy. Keys that are not part of it come through [`Gate::install`].
    pub fn new(mut policy: Policy) -> Self {
        let keys = TrustedKeys(policy.providers.iter_mut().map(Provider::take_fixed_keys).collect());
        let (entries, bytes) = policy.cache;
        Self { policy, keys, cache: TokenCache::new(entries, bytes), last_version: 0 }
    }

    /// What this gate was built from.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many tokens were found in the cache since the last time this was asked, and how many were not.
    pub fn take_cache_counts(&mut self) -> (u64, u64) {
        self.cache.take_counts()
    }

    /// Trusts these keys of a provider from now on, and none that it had before. `None` trusts none.
    pub fn install(&mut self, provider: usize, keys: Option<KeySet>) {
        self.last_version = self.last_version.saturating_add(1);
        if let Some(slot) = self.keys.0.get_mut(provider) {
            *slot = keys.map(|keys| keys.with_version(self.last_version));
        }
    }

    /// Decides about one request.
    pub fn decide(&mut self, head: &RequestHead<'_>, host: &impl Host, waiting: Waiting) -> Decision {
        let Self { policy, keys, cache, .. } = self;
        match (Check { policy, keys, cache, host }).admit(head) {
            Ok((permit, credential)) => {
                let mutation = HeaderMutation::new(&policy.headers, head, &permit, credential.as_ref());
                Decision::Forward(permit, mutation)
            }
            Err(Stop::Hold(hold)) if waiting == Waiting::Allowed => Decision::Hold(hold),
            Err(Stop::Hold(Hold { otherwise: refusal, .. }) | Stop::Refuse(refusal)) => {
                Decision::Refuse(refusal)
            }
        }
    }

    /// What a refused request becomes in shadow mode: it goes on, stripped and without an identity. `None` when
    /// refusals are carried out.
    pub fn shadow(&self, head: &RequestHead<'_>) -> Option<HeaderMutation> {
        let mutation = || HeaderMutation::new(&self.policy.headers, head, &Permit::anonymous(), None);
        (self.policy.mode == Mode::Shadow).then(mutation)
    }
}

/// The keys of each provider, where there are any.
#[derive(Debug)]
struct TrustedKeys(Vec<Option<KeySet>>);

impl TrustedKeys {
    fn of(&self, provider: usize) -> Option<&KeySet> {
        self.0.get(provider)?.as_ref()
    }

    fn version_of(&self, provider: usize) -> Option<u64> {
        self.of(provider).map(KeySet::version)
    }
}

/// One request on its way: each step hands the next one a value that only it can make.
struct Check<'g, H> {
    policy: &'g Policy,
    keys: &'g TrustedKeys,
    cache: &'g mut TokenCache,
    host: &'g H,
}

impl<'g, H: Host> Check<'g, H> {
    fn admit<'a>(&mut self, head: &RequestHead<'a>) -> Result<(Permit, Option<Credential<'a>>), Stop>
    where
        'g: 'a,
    {
        let path = Path::parse(head.path())?;
        self.policy.headers.check_nominations(head)?;
        if self.policy.preflight_passes && head.is_cors_preflight() {
            return Ok((Permit::anonymous(), None));
        }
        let rule = self.policy.rules.first_match(head.method(), &path).ok_or(Reason::NoRule)?;
        let credential = match rule.access() {
            Access::Public => None,
            Access::Deny => return Err(rule.refuses(Reason::NoRule).into()),
            Access::Optional | Access::Authenticated | Access::Demand(_) => {
                Credential::extract(&self.policy.sources, head, &path)
                    .map_err(|reason| rule.refuses(reason))?
            }
        };
        let Some(credential) = credential else {
            let permit = rule.permit_anonymous().ok_or_else(|| rule.refuses(Reason::MissingCredential))?;
            return Ok((permit, None));
        };
        credential.check_site(head, &self.policy.allowed_origins).map_err(|reason| rule.refuses(reason))?;
        let identity = self.identify(credential.token()).map_err(|stop| stop.about(rule))?;
        let permit = rule.permit(identity, &path)?;
        Ok((permit, Some(credential)))
    }

    /// Who sent this token.
    fn identify(&mut self, token: &str) -> Result<Rc<Identity>, Stop> {
        let now = self.host.now();
        let trusted = self.keys;
        if let Some(identity) = self.cache.find(token, now, |provider| trusted.version_of(provider)) {
            return Ok(identity);
        }
        let segments = Segments::decode(token)?;
        let unverified = UnverifiedToken::parse(&segments)?;
        let issued_by = |provider: &&Provider| provider.issuer() == unverified.issuer();
        let provider = self.policy.providers.iter().find(issued_by).ok_or(Reason::UnknownProvider)?;
        let kid = unverified.kid().map(|kid| kid.chars().take(MAX_LOGGED_KID).collect::<String>());
        let stop = |reason| Stop::for_provider(reason, provider, kid.as_ref());

        let keys = trusted.of(provider.index()).ok_or_else(|| stop(Reason::KeysUnavailable))?;
        let verified = unverified.verify(provider, keys, self.host).map_err(stop)?;
        let identity = Identity::from_claims(&verified, provider, &self.policy.headers, now).map_err(stop)?;
        let identity = Rc::new(identity);
        self.cache.insert(token, &identity, keys.version());
        Ok(identity)
    }
}

/// The two ways in which a request does not pass for now.
enum Stop {
    Refuse(Refusal),
    Hold(Hold),
}

impl Stop {
    /// Keys that are missing may still come, if they come from somewhere.
    fn for_provider(reason: Reason, provider: &Provider, kid: Option<&String>) -> Self {
        let kid = kid.filter(|_| matches!(reason, Reason::UnknownKey | Reason::BadSignature)).cloned();
        let refusal = Refusal { provider: Some(provider.name().to_string()), kid, ..reason.into() };
        let may_come = matches!(reason, Reason::KeysUnavailable | Reason::UnknownKey);
        if may_come && provider.remote_keys().is_some() {
            Self::Hold(Hold { provider: provider.index(), otherwise: refusal })
        } else {
            Self::Refuse(refusal)
        }
    }

    fn about(self, rule: &Rule) -> Self {
        let with_rule = |refusal| Refusal { rule: Some(rule.index), ..refusal };
        match self {
            Self::Refuse(refusal) => Self::Refuse(with_rule(refusal)),
            Self::Hold(hold) => Self::Hold(Hold { otherwise: with_rule(hold.otherwise), ..hold }),
        }
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Refuse(reason.into())
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}
