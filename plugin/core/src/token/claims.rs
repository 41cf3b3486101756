//! Verified claims that hold now, as an identity that can be put into headers.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::VerifiedToken;
use super::revocation::{Marks, RevokedSet};
use crate::json::{Json, Members};
use crate::policy::{HeaderPlan, PreparedHeaders, Provider};
use crate::{Reason, UnixTime};

/// Names along the way to a claim inside the payload.
pub type ClaimPath = Vec<String>;

/// Where each of Doorward's names is found in a provider's payload.
#[derive(Debug, Clone)]
pub struct ClaimMap(BTreeMap<String, Vec<ClaimPath>>);

/// Doorward's own names, and the claims of its own issuer.
const OWN_CLAIMS: [(&str, &str); 7] = [
    ("user_id", "sub"),
    ("email", "email"),
    ("email_verified", "email_verified"),
    ("username", "username"),
    ("roles", "roles"),
    ("permissions", "permissions"),
    ("session_id", "sid"),
];

impl ClaimMap {
    /// Doorward's own claims, with some of them found elsewhere, and others added.
    pub fn new(configured: impl IntoIterator<Item = (String, Vec<ClaimPath>)>) -> Self {
        let own = OWN_CLAIMS.map(|(name, claim)| (name.to_owned(), vec![vec![claim.to_owned()]]));
        Self(own.into_iter().chain(configured).collect())
    }

    /// Whether a name is known, so that a header can be filled from it.
    pub fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The claim under the first of the paths that leads anywhere; `null` is nowhere.
    fn find<'c>(&self, claims: &'c Members<'c>, name: &str) -> Option<&'c Json<'c>> {
        self.0.get(name)?.iter().find_map(|path| {
            let (first, rest) = path.split_first()?;
            let found = rest.iter().try_fold(claims.get(first)?, |value, name| match value {
                Json::Object(members) => members.get(name),
                _ => None,
            })?;
            (*found != Json::Null).then_some(found)
        })
    }
}

/// Who is calling: a user of a provider, until the token ends.
pub struct Identity {
    provider: Rc<str>,
    provider_index: usize,
    user_id: String,
    roles: Vec<String>,
    permissions: Vec<String>,
    headers: PreparedHeaders,
    ends: u64,
    marks: Marks,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("provider", &self.provider).finish_non_exhaustive()
    }
}

impl Identity {
    /// Checks what the claims say against the provider's configuration and the time.
    ///
    /// # Errors
    /// `expired`, `not_yet_valid`, `wrong_audience`, or `bad_claims` for anything else that does not hold.
    pub fn from_claims(
        token: &VerifiedToken<'_>,
        provider: &Provider,
        plan: &HeaderPlan,
        revoked: Option<&RevokedSet>,
        now: UnixTime,
    ) -> Result<Self, Reason> {
        let claims = &token.claims;
        let ends = check_times(claims, provider, now.as_secs())?;
        check_audience(claims, provider)?;
        let fields = Fields { claims, provider };
        let user_id = fields.single("user_id")?.filter(|id| !id.is_empty()).ok_or(Reason::BadClaims)?;
        Ok(Self {
            provider: Rc::clone(provider.name()),
            provider_index: provider.index(),
            user_id,
            roles: fields.list("roles")?.unwrap_or_default(),
            permissions: fields.list("permissions")?.unwrap_or_default(),
            headers: fields.prepare(plan)?,
            ends,
            marks: revoked.map(|revoked| marks(token, revoked)).unwrap_or_default(),
        })
    }

    /// The name of the provider that vouched.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The place of that provider in the configuration.
    pub fn provider_index(&self) -> usize {
        self.provider_index
    }

    /// The user's id with that provider; never empty.
    pub fn user_id(&self) -> &str {
        &self.user_id
    }

    /// Whether the user has this role.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }

    /// Whether the user has this permission.
    pub fn has_permission(&self, permission: &str) -> bool {
        self.permissions.iter().any(|p| p == permission)
    }

    /// The headers that tell the service who is calling.
    pub fn headers(&self) -> &PreparedHeaders {
        &self.headers
    }

    /// By what the token can be dead before it ends.
    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The second from which the token counts no more, skew included.
    pub(super) fn ends(&self) -> u64 {
        self.ends
    }

    /// About how much memory this takes, in bytes.
    pub(super) fn size(&self) -> usize {
        let texts = self.roles.iter().chain(&self.permissions).map(String::len);
        let headers = self.headers.iter().map(|(_, value)| value.len());
        let owned =
            texts.chain(headers).map(|length| length.saturating_add(32)).fold(0, usize::saturating_add);
        owned.saturating_add(self.user_id.len()).saturating_add(size_of::<Self>())
    }
}

#[cfg(test)]
impl Identity {
    /// Somebody, until then.
    pub(super) fn until(ends: u64) -> Self {
        Self {
            provider: "doorward".into(),
            provider_index: 0,
            user_id: "u-1".to_owned(),
            roles: Vec::new(),
            permissions: Vec::new(),
            headers: Rc::default(),
            ends,
            marks: Marks::default(),
        }
    }
}

/// Revocations speak of the registered claims, whatever the provider's other names are.
fn marks(token: &VerifiedToken<'_>, revoked: &RevokedSet) -> Marks {
    let text = |name| token.claims.get(name).and_then(Json::as_str);
    let epoch = token.claims.get("epoch").and_then(Json::as_u64);
    revoked.marks(text("sid"), text("sub"), epoch, token.key.as_deref())
}

fn check_times(claims: &Members<'_>, provider: &Provider, now: u64) -> Result<u64, Reason> {
    let seconds = |name| claims.get(name).and_then(Json::as_u64);
    let skew = provider.clock_skew().as_secs();
    let soon = now.saturating_add(skew);
    let expires = seconds("exp").ok_or(Reason::BadClaims)?;
    let ends = expires.saturating_add(skew);
    if ends <= now {
        return Err(Reason::Expired);
    }
    if seconds("nbf").is_some_and(|nbf| nbf > soon) || seconds("iat").is_some_and(|iat| iat > soon) {
        return Err(Reason::NotYetValid);
    }
    let lifetime = expires.saturating_sub(seconds("iat").unwrap_or(now));
    if lifetime > provider.max_lifetime().as_secs() {
        return Err(Reason::BadClaims);
    }
    Ok(ends)
}

fn check_audience(claims: &Members<'_>, provider: &Provider) -> Result<(), Reason> {
    let ours =
        |value: &Json<'_>| value.as_str().is_some_and(|aud| provider.audiences().iter().any(|a| **a == *aud));
    match claims.get("aud") {
        Some(Json::List(items)) if items.iter().any(ours) => Ok(()),
        Some(single) if ours(single) => Ok(()),
        _ => Err(Reason::WrongAudience),
    }
}

/// Claims by Doorward's names, typed as the contract types them.
struct Fields<'a> {
    claims: &'a Members<'a>,
    provider: &'a Provider,
}

impl<'a> Fields<'a> {
    fn find(&self, name: &str) -> Option<&'a Json<'a>> {
        self.provider.claims().find(self.claims, name)
    }

    fn single(&self, name: &str) -> Result<Option<String>, Reason> {
        self.find(name).map(|value| scalar(name, value)).transpose()
    }

    fn list(&self, name: &str) -> Result<Option<Vec<String>>, Reason> {
        self.find(name).map(list).transpose()
    }

    fn prepare(&self, plan: &HeaderPlan) -> Result<PreparedHeaders, Reason> {
        let mut headers = Vec::new();
        for (header, name) in plan.injected() {
            if let Some(value) = self.header_value(name)? {
                headers.push((Rc::clone(header), value));
            }
        }
        Ok(headers.into())
    }

    fn header_value(&self, name: &str) -> Result<Option<Box<str>>, Reason> {
        use crate::policy::{encode_list, encode_value};
        let is_list = matches!(name, "roles" | "permissions");
        match self.find(name) {
            _ if name == "provider" => Ok(Some(encode_value(self.provider.name()))),
            None => Ok(None),
            Some(value) if is_list || matches!(value, Json::List(_)) && !is_own(name) => {
                Ok(Some(encode_list(list(value)?.iter().map(String::as_str))))
            }
            Some(value) => Ok(Some(encode_value(&scalar(name, value)?))),
        }
    }
}

fn scalar(name: &str, value: &Json<'_>) -> Result<String, Reason> {
    match value {
        Json::Bool(truth) if matches!(name, "email_verified") || !is_own(name) => Ok(truth.to_string()),
        Json::Text(text) if name != "email_verified" => survives_trimming(text),
        // Whole numbers only: a float would lose digits on its way through some reader.
        Json::Unsigned(number) if name == "user_id" || !is_own(name) => Ok(number.to_string()),
        Json::Negative(number) if name == "user_id" || !is_own(name) => Ok(number.to_string()),
        _ => Err(Reason::BadClaims),
    }
}

fn is_own(name: &str) -> bool {
    OWN_CLAIMS.iter().any(|(own, _)| *own == name)
}

/// An array of strings, or a space-separated string such as `scope` (RFC 8693 section 4.2).
fn list(value: &Json<'_>) -> Result<Vec<String>, Reason> {
    match value {
        Json::List(items) => {
            items.iter().map(|item| survives_trimming(item.as_str().ok_or(Reason::BadClaims)?)).collect()
        }
        Json::Text(text) => Ok(text.split(' ').filter(|part| !part.is_empty()).map(str::to_owned).collect()),
        _ => Err(Reason::BadClaims),
    }
}

/// Every HTTP reader trims header values and many trim list elements: a user called " admin" would arrive as
/// somebody else.
fn survives_trimming(text: &str) -> Result<String, Reason> {
    if text.starts_with(' ') || text.ends_with(' ') { Err(Reason::BadClaims) } else { Ok(text.to_owned()) }
}
