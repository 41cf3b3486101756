use serde_json::json;

use super::issuer::Issuer;

#[test]
fn metadata_names_what_is_there_and_nothing_else() {
    let issuer = Issuer::start_with(&[("token.issuer", "https://auth.example.test/")]);
    let answer = issuer.get("/.well-known/oauth-authorization-server");
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("public, max-age=300")));
    assert_eq!(
        answer.json(),
        json!({
            "issuer": "https://auth.example.test/",
            "jwks_uri": "https://auth.example.test/.well-known/jwks.json",
            "service_documentation": "https://auth.example.test/docs",
            "response_types_supported": [],
            "grant_types_supported": [],
        })
    );
    for (name, uri) in answer.json().as_object().unwrap() {
        let Some(path) = uri.as_str().and_then(|uri| uri.strip_prefix("https://auth.example.test")) else {
            continue;
        };
        if name != "issuer" {
            assert_eq!(issuer.get(path).status, 200, "{name}");
        }
    }
}

#[test]
fn the_issuer_in_the_metadata_is_the_one_in_tokens() {
    let issuer = Issuer::start();
    issuer.register("a@b.com");
    let token = issuer.login("a@b.com")["access_token"].as_str().unwrap().to_owned();
    let metadata = issuer.get("/.well-known/oauth-authorization-server").json();
    assert_eq!(metadata["issuer"], super::issuer::claims(&token)["iss"]);
}
