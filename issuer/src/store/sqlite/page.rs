use uuid::Uuid;

use crate::domain::page::Place;

/// What is less than this, in the order of time and id, is behind the place. Nothing can be behind the end of time: so there
/// is one query with a place and without.
pub(super) fn behind(after: Option<Place>) -> (i64, Uuid) {
    after.map_or((i64::MAX, Uuid::max()), |place| (place.at.as_millisecond(), place.id))
}
