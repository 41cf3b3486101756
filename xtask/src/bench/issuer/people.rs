use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Instant;

use doorward_tests::http::raw::{Answer, Connection};
use doorward_tests::parts::Issuer;
use serde_json::{Value, json};

use super::super::Error;
use super::super::clock::now;
use super::super::tokens::joined;

const PASSWORD: &str = "S3cureP@ss";
const WRONG_PASSWORD: &str = "s3cureP@ss";

/// Somebody with a connection of his own, behind a proxy that says who he is: the issuer counts him by that.
pub(super) struct Person {
    pub(super) email: String,
    connection: Connection,
    address: String,
    refresh_token: String,
}

impl Person {
    pub(super) fn arrive(issuer: &Issuer, number: usize) -> Result<Self, Error> {
        let connection = Connection::open(&format!("127.0.0.1:{}", issuer.port()))?;
        let address = format!("2001:db8:{number:x}::1");
        Ok(Self { email: email(number), connection, address, refresh_token: String::new() })
    }

    /// Makes an account, and returns its id.
    pub(super) fn register(&mut self) -> Result<String, Error> {
        let body = json!({ "email": self.email, "password": PASSWORD });
        let answer = self.post("/auth/register", &body)?;
        expect(201, &answer)?;
        let user: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(user["id"].as_str().unwrap_or_default().to_owned())
    }

    /// Opens a session.
    pub(super) fn log_in(&mut self) -> Result<(), Error> {
        let body = json!({ "email": self.email, "password": PASSWORD });
        let answer = self.post("/auth/login", &body)?;
        self.remember(&answer)
    }

    /// Goes on with the session.
    pub(super) fn refresh(&mut self) -> Result<(), Error> {
        let body = json!({ "refresh_token": self.refresh_token });
        let answer = self.post("/auth/refresh", &body)?;
        self.remember(&answer)
    }

    /// Tries a password that is wrong.
    pub(super) fn fail_to_log_in_as(&mut self, email: &str) -> Result<(), Error> {
        let body = json!({ "email": email, "password": WRONG_PASSWORD });
        expect(401, &self.post("/auth/login", &body)?)
    }

    /// From somewhere else from now on: a guesser's next attempt would be slowed down.
    pub(super) fn move_to(&mut self, number: usize) {
        self.address = format!("2001:db9:{number:x}::1");
    }

    fn remember(&mut self, answer: &Answer) -> Result<(), Error> {
        expect(200, answer)?;
        let tokens: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        tokens["refresh_token"].as_str().unwrap_or_default().clone_into(&mut self.refresh_token);
        Ok(())
    }

    fn post(&mut self, path: &str, body: &Value) -> Result<Answer, Error> {
        let (body, address) = (body.to_string(), &self.address);
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: issuer\r\nx-forwarded-for: {address}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        Ok(self.connection.send(request.as_bytes())?)
    }
}

fn expect(status: u16, answer: &Answer) -> Result<(), Error> {
    if answer.status == status { Ok(()) } else { Err(Error::Refused(answer.status)) }
}

/// The address of that number.
pub(super) fn email(number: usize) -> String {
    format!("person-{number}@example.test")
}

/// So many people who are registered and logged in.
pub(super) fn gather(issuer: &Issuer, numbers: std::ops::Range<usize>) -> Result<Vec<Person>, Error> {
    let one = |number| {
        let mut person = Person::arrive(issuer, number)?;
        person.register()?;
        person.log_in()?;
        Ok(person)
    };
    // As many at once as there are threads for passwords, or they would be refused.
    let at_once = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let share = |first: usize| numbers.clone().skip(first).step_by(at_once);
        let share = |first| move || share(first).map(one).collect::<Result<Vec<_>, Error>>();
        let workers: Vec<_> = (0..at_once).map(|first| scope.spawn(share(first))).collect();
        let gathered: Result<Vec<_>, Error> = workers.into_iter().map(joined).collect();
        Ok(gathered?.into_iter().flatten().collect())
    })
}

/// Everybody does the same again and again, until told to stop; returns when each of them was answered.
pub(super) fn keep_busy<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    people: &'env mut [Person],
    stop: &'env AtomicBool,
    act: fn(&mut Person) -> Result<(), Error>,
) -> Vec<ScopedJoinHandle<'scope, Result<Vec<Instant>, Error>>> {
    let work = |person: &'env mut Person| {
        move || {
            let mut answered = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                act(person)?;
                answered.push(now());
            }
            Ok(answered)
        }
    };
    people.iter_mut().map(|person| scope.spawn(work(person))).collect()
}

/// How many a second, from the first answer to the last.
pub(super) fn rate(mut answered: Vec<Instant>) -> f64 {
    answered.sort_unstable();
    match answered.as_slice() {
        [first, .., last] => (answered.len() - 1) as f64 / (*last - *first).as_secs_f64(),
        _ => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_rate_counts_what_lies_between_the_answers() {
        let start = now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(rate(vec![at(4), at(0), at(2)]), 0.5);
        assert!(rate(vec![at(0)]).is_nan());
    }
}
