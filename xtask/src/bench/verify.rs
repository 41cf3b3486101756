use doorward_tests::http::{Client, Reply};
use jwt_simple::prelude::Duration;

use super::Error;
use super::contenders::{Contender, ECHO_PATH, Filters, HEADERS, PATH};
use super::tokens::{Signer, claims};

/// Checks that a contender does the work it is measured for.
pub(super) fn verify(contender: &Contender, signer: &Signer) -> Result<(), Error> {
    let examiner = Examiner { contender, client: Client::new(&contender.port.url()) };
    let good = signer.sign(claims(1))?;
    examiner.expects("a good token", &examiner.send(PATH, Some(&good))?, &[200])?;
    if contender.filters == Filters::None {
        return Ok(());
    }
    examiner.expects_headers(&examiner.send(ECHO_PATH, Some(&good))?)?;
    // Twice, because the second answer may come from a cache.
    examiner.expects("a good token, again", &examiner.send(PATH, Some(&good))?, &[200])?;

    examiner.expects("no token", &examiner.send(PATH, None)?, &[401])?;
    for (what, token, expected) in bad_tokens(&good, signer)? {
        examiner.expects(what, &examiner.send(PATH, Some(&token))?, expected)?;
        examiner.expects(what, &examiner.send(PATH, Some(&token))?, expected)?;
    }
    Ok(())
}

type BadToken = (&'static str, String, &'static [u16]);

/// Each differs from a good token in one thing.
fn bad_tokens(good: &str, signer: &Signer) -> Result<Vec<BadToken>, Error> {
    let mut expired = claims(1);
    expired.issued_at = expired.issued_at.map(|time| time - Duration::from_hours(1));
    expired.expires_at = expired.expires_at.map(|time| time - Duration::from_hours(1));
    let mut for_others = claims(1);
    for_others.audiences = None;
    let for_others = for_others.with_audience("somebody-else");
    let mut stranger = claims(1);
    stranger.custom.roles = vec!["guest"];
    let other_key = Signer::new(signer.algorithm)?;
    Ok(vec![
        (
            "a token with a signature for other claims",
            with_signature_of(good, &signer.sign(claims(2))?),
            &[401],
        ),
        ("a token of another key", other_key.sign(claims(1))?, &[401]),
        ("an expired token", signer.sign(expired)?, &[401]),
        // jwt_authn calls this one forbidden, Doorward unauthorized.
        ("a token for another audience", signer.sign(for_others)?, &[401, 403]),
        ("a token without the role", signer.sign(stranger)?, &[403]),
    ])
}

fn with_signature_of(token: &str, other: &str) -> String {
    let (claims, _) = token.rsplit_once('.').unwrap_or_default();
    let (_, signature) = other.rsplit_once('.').unwrap_or_default();
    format!("{claims}.{signature}")
}

struct Examiner<'a> {
    contender: &'a Contender,
    client: Client,
}

impl Examiner<'_> {
    fn send(&self, path: &str, token: Option<&str>) -> Result<Reply, Error> {
        Ok(match token {
            Some(token) => self.client.get_as(token, path)?,
            None => self.client.get(path)?,
        })
    }

    fn expects(&self, request: &'static str, reply: &Reply, statuses: &[u16]) -> Result<(), Error> {
        if statuses.contains(&reply.status) {
            return Ok(());
        }
        Err(self.unfit(request, format!("{statuses:?}"), reply.status.to_string()))
    }

    /// Lists look different (jwt_authn sends them as base64 of JSON), so of those only the presence is asked.
    fn expects_headers(&self, reply: &Reply) -> Result<(), Error> {
        let subject = claims(1).subject.unwrap_or_default();
        for (header, claim) in HEADERS {
            let found = reply.header(&format!("seen-{header}")).unwrap_or("-");
            if found == "-" || (claim == "sub" && found != subject) {
                let expected = format!("the claim {claim} in {header}");
                return Err(self.unfit("a good token", expected, found.to_owned()));
            }
        }
        Ok(())
    }

    fn unfit(&self, request: &'static str, expected: String, found: String) -> Error {
        Error::Unfit { contender: self.contender.name(), request, expected, found }
    }
}
