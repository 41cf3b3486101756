//! Reading problem bodies.

use doorward_tests::http::Reply;

/// Checks the form of a refusal, and returns its reason.
pub(crate) fn reason(reply: &Reply) -> String {
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
    let problem = reply.json().unwrap();
    assert_eq!(problem["status"], reply.status);
    assert!(!problem["title"].as_str().unwrap().is_empty());
    assert!(!problem["detail"].as_str().unwrap().is_empty());
    assert_eq!(
        problem["request_id"].as_str(),
        reply.header("x-request-id"),
        "one id for client and operator"
    );
    let kind = problem["type"].as_str().unwrap();
    kind.strip_prefix("urn:doorward:problem:")
        .unwrap_or_else(|| panic!("not one of our problems: {kind}"))
        .to_owned()
}

/// Status, reason and challenge of a refusal, to compare in one go.
pub(crate) fn refusal(reply: &Reply) -> (u16, String, Option<&str>) {
    (reply.status, reason(reply), reply.header("www-authenticate"))
}
