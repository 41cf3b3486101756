use jiff::Timestamp;
use uuid::Uuid;

/// A place in a list that is in the order of time: behind the item that is of then and has that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When.
    pub at: Timestamp,
    /// Tells items of one moment apart.
    pub id: Uuid,
}

/// Some of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// In the list's order.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one.
    pub next: Option<Place>,
}

/// How many items fit on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u32);

impl PageSize {
    /// The greatest page.
    pub const MAX: u32 = 200;

    /// A page of that size, if there are pages of that size.
    #[must_use]
    pub fn new(items: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&items).then_some(Self(items))
    }

    /// How many items to look for: one more than fits tells whether there is another page.
    #[must_use]
    pub fn and_one(self) -> u32 {
        self.0 + 1
    }
}

/// What a client gets who does not say.
impl Default for PageSize {
    fn default() -> Self {
        Self(50)
    }
}

impl<T> Page<T> {
    /// The page that begins with what was found, of which there may be [one more](PageSize::and_one) than fits.
    #[must_use]
    pub fn of(mut found: Vec<T>, size: PageSize, place: impl FnOnce(&T) -> Place) -> Self {
        let fits = size.0 as usize;
        let more = found.len() > fits;
        found.truncate(fits);
        let next = found.last().filter(|_| more).map(place);
        Self { items: found, next }
    }

    /// The same page of something else.
    #[must_use]
    pub fn map<U>(self, into: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(into).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(found: u128, size: u32) -> (usize, Option<u128>) {
        let place = |id: &u128| Place { at: Timestamp::UNIX_EPOCH, id: Uuid::from_u128(*id) };
        let page = Page::of((1..=found).collect(), PageSize::new(size).unwrap(), place);
        (page.items.len(), page.next.map(|next| next.id.as_u128()))
    }

    #[test]
    fn there_is_a_next_page_if_one_more_was_found() {
        assert_eq!(page(0, 2), (0, None));
        assert_eq!(page(2, 2), (2, None));
        assert_eq!(page(3, 2), (2, Some(2)));
    }

    #[test]
    fn a_page_is_neither_empty_nor_endless() {
        assert_eq!(PageSize::new(0), None);
        assert_eq!(PageSize::new(PageSize::MAX + 1), None);
    }
}
