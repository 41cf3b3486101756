use std::time::Duration;

use doorward_tests::http::Client;
use doorward_tests::http::raw::Connection;
use doorward_tests::stack::Stack;
use serde_json::{Value, json};

use crate::bench::Error;
use crate::bench::clock::{now, wait_until};

/// Connections on which a dead token is tried: enough that every worker has some.
const DOORS: usize = 8;
/// Somebody tries again after so long.
const AGAIN: Duration = Duration::from_millis(1);
/// By then everybody should have heard.
const LIMIT: Duration = Duration::from_secs(20);
const PASSWORD: &str = "S3cureP@ss";

/// Somebody who is registered.
pub(super) struct User {
    id: String,
    email: &'static str,
}

/// Somebody's session.
pub(super) struct Session {
    request: Vec<u8>,
    access_token: String,
    refresh_token: String,
}

/// Connections to the gateway.
pub(super) fn doors(stack: &Stack) -> Result<Vec<Connection>, Error> {
    (0..DOORS).map(|_| Ok(Connection::open(&stack.envoy.address())?)).collect()
}

impl User {
    pub(super) fn register(stack: &Stack, email: &'static str) -> Result<Self, Error> {
        let user = post(stack, "/auth/register", &json!({"email": email, "password": PASSWORD}), 201)?;
        Ok(Self { id: text(&user, "id"), email })
    }

    pub(super) fn log_in(&self, stack: &Stack, times: usize) -> Result<Vec<Session>, Error> {
        let body = json!({"email": self.email, "password": PASSWORD});
        let session = |_| {
            let tokens = post(stack, "/auth/login", &body, 200)?;
            let (access_token, refresh_token) =
                (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
            let mut session = Session { request: Vec::new(), access_token, refresh_token };
            session.request = session.request(self);
            Ok(session)
        };
        (0..times).map(session).collect()
    }
}

impl Session {
    /// The owner's own profile.
    pub(super) fn request(&self, user: &User) -> Vec<u8> {
        let (id, token) = (&user.id, &self.access_token);
        format!("GET /users/{id} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n").into()
    }

    /// Lets every worker have it in its cache.
    pub(super) fn passes(&self, doors: &mut [Connection]) -> Result<(), Error> {
        doors.iter_mut().try_for_each(|door| match door.send(&self.request)?.status {
            200 => Ok(()),
            status => Err(Error::Refused(status)),
        })
    }

    /// Ends it, and says how many milliseconds it took from the issuer's answer until no door was open any more.
    pub(super) fn end(&self, stack: &Stack, doors: &mut [Connection], number: usize) -> Result<f64, Error> {
        self.passes(doors)?;
        // Not in step with anything that happens at fixed times.
        let uneven = Duration::from_millis(150 + u64::try_from(number * 37 % 200).unwrap_or_default());
        wait_until(now() + uneven);
        post(stack, "/auth/logout", &json!({"refresh_token": self.refresh_token}), 204)?;
        let answered = now();
        for door in doors {
            while door.send(&self.request)?.status != 401 {
                if answered.elapsed() > LIMIT {
                    return Err(Error::LetIn(LIMIT));
                }
                wait_until(now() + AGAIN);
            }
        }
        Ok(answered.elapsed().as_secs_f64() * 1e3)
    }
}

/// At the issuer itself, so that the gateway's requests to it are the gateway's own.
fn post(stack: &Stack, path: &str, body: &Value, status: u16) -> Result<Value, Error> {
    let reply = Client::new(&stack.issuer.url()).post(path, body)?;
    match reply.status {
        found if found != status => Err(Error::Refused(found)),
        204 => Ok(Value::Null),
        _ => Ok(reply.json()?),
    }
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}
