use mongodb::bson::{DateTime, Document, doc};

use super::users::bson_id;
use crate::domain::page::Place;

/// The order of a list whose items are of the time in `field`.
pub(super) fn newest_first(field: &str) -> Document {
    doc! { field: -1, "_id": -1 }
}

/// What is behind a place in that order; everything without a place.
pub(super) fn behind(field: &str, after: Option<Place>) -> Document {
    let Some(Place { at, id }) = after else { return doc! {} };
    let at = DateTime::from_millis(at.as_millisecond());
    let same_moment = doc! { field: at, "_id": { "$lt": bson_id(id) } };
    doc! { "$or": [{ field: { "$lt": at } }, same_moment] }
}
