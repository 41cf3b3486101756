//! One request, from its head to the decision. Read [`Gate::decide`] first.

use std::rc::Rc;
use std::time::Duration;

use crate::keys::KeySet;
use crate::policy::path::Path;
use crate::policy::{Access, HeaderMutation, Mode, Permit, Policy, Provider, Rule};
use crate::token::{Credential, Identity, Segments, TokenCache, UnverifiedToken};
use crate::{Host, Reason, Refusal, RequestHead, UnixTime};

/// How much of a `kid` is shown to the operator, in characters.
const MAX_LOGGED_KID: usize = 64;

/// So far ahead is a moment that the time of the last tick can tell that it is not past.
const FAR: Duration = Duration::from_secs(30);

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// It passes, once these changes are made.
    Forward(Permit, HeaderMutation),
    /// It gets its answer here.
    Refuse(Refusal),
    /// It waits for news of a provider, which may be on its way, and is decided anew. Nothing is counted yet.
    Hold {
        /// The provider, by its place in the configuration.
        provider: usize,
    },
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
    lookups: Lookups,
    last_version: u64,
}

/// How many tokens were found in the cache, and how many were not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is what it is called")]
pub struct Lookups {
    pub hits: u64,
    pub misses: u64,
}

impl Gate {
    /// A gate for a policy. Keys that are not part of it come through [`Gate::install`].
    pub fn new(mut policy: Policy) -> Self {
        let keys = TrustedKeys(policy.providers.iter_mut().map(Provider::take_fixed_keys).collect());
        let (entries, bytes) = policy.cache;
        Self {
            policy,
            keys,
            cache: TokenCache::new(entries, bytes),
            lookups: Lookups::default(),
            last_version: 0,
        }
    }

    /// What this gate was built from.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What was looked up in the cache since the last time this was asked.
    pub fn take_lookups(&mut self) -> Lookups {
        std::mem::take(&mut self.lookups)
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
        let Self { policy, keys, cache, lookups, .. } = self;
        let mut check = Check { policy, keys, cache, host, was_cached: None };
        let verdict = check.admit(head);
        let was_cached = check.was_cached;
        if let (Err(Stop { waits_for: Some(provider), .. }), Waiting::Allowed) = (&verdict, waiting) {
            return Decision::Hold { provider: *provider };
        }
        lookups.count(was_cached);
        match verdict {
            Ok((permit, credential)) => {
                let mutation = HeaderMutation::new(&policy.headers, head, &permit, credential.as_ref());
                Decision::Forward(permit, mutation)
            }
            Err(Stop { refusal, .. }) => Decision::Refuse(refusal),
        }
    }

    /// What a refused request becomes in shadow mode: it goes on, stripped and without an identity. `None` when
    /// refusals are carried out.
    pub fn shadow(&self, head: &RequestHead<'_>) -> Option<HeaderMutation> {
        let mutation = || HeaderMutation::new(&self.policy.headers, head, &Permit::anonymous(), None);
        (self.policy.mode == Mode::Shadow).then(mutation)
    }
}

impl Lookups {
    fn count(&mut self, was_cached: Option<bool>) {
        self.hits = self.hits.saturating_add(u64::from(was_cached == Some(true)));
        self.misses = self.misses.saturating_add(u64::from(was_cached == Some(false)));
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
    /// Whether the token was found in the cache, once it was looked for.
    was_cached: Option<bool>,
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
        let identity = self.identify(&credential).map_err(|stop| stop.about(rule))?;
        let permit = rule.permit(identity, &path)?;
        Ok((permit, Some(credential)))
    }

    /// Who sent this token.
    fn identify(&mut self, credential: &Credential<'_>) -> Result<Rc<Identity>, Stop> {
        let (trusted, host) = (self.keys, self.host);
        let is_ahead = |moment| is_ahead(moment, host);
        let known = self.cache.find(credential.bytes(), is_ahead, |provider| trusted.version_of(provider));
        self.was_cached = Some(known.is_some());
        if let Some(identity) = known {
            return Ok(identity);
        }
        let segments = Segments::decode(credential.token()?)?;
        let unverified = UnverifiedToken::parse(&segments)?;
        let issued_by = |provider: &&Provider| provider.issuer() == unverified.issuer();
        let provider = self.policy.providers.iter().find(issued_by).ok_or(Reason::UnknownProvider)?;
        let kid = unverified.kid().map(|kid| kid.chars().take(MAX_LOGGED_KID).collect::<String>());
        let stop = |reason| Stop::for_provider(reason, provider, kid.as_ref());

        let keys = trusted.of(provider.index()).ok_or_else(|| stop(Reason::KeysUnavailable))?;
        let verified = unverified.verify(provider, keys, self.host).map_err(stop)?;
        let identity =
            Identity::from_claims(&verified, provider, &self.policy.headers, host.now()).map_err(stop)?;
        let identity = Rc::new(identity);
        self.cache.insert(credential.bytes(), &identity, keys.version());
        Ok(identity)
    }
}

/// Whether a moment, in seconds, lies ahead. The clock is asked only where a little could make a difference.
fn is_ahead(moment: u64, host: &impl Host) -> bool {
    let far = |recent: UnixTime| moment > recent.saturating_add(FAR).as_secs();
    host.recently().is_some_and(far) || moment > host.now().as_secs()
}

/// A request does not pass.
struct Stop {
    refusal: Refusal,
    /// The provider whose news could change that, if it is worth to wait for them.
    waits_for: Option<usize>,
}

impl Stop {
    /// Keys that are missing may still come, if they come from somewhere.
    fn for_provider(reason: Reason, provider: &Provider, kid: Option<&String>) -> Self {
        let kid = kid.filter(|_| matches!(reason, Reason::UnknownKey | Reason::BadSignature)).cloned();
        let refusal = Refusal { provider: Some(provider.name().to_string()), kid, ..reason.into() };
        let may_come = matches!(reason, Reason::KeysUnavailable | Reason::UnknownKey);
        let comes = may_come && provider.remote_keys().is_some();
        Self { refusal, waits_for: comes.then(|| provider.index()) }
    }

    fn about(self, rule: &Rule) -> Self {
        Self { refusal: Refusal { rule: Some(rule.index), ..self.refusal }, ..self }
    }
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Refusal::from(reason).into()
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, waits_for: None }
    }
}
