use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use super::problem::Problem;
use crate::domain::ids::SessionId;
use crate::domain::session::SessionCursor;

const TIME_BYTES: usize = 8;
const ID_BYTES: usize = 16;
const BYTES: usize = TIME_BYTES + ID_BYTES;

/// A place in a list, as the client hands it back: base64url of the time in milliseconds and the id. It is no secret
/// and no proof; the list shows nothing but the caller's own in any case.
pub(super) fn write(cursor: SessionCursor) -> String {
    let mut bytes = cursor.created_at.as_millisecond().to_be_bytes().to_vec();
    bytes.extend_from_slice(cursor.id.uuid().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place that [`write`] wrote down.
pub(super) fn read(text: &str) -> Result<SessionCursor, Problem> {
    parse(text).ok_or_else(|| Problem::invalid_field("cursor", "is not the next_cursor of a page"))
}

fn parse(text: &str) -> Option<SessionCursor> {
    let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (time, id) = bytes.split_first_chunk::<TIME_BYTES>()?;
    Some(SessionCursor {
        created_at: Timestamp::from_millisecond(i64::from_be_bytes(*time)).ok()?,
        id: SessionId::from(Uuid::from_slice(id).ok()?),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_survives_the_round_trip(time in 0..253_402_207_200_000_i64, id: u128) {
            let created_at = Timestamp::from_millisecond(time).unwrap();
            let cursor = SessionCursor { created_at, id: SessionId::from(Uuid::from_u128(id)) };
            prop_assert_eq!(parse(&write(cursor)), Some(cursor));
        }

        #[test]
        fn any_text_gets_an_answer(text in "\\PC{0,40}|[A-Za-z0-9_-]{32}") {
            let _answer = read(&text);
        }
    }
}
