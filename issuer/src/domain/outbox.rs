//! The outbox: what a change of state has to tell, until it has been told. `docs/events` has the whole story.
//!
//! An entry is written with the change. A relay *claims* users: everything of theirs that is due is then out of sight for
//! the others until the claim ends, so that one user's events leave in their order, however many issuers run. What became of
//! each entry is a [`Fate`]; [`fate`] decides it, the store writes it.

/// What becomes of an entry that was tried: a pure function of what happened.
pub mod fate;

use jiff::Timestamp;
use uuid::Uuid;

use self::fate::Fate;
use super::alert::ALERT;
use super::clock::later;
use super::ids::UserId;

/// The way out of the outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// To the message broker. One user's events leave in their order; one that cannot leave holds the later ones up.
    Events,
    /// To people. Every mail is for itself.
    Mail,
}

/// How far an entry has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryState {
    /// To be sent when it is due.
    Waiting,
    /// The other side has it; kept for a while, so that it can be sent again.
    Done,
    /// The broker had no queue for it; kept for longer.
    Unroutable,
    /// Given up until an operator says otherwise.
    Parked,
}

/// Something that waits to be told, or has been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// The same entry has the same id wherever it turns up, and however often.
    pub id: Uuid,
    /// Which way it goes.
    pub channel: Channel,
    /// Whom it is about.
    pub user: UserId,
    /// Counts his events, from 1. A mail has the number of the last event before it.
    pub sequence: u64,
    /// Its type, such as `user.created`.
    pub kind: String,
    /// When it happened.
    pub at: Timestamp,
    /// The request that caused it; empty if none did.
    pub request_id: String,
    /// The member `data` of an event, as JSON; of a mail whatever its sender can read, with nothing in it that must not
    /// be read in the store.
    pub data: String,
    /// How often it was tried and did not leave.
    pub attempts: u32,
}

/// A mail to send, written in the same transaction as what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailJob {
    /// Nobody else's; the context in which its secrets are sealed.
    pub id: Uuid,
    /// Which mail it is.
    pub kind: &'static str,
    /// What its sender needs. Secrets are sealed.
    pub data: String,
}

/// The right to send what waits, for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Nobody else's.
    pub id: Uuid,
    /// Which way it is about.
    pub channel: Channel,
    /// When it begins: what is due by then can be claimed.
    pub now: Timestamp,
    /// When others may take over.
    pub until: Timestamp,
    /// How many entries at most.
    pub limit: u32,
}

/// What a claim got.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Under which it was got.
    pub claim: Claim,
    /// Whose entries are out of the others' sight. More than there are entries for, if some are held up.
    pub users: Vec<UserId>,
    /// What to send: each user's in their order.
    pub entries: Vec<OutboxEntry>,
    /// What is held up by an earlier entry of the same user, and when to look again.
    pub held_up: Vec<(Uuid, Fate)>,
}

/// An entry as the store has it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What it says.
    pub entry: OutboxEntry,
    /// How far it has come: waiting or parked.
    pub state: EntryState,
    /// When it is to be tried.
    pub due: Timestamp,
    /// Who may.
    pub claim: Option<Uuid>,
}

/// How the outbox is doing, one way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxStatus {
    /// Entries that wait.
    pub waiting: u64,
    /// When the oldest of them happened.
    pub oldest: Option<Timestamp>,
    /// Entries that nobody was there for.
    pub unroutable: u64,
    /// Entries that were given up.
    pub parked: u64,
}

/// How telling the rest of the system goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The way to the broker.
    pub link: Link,
    /// Events that were given up.
    pub parked: u64,
}

/// The way to the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is none: nobody is to be told.
    Off,
    /// It takes what we send.
    Ok,
    /// It is short of memory or disk, and takes nothing.
    Blocked,
    /// It is away.
    Unavailable,
}

impl Delivery {
    /// In one word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self.link {
            Link::Off => "off",
            Link::Ok if self.parked > 0 => "parked",
            Link::Ok => "ok",
            Link::Blocked => "blocked",
            Link::Unavailable => "unavailable",
        }
    }
}

/// An entry that did not leave, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Troubled {
    /// What it says.
    pub entry: OutboxEntry,
    /// How far it has come.
    pub state: EntryState,
    /// What the last attempt met.
    pub reason: String,
}

/// What to send once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Which way.
    pub channel: Channel,
    /// What has come that far.
    pub state: EntryState,
    /// Only of this user.
    pub user: Option<UserId>,
    /// Only this one.
    pub id: Option<Uuid>,
}

/// How long what has left is kept.
pub const KEPT_DONE: std::time::Duration = std::time::Duration::from_hours(24);
/// How long what nobody wanted is kept.
pub const KEPT_UNROUTABLE: std::time::Duration = std::time::Duration::from_hours(7 * 24);
/// What a sweep removes, and how old it has to be.
#[must_use]
pub fn swept(unheard: bool) -> Vec<(Channel, EntryState, std::time::Duration)> {
    let mut swept = Vec::new();
    for channel in [Channel::Events, Channel::Mail] {
        swept.push((channel, EntryState::Done, KEPT_DONE));
        swept.push((channel, EntryState::Unroutable, KEPT_UNROUTABLE));
    }
    if unheard {
        swept.push((Channel::Events, EntryState::Waiting, KEPT_DONE));
    }
    swept
}

/// How long what waits behind a parked entry is left alone. A replay ends that at once.
const PARKED_PAUSE: std::time::Duration = std::time::Duration::from_hours(1);

impl OutboxEntry {
    /// Whether administrators shall see it, too.
    #[must_use]
    pub fn is_alert(&self) -> bool {
        self.channel == Channel::Events && self.kind == ALERT
    }
}

impl Claimed {
    /// Nothing was due.
    #[must_use]
    pub fn nothing(claim: Claim) -> Self {
        Self { claim, users: Vec::new(), entries: Vec::new(), held_up: Vec::new() }
    }

    /// Finds out what may be sent, given all that waits or is parked of the claimed `users`: user by user, each in
    /// order. An entry must be the first that still waits, or come right after another that the claim covers, so that
    /// nobody overtakes what another claim is sending, what is to be tried again later, or what is parked.
    #[must_use]
    pub fn line_up(claim: Claim, users: Vec<UserId>, stored: Vec<Stored>) -> Self {
        let mut claimed = Self { claim, users, entries: Vec::new(), held_up: Vec::new() };
        let mut blocked: Option<(UserId, Timestamp)> = None;
        for Stored { entry, state, due, claim: holder } in stored {
            let mine = holder == Some(claim.id) && state == EntryState::Waiting;
            let until = blocked.filter(|(user, _)| *user == entry.user).map(|(_, until)| until);
            match until {
                Some(until) if mine => {
                    claimed.held_up.push((entry.id, Fate::Later { due: until }));
                }
                None if mine => claimed.entries.push(entry),
                None if claim.channel == Channel::Events => {
                    blocked = Some((entry.user, look_again(state, due, holder, claim.now)));
                }
                _ => {}
            }
        }
        claimed
    }
}

/// When to look again behind an entry that is not ours to send.
fn look_again(state: EntryState, due: Timestamp, holder: Option<Uuid>, now: Timestamp) -> Timestamp {
    match (state, holder) {
        (EntryState::Parked, _) => later(now, PARKED_PAUSE),
        // Whoever sends it is done any moment.
        (_, Some(_)) => now,
        (_, None) => due,
    }
}

/// Both ways of naming the variants of an enum in the store.
macro_rules! stored_as {
    ($type:ident { $($variant:ident = $name:literal),+ }) => {
        impl $type {
            /// The name, in the store and to the operator.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// Undoes [`as_str`](Self::as_str).
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

stored_as!(Channel { Events = "events", Mail = "mail" });
stored_as!(EntryState { Waiting = "waiting", Done = "done", Unroutable = "unroutable", Parked = "parked" });

#[cfg(test)]
mod tests;
