use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use doorward_tests::http::Client;
use doorward_tests::parts::issuer::Events as Told;
use doorward_tests::parts::{Issuer, Listener, QueueKind, Rabbitmq};
use doorward_tests::progress::Progress;
use doorward_tests::{tools, wait};

use super::Scale;
use super::logins::Rates;
use super::people::{Person, email};
use super::world::{CHEAP_COST, World};
use crate::bench::Error;
use crate::bench::clock::{now, wait_until};
use crate::bench::measure::Percentiles;
use crate::bench::tokens::joined;

/// The way of events, from the write that causes them to a queue.
#[derive(Debug)]
pub(super) struct Events {
    /// Milliseconds from the answer to a registration until a program has heard of it.
    pub(super) delay: Percentiles,
    /// Milliseconds that a registration takes with the broker there, and without it.
    pub(super) broker_up: Percentiles,
    pub(super) broker_down: Percentiles,
    /// Events a second out of a full outbox, and messages a second that were never in one.
    pub(super) relay: Rates,
}

/// Registrations a second.
const PACE: u32 = 20;
/// How long anything may take that takes moments.
const SOON: Duration = Duration::from_secs(60);
const QUEUE: &str = "measured";

/// Registrations with the broker there and away, and then a full outbox.
pub(super) fn events(world: &World, scale: Scale, progress: Progress) -> Result<Events, Error> {
    let step = progress.step("starting RabbitMQ");
    let dir = world.dir()?;
    let log = dir.join("rabbitmq.log");
    let mut broker = Rabbitmq::start(&tools::rabbitmq::find(progress)?, &dir, log)?;
    drop(step);
    let issuer = world.telling(CHEAP_COST, Told { url: broker.url(), required: Vec::new() })?;
    until_events_are(&issuer, "ok")?;
    let listener = Listener::connect(&broker.url())?;
    listener.bind(QUEUE, QueueKind::Classic, &["user.created"])?;

    let step = progress.step("measuring registrations and their events");
    let number = scale.registrations;
    let (delay, broker_up) = heard(&issuer, &listener, 0..number)?;
    drop((listener, step));

    let step = progress.step("measuring registrations without the broker");
    broker.stop();
    until_events_are(&issuer, "unavailable")?;
    let registered = register(&issuer, number..2 * number)?;
    let broker_down = Percentiles::of(registered.iter().map(|one| one.took).collect());
    drop(step);

    let _step = progress.step(&format!("measuring how {} events leave a full outbox", scale.events));
    fill(&issuer, world, scale.events)?;
    broker.start_again()?;
    let issuer_rate = leaving(&broker, scale.events + number)?;
    let ceiling = world.broker_ceiling(&broker.url(), scale.seconds.min(10))?;
    Ok(Events { delay, broker_up, broker_down, relay: Rates { issuer: issuer_rate, ceiling } })
}

/// A registration.
struct Registered {
    user: String,
    answered: Instant,
    /// In milliseconds.
    took: f64,
}

/// Registers people at a fixed pace, one after the other.
fn register(issuer: &Issuer, numbers: Range<usize>) -> Result<Vec<Registered>, Error> {
    let start = now();
    let one = |(turn, number): (u32, usize)| {
        let mut person = Person::arrive(issuer, number)?;
        wait_until(start + Duration::from_secs(1) / PACE * turn);
        let begun = now();
        let user = person.register()?;
        let answered = now();
        Ok(Registered { user, answered, took: (answered - begun).as_secs_f64() * 1e3 })
    };
    (0..).zip(numbers).map(one).collect()
}

/// The same, while somebody listens.
fn heard(
    issuer: &Issuer,
    listener: &Listener,
    numbers: Range<usize>,
) -> Result<(Percentiles, Percentiles), Error> {
    let (registered, heard) = thread::scope(|scope| {
        let number = numbers.len();
        let registering = scope.spawn(move || register(issuer, numbers));
        let mut heard = HashMap::new();
        listener.hear(QUEUE, number, SOON, |message| {
            heard.insert(message.event["subject"].as_str().unwrap_or_default().to_owned(), now());
        })?;
        Ok::<_, Error>((joined(registering)?, heard))
    })?;
    let delay = |one: &Registered| {
        // Heard before the answer was: no delay at all.
        heard.get(&one.user).map(|heard| heard.saturating_duration_since(one.answered).as_secs_f64() * 1e3)
    };
    let delays: Option<Vec<_>> = registered.iter().map(delay).collect();
    let delays = delays.ok_or_else(|| Error::Unreadable("an event that was not heard".into()))?;
    Ok((Percentiles::of(delays), Percentiles::of(registered.iter().map(|one| one.took).collect())))
}

/// Users from a file, each of whom is an event.
fn fill(issuer: &Issuer, world: &World, number: usize) -> Result<(), Error> {
    // A hash of nothing in particular: nobody will log in.
    let hash = format!("$2b$04${}", "abcdefghijklmnopqrstu.".repeat(3).split_at(53).0);
    let mut lines = String::new();
    for number in 0..number {
        let email = email(1_000_000 + number);
        writeln!(lines, r#"{{"email":"{email}","password_hash":"{hash}"}}"#).unwrap_or_default();
    }
    let file = world.dir()?.join("users.jsonl");
    std::fs::write(&file, lines).map_err(Error::io("write the users"))?;
    Ok(issuer.command(&["users", "import", &file.to_string_lossy()], "").map(drop)?)
}

/// How many a second arrive in the queue, from the first to the last of `number`.
fn leaving(broker: &Rabbitmq, number: usize) -> Result<f64, Error> {
    let listener = Listener::connect(&broker.url())?;
    let waiting = || listener.waiting(QUEUE).ok();
    let first = wait::until(SOON, || waiting().filter(|number| *number > 0));
    let (first, begun) = (first.ok_or_else(no_events)?, now());
    wait::until(SOON, || waiting().filter(|waiting| *waiting as usize >= number)).ok_or_else(no_events)?;
    Ok((number - first as usize) as f64 / begun.elapsed().as_secs_f64())
}

fn no_events() -> Error {
    Error::Unreadable("events that did not arrive".into())
}

fn until_events_are(issuer: &Issuer, state: &str) -> Result<(), Error> {
    let client = Client::new(&issuer.url());
    let same = || {
        let health = client.get("/health").ok()?.json().ok()?;
        (health["events"] == state).then_some(())
    };
    wait::until(SOON, same).ok_or_else(no_events)
}
