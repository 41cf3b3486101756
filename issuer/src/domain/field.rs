/// What is wrong with one field of a request; safe to show to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name as the client wrote it.
    pub field: &'static str,
    /// One clause, such as "must have at least 10 characters". Never repeats the value.
    pub message: String,
}

impl FieldError {
    /// Says that `field` is wrong because of `message`.
    #[must_use]
    pub fn new(field: &'static str, message: impl ToString) -> Self {
        Self { field, message: message.to_string() }
    }
}

/// What was parsed; or nothing, and what is wrong is noted.
pub(super) fn noted<T, E: ToString>(
    field: &'static str,
    parsed: Result<T, E>,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    parsed.map_err(|error| errors.push(FieldError::new(field, error))).ok()
}
