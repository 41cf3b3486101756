use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use uuid::Uuid;

use super::problem::Problem;
use crate::domain::page::{PageSize, Place};

const TIME_BYTES: usize = 8;
const ID_BYTES: usize = 16;
const BYTES: usize = TIME_BYTES + ID_BYTES;

/// A place in a list, as the client hands it back: base64url of the time in milliseconds and the id. It is no secret
/// and no proof; the list shows nothing that its reader may not see in any case.
pub(super) fn write(place: Place) -> String {
    let mut bytes = place.at.as_millisecond().to_be_bytes().to_vec();
    bytes.extend_from_slice(place.id.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place that [`write`] wrote down, if there is one.
pub(super) fn read(text: Option<&str>) -> Result<Option<Place>, Problem> {
    let not_ours = || Problem::invalid_field("cursor", "is not the next_cursor of a page");
    text.map(|text| parse(text).ok_or_else(not_ours)).transpose()
}

/// How many items the client wants on a page.
pub(super) fn size(limit: Option<&str>) -> Result<PageSize, Problem> {
    let Some(limit) = limit else { return Ok(PageSize::default()) };
    let size = limit.parse().ok().and_then(PageSize::new);
    size.ok_or_else(|| Problem::invalid_field("limit", format!("must be between 1 and {}", PageSize::MAX)))
}

fn parse(text: &str) -> Option<Place> {
    let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    let (time, id) = bytes.split_first_chunk::<TIME_BYTES>()?;
    Some(Place {
        at: Timestamp::from_millisecond(i64::from_be_bytes(*time)).ok()?,
        id: Uuid::from_slice(id).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_limit_is_a_small_number() {
        assert_eq!(size(None).unwrap(), PageSize::default());
        assert_eq!(size(Some("200")).unwrap(), PageSize::new(200).unwrap());
        for wrong in ["0", "201", "-1", "", "1.5", "all", "99999999999"] {
            assert_eq!(size(Some(wrong)).unwrap_err().name(), "validation_failed", "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_place_survives_the_round_trip(time in 0..253_402_207_200_000_i64, id: u128) {
            let place = Place { at: Timestamp::from_millisecond(time).unwrap(), id: Uuid::from_u128(id) };
            prop_assert_eq!(parse(&write(place)), Some(place));
        }

        #[test]
        fn any_text_gets_an_answer(text in "\\PC{0,40}|[A-Za-z0-9_-]{32}") {
            let _answer = read(Some(&text));
        }
    }
}
