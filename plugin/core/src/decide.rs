//! One request, from its head to the decision. Read [`Gate::decide`] first.

use std::rc::Rc;
use std::time::Duration;

use crate::keys::KeySet;
use crate::policy::path::Path;
use crate::policy::{Access, HeaderMutation, Mode, Permit, Policy, Provider, Rule, WhenStale};
use crate::token::revocation::{Feed, Knowledge};
use crate::token::{Credential, Identity, Segments, TokenCache, UnverifiedToken};
use crate::{Host, Reason, Refusal, RequestHead, UnixTime};

/// How much of a `kid` is shown to the operator, in characters.
const MAX_LOGGED_KID: usize = 64;

/// So far off is a moment that the time of the last tick tells on which side of it we are.
const FAR: Duration = Duration::from_secs(10);

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// It passes, once these changes are made.
    Forward(Permit, HeaderMutation),
    /// It gets its answer here.
    Refuse(Refusal),
    /// It waits for something that may be on its way, and is decided anew. Nothing is counted yet.
    Hold(Need),
}

/// What a request waits for. Providers are known by their place in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// This provider's keys.
    Keys(usize),
    /// The first that is heard of this provider's revocations.
    Revocations(usize),
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
    feeds: Vec<Option<Feed>>,
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
    /// A gate for a policy. Keys that are not part of it come through [`Gate::install`], revocations through
    /// [`Gate::feed`]. `me` is a random number that tells this worker from others.
    pub fn new(mut policy: Policy, me: u64) -> Self {
        let keys = TrustedKeys(policy.providers.iter_mut().map(Provider::take_fixed_keys).collect());
        let feed = |provider: &Provider| Some(Feed::new(me, provider.revocation()?.max_stale));
        let feeds = policy.providers.iter().map(feed).collect();
        let (entries, bytes) = policy.cache;
        Self {
            policy,
            keys,
            feeds,
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

    /// What this worker knows of a provider's revocations, if the provider has any.
    pub fn feed(&mut self, provider: usize) -> Option<&mut Feed> {
        self.feeds.get_mut(provider)?.as_mut()
    }

    /// Decides about one request.
    pub fn decide(&mut self, head: &RequestHead<'_>, host: &impl Host, waiting: Waiting) -> Decision {
        let Self { policy, keys, feeds, cache, lookups, .. } = self;
        let mut check = Check { policy, keys, feeds, cache, host, was_cached: None };
        let verdict = check.admit(head, waiting);
        let was_cached = check.was_cached;
        if let (Err(Stop { needs: Some(need), .. }), Waiting::Allowed) = (&verdict, waiting) {
            return Decision::Hold(*need);
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
    feeds: &'g [Option<Feed>],
    cache: &'g mut TokenCache,
    host: &'g H,
    /// Whether the token was found in the cache, once it was looked for.
    was_cached: Option<bool>,
}

impl<'g, H: Host> Check<'g, H> {
    fn admit<'a>(
        &mut self,
        head: &RequestHead<'a>,
        waiting: Waiting,
    ) -> Result<(Permit, Option<Credential<'a>>), Stop>
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
        let identity = self.alive(identity, waiting).map_err(|stop| stop.about(rule))?;
        let permit = rule.permit(identity, &path)?;
        Ok((permit, Some(credential)))
    }

    /// Who sent this token.
    fn identify(&mut self, credential: &Credential<'_>) -> Result<Rc<Identity>, Stop> {
        let (trusted, host) = (self.keys, self.host);
        let is_ahead = |moment| is_ahead(moment, host);
        let known = self.cache.find(credential.bytes(), is_ahead, |provider| trusted.version_of(provider));
        self.was_cached = Some(known.is_some());
        known.map_or_else(|| self.verify(credential), Ok)
    }

    /// Who sent a token that is not in the cache.
    #[inline(never)]
    fn verify(&mut self, credential: &Credential<'_>) -> Result<Rc<Identity>, Stop> {
        let segments = Segments::decode(credential.token()?)?;
        let unverified = UnverifiedToken::parse(&segments)?;
        let issued_by = |provider: &&Provider| provider.issuer() == unverified.issuer();
        let provider = self.policy.providers.iter().find(issued_by).ok_or(Reason::UnknownProvider)?;
        let kid = unverified.kid().map(|kid| kid.chars().take(MAX_LOGGED_KID).collect::<String>());
        let stop = |reason| Stop::for_provider(reason, provider, kid.as_ref());

        let keys = self.keys.of(provider.index()).ok_or_else(|| stop(Reason::KeysUnavailable))?;
        let verified = unverified.verify(provider, keys, self.host).map_err(stop)?;
        let (plan, revoked) = (&self.policy.headers, self.feed_of(provider.index()).map(Feed::set));
        let identity =
            Identity::from_claims(&verified, provider, plan, revoked, self.host.now()).map_err(stop)?;
        let identity = Rc::new(identity);
        self.cache.insert(credential.bytes(), &identity, keys.version());
        Ok(identity)
    }

    /// The same, unless the token has been withdrawn. Asked of each request, wherever its identity is from.
    fn alive(&self, identity: Rc<Identity>, waiting: Waiting) -> Result<Rc<Identity>, Stop> {
        let index = identity.provider_index();
        let source = self.policy.providers.get(index).and_then(Provider::revocation);
        let (Some(source), Some(feed)) = (source, self.feed_of(index)) else { return Ok(identity) };
        let knowledge = feed.judge(identity.marks(), |moment, limit| is_within(moment, limit, self.host));
        let (reason, needs) = match (knowledge, source.when_stale) {
            (Knowledge::Alive, _) => return Ok(identity),
            (Knowledge::Dead, _) => (Reason::Revoked, None),
            (Knowledge::Nothing, _) if waiting == Waiting::Allowed => {
                (Reason::RevocationsStale, Some(Need::Revocations(index)))
            }
            (Knowledge::Nothing | Knowledge::Stale, WhenStale::Allow) => return Ok(identity),
            (Knowledge::Nothing | Knowledge::Stale, WhenStale::Deny) => (Reason::RevocationsStale, None),
        };
        let refusal = Refusal { provider: Some(identity.provider().to_owned()), ..reason.into() };
        Err(Stop { refusal, needs })
    }

    fn feed_of(&self, provider: usize) -> Option<&'g Feed> {
        self.feeds.get(provider)?.as_ref()
    }
}

/// Whether a moment is less than so much away from now, before or after.
fn is_within(moment: UnixTime, distance: Duration, host: &impl Host) -> bool {
    let surely = |recent: UnixTime| recent.abs_diff(moment).saturating_add(FAR) < distance;
    host.recently().is_some_and(surely) || host.now().abs_diff(moment) < distance
}

/// Whether a moment, in seconds, lies ahead. The clock is asked only where a little could make a difference.
fn is_ahead(moment: u64, host: &impl Host) -> bool {
    let far = |recent: UnixTime| moment > recent.saturating_add(FAR).as_secs();
    host.recently().is_some_and(far) || moment > host.now().as_secs()
}

/// A request does not pass.
struct Stop {
    refusal: Refusal,
    /// What could change that, if it is worth to wait for.
    needs: Option<Need>,
}

impl Stop {
    /// Keys that are missing may still come, if they come from somewhere.
    fn for_provider(reason: Reason, provider: &Provider, kid: Option<&String>) -> Self {
        let kid = kid.filter(|_| matches!(reason, Reason::UnknownKey | Reason::BadSignature)).cloned();
        let refusal = Refusal { provider: Some(provider.name().to_string()), kid, ..reason.into() };
        let may_come = matches!(reason, Reason::KeysUnavailable | Reason::UnknownKey);
        let comes = may_come && provider.remote_keys().is_some();
        Self { refusal, needs: comes.then(|| Need::Keys(provider.index())) }
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
        Self { refusal, needs: None }
    }
}
