//! Tokens of another server identify users; other tokens do not.

mod attacks;
pub(crate) mod issuer;
mod keys;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::{Gateway, Place, Response};
use issuer::{AUDIENCE, ISSUER, KeyServer, Signer, claims_with, jwk_set, now};

/// The identity of the tests, with these keys in addition.
pub(crate) fn source(keys: &str) -> String {
    format!("{{source = \"jwt\", issuer = \"{ISSUER}\", audience = \"{AUDIENCE}\", {keys}}}")
}

/// A gateway of the private files of these tests.
fn serve(place: &Place, identity: &[&str], arguments: &[&str]) -> Gateway {
    let grants = ["--grant", "sales/{*file}=group:sales", "--grant", "all/{*file}=authenticated"];
    let open = ["--grant", "open/{*file}=everyone"];
    let identity: Vec<_> = identity.iter().flat_map(|source| ["--identity", source]).collect();
    place.serve(&[&identity, &grants[..], &open, arguments].concat())
}

/// A file, and who may read it.
type File = (&'static str, fn(&Expected) -> bool);

const FILES: [File; 7] = [
    ("cars/7/photo.jpg", |user| user.id == "7" || user.staff),
    ("cars/8/photo.jpg", |user| user.id == "8" || user.staff),
    ("sales/prices.txt", |user| user.groups.contains(&"sales")),
    ("all/news.txt", |user| !user.id.is_empty()),
    ("open/logo.png", |_| true),
    ("cars/7/missing.jpg", |_| false),
    ("other/file.txt", |_| false),
];

fn place() -> Place {
    let place = Place::new();
    for (path, _) in FILES.iter().filter(|(path, _)| !path.contains("missing")) {
        place.write(&format!("private/{path}"), path);
    }
    place
}

/// The user that a token should identify; the empty id stands for an anonymous client.
#[derive(Debug, Clone, Default)]
struct Expected {
    id: &'static str,
    staff: bool,
    groups: Vec<&'static str>,
}

fn user(id: &'static str, staff: bool, groups: &[&'static str]) -> Expected {
    Expected { id, staff, groups: groups.to_vec() }
}

fn get(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Response {
    gateway.fetch(&format!("GET /private/{path}"), headers)
}

fn bearer(gateway: &Gateway, path: &str, token: &str) -> Response {
    get(gateway, path, &[("authorization", &format!("Bearer {token}"))])
}

/// Every credential with every path: the gateway decides like the table.
#[test]
fn each_token_reads_the_files_of_its_user() {
    let place = place();
    let (ed, es, es384, stranger) =
        (Signer::ed25519("ed"), Signer::es256("es"), Signer::es384("es384"), Signer::ed25519("ed"));
    let rsa = Signer::rsa("rsa").unwrap_or_default();
    let keys: Vec<&Signer> = [&ed, &es, &es384].into_iter().chain(rsa.first()).collect();
    let server = KeyServer::start(&jwk_set(&keys));
    let algorithms =
        "\"EdDSA\", \"ES256\", \"ES384\", \"RS256\", \"RS384\", \"RS512\", \"PS256\", \"PS384\", \"PS512\"";
    let source = source(&format!(
        "jwks = \"{}\", algorithms = [{algorithms}], cookie = \"at\", claims = {{staff = \"app_metadata.is_staff\", groups = \"groups\"}}",
        server.url()
    ));
    let gateway = serve(&place, &[&source], &[]);
    let token = |id: &str, changes: Value| ed.sign_claims(&claims_with(id, &changes));
    let (alice, nobody) = (user("7", false, &[]), Expected::default());
    let mut credentials = vec![
        ("alice", ed.token("7"), alice.clone()),
        ("alice by ES256", es.token("7"), alice.clone()),
        ("alice by ES384", es384.token("7"), alice.clone()),
        ("bob", ed.token("8"), user("8", false, &[])),
        ("a number as id", token("", json!({"sub": 8})), user("8", false, &[])),
        ("staff", token("9", json!({"app_metadata": {"is_staff": true}})), user("9", true, &[])),
        ("not staff", token("9", json!({"app_metadata": {"is_staff": "true"}})), user("9", false, &[])),
        ("staff elsewhere", token("9", json!({"is_staff": true, "staff": true})), user("9", false, &[])),
        ("sales", token("9", json!({"groups": ["hr", "sales"]})), user("9", false, &["sales"])),
        ("sales as text", token("9", json!({"groups": "hr sales"})), user("9", false, &["sales"])),
        ("another group", token("9", json!({"groups": ["sales2", "SALES"]})), user("9", false, &[])),
        ("several audiences", token("7", json!({"aud": ["x", AUDIENCE]})), alice.clone()),
        ("just expired", token("7", json!({"exp": now() - 30})), alice.clone()),
        ("expired", token("7", json!({"exp": now() - 90})), nobody.clone()),
        ("not yet", token("7", json!({"nbf": now() + 90})), nobody.clone()),
        ("another issuer", token("7", json!({"iss": "https://other.example"})), nobody.clone()),
        ("another audience", token("7", json!({"aud": "other"})), nobody.clone()),
        ("without exp", token("7", json!({"exp": null})), nobody.clone()),
        ("without id", token("7", json!({"sub": null})), nobody.clone()),
        ("a stranger's key", stranger.token("7"), nobody.clone()),
        ("no token", "eyJhbGciOiJub25lIn0.e30.".to_owned(), nobody.clone()),
        ("opaque", "0123456789abcdef".to_owned(), nobody),
    ];
    credentials.extend(rsa.iter().map(|signer| (signer.algorithm, signer.token("7"), alice.clone())));
    let mut cases = 0;
    for (name, token, user) in &credentials {
        for (path, may_read) in FILES {
            let expected = if may_read(user) { 200 } else { 404 };
            let (header, cookie) = (format!("Bearer {token}"), format!("theme=dark; at={token}"));
            for field in [("authorization", &*header), ("cookie", &*cookie)] {
                let response = get(&gateway, path, &[field]);
                assert_eq!(response.status, expected, "{name} by {}: {path}", field.0);
                if expected == 200 {
                    assert_eq!(response.body, path.as_bytes());
                    assert_eq!(response.header("vary"), Some("authorization, cookie"), "{name}: {path}");
                }
                cases += 1;
            }
        }
    }
    assert!(cases >= 300, "{cases}");
    assert_eq!(server.requests(), 1, "valid and invalid tokens cause no fetch");
    let log = gateway.log();
    assert!(!credentials.iter().any(|(_, token, _)| log.contains(token)), "{log}");
}

/// Denied, missing and rejected are one response, byte for byte.
#[test]
fn a_rejected_token_gets_the_response_of_a_missing_file() {
    let (place, ed) = (place(), Signer::ed25519("ed"));
    place.write("keys.json", jwk_set(&[&ed]));
    let gateway = serve(&place, &[&source("jwks = \"keys.json\"")], &[]);
    let missing = bearer(&gateway, "cars/7/missing.jpg", &ed.token("7"));
    assert_eq!(missing.status, 404);
    let expired = ed.sign_claims(&claims_with("7", &json!({"exp": 1})));
    for (path, token) in [
        ("cars/7/photo.jpg", ed.token("8")),
        ("cars/7/photo.jpg", expired),
        ("cars/7/photo.jpg", Signer::ed25519("ed").token("7")),
        ("cars/7/photo.jpg", Signer::ed25519("unknown").token("7")),
        ("cars/7/photo.jpg", "ey..".to_owned()),
        ("cars/7/photo.jpg", "opaque".to_owned()),
    ] {
        assert_eq!(bearer(&gateway, path, &token).normalized(), missing.normalized(), "{token}");
    }
    assert_eq!(get(&gateway, "cars/7/photo.jpg", &[]).normalized(), missing.normalized());
}

/// The cookie of Supabase's libraries: a session in base64 or, in older versions, percent-encoded JSON. Both in chunks.
#[test]
fn a_chunked_session_cookie_identifies_its_user() {
    let (place, ed) = (place(), Signer::ed25519("ed"));
    place.write("keys.json", jwk_set(&[&ed]));
    let source = source("jwks = \"keys.json\", cookie = \"sb-shop-auth-token\"");
    let gateway = serve(&place, &[&source], &[]);
    let status = |cookie: &str| get(&gateway, "cars/7/photo.jpg", &[("cookie", cookie)]).status;
    let (token, refresh) = (ed.token("7"), "x".repeat(5_000));
    let session = json!({"access_token": token, "refresh_token": refresh, "user": {"id": "8"}}).to_string();
    let list = json!([token, refresh, null, null, null]).to_string();
    let percent_encoded = |json: &str| utf8_percent_encode(json, NON_ALPHANUMERIC).to_string();
    for value in
        [format!("base64-{}", issuer::encode(&session)), percent_encoded(&session), percent_encoded(&list)]
    {
        let chunks: Vec<_> =
            value.as_bytes().chunks(3_180).map(|chunk| std::str::from_utf8(chunk).unwrap()).collect();
        let cookies: Vec<_> =
            chunks.iter().enumerate().map(|(at, chunk)| format!("sb-shop-auth-token.{at}={chunk}")).collect();
        assert!(cookies.len() > 1);
        assert_eq!(status(&cookies.join("; ")), 200);
        assert_eq!(
            status(&format!("a=b; {}", cookies.iter().rev().cloned().collect::<Vec<_>>().join("; "))),
            200
        );
        assert_eq!(status(&cookies[1..].join("; ")), 404, "the first chunk is missing");
        assert_eq!(status(&cookies[..1].join("; ")), 404, "the last chunk is missing");
        assert_eq!(status(&format!("{}; {}", cookies.join("; "), cookies[0])), 404, "a chunk is sent twice");
    }
    assert_eq!(status(&format!("sb-shop-auth-token={token}")), 200);
    assert_eq!(status(&format!("sb-other-auth-token={token}")), 404);
}

/// A sign-out is the end of the cookie, or of the token: a cached token is not valid for longer.
#[test]
fn a_token_ends_when_it_expires_although_it_is_cached() {
    let (place, ed) = (place(), Signer::ed25519("ed"));
    place.write("keys.json", jwk_set(&[&ed]));
    let source = source("jwks = \"keys.json\", cookie = \"at\", leeway = \"0s\", cache_ttl = \"1h\"");
    let gateway = serve(&place, &[&source], &[]);
    let token = ed.sign_claims(&claims_with("7", &json!({"exp": now() + 3})));
    let cookie = format!("at={token}");
    let status = |headers: &[(&str, &str)]| get(&gateway, "cars/7/photo.jpg", headers).status;
    assert_eq!(status(&[("cookie", &cookie)]), 200);
    assert_eq!(status(&[]), 404, "signed out");
    assert_eq!(status(&[("cookie", "at=")]), 404, "signed out");
    let end = now() + 10;
    while status(&[("cookie", &cookie)]) == 200 {
        assert!(now() < end, "the token has expired");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(now() >= end - 8, "the token was valid until its end");
}

#[test]
fn each_of_several_sources_verifies_the_tokens_of_its_issuer() {
    let (place, one, two) = (place(), Signer::ed25519("key"), Signer::ed25519("key"));
    place.write("one.json", jwk_set(&[&one]));
    place.write("two.json", jwk_set(&[&two]));
    let second =
        "{source = \"jwt\", issuer = \"https://two.example\", audience = \"files\", jwks = \"two.json\"}";
    let gateway = serve(&place, &[&source("jwks = \"one.json\""), second], &[]);
    let sign = |signer: &Signer, iss: &str, aud: &str| {
        signer.sign_claims(&claims_with("7", &json!({"iss": iss, "aud": aud})))
    };
    for (token, status) in [
        (sign(&one, ISSUER, AUDIENCE), 200),
        (sign(&two, "https://two.example", "files"), 200),
        (sign(&one, "https://two.example", "files"), 404),
        (sign(&two, ISSUER, AUDIENCE), 404),
        (sign(&one, ISSUER, "files"), 404),
        (sign(&two, "https://two.example", AUDIENCE), 404),
        (sign(&one, "https://third.example", AUDIENCE), 404),
    ] {
        assert_eq!(bearer(&gateway, "cars/7/photo.jpg", &token).status, status, "{token}");
    }
}

/// A request without a token is.
#[test]
fn an_invalid_token_is_not_tried_on_the_next_source() {
    let (place, ed) = (place(), Signer::ed25519("ed"));
    place.write("keys.json", jwk_set(&[&ed]));
    let source = source("jwks = \"keys.json\", cookie = \"at\"");
    let gateway = serve(&place, &[&source, "accounts"], &["--accounts", "accounts.toml"]);
    let expired = ed.sign_claims(&claims_with("7", &json!({"exp": 1})));
    let basic = crate::support::credentials("alice")[0];
    let photo = |headers: &[(&str, &str)]| get(&gateway, "cars/7/photo.jpg", headers).status;
    assert_eq!(photo(&[basic]), 200);
    assert_eq!(photo(&[basic, ("cookie", &format!("at={expired}"))]), 404, "the token is rejected");
    assert_eq!(photo(&[("cookie", &format!("at={}", ed.token("7")))]), 200);
}

/// What is wrong with a source is one line that names the key, the value and the fix.
#[test]
fn configurations_that_cannot_be_right() {
    let place = Place::new();
    place.write("keys.json", "{\"keys\": []}");
    place.write("bad.json", "[]");
    place.write("bad.pem", "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n");
    place.write("short", "secret\n");
    place.write("open", "a secret of at least thirty-two bytes\n");
    for (file, mode) in [("short", 0o600), ("open", 0o644)] {
        std::fs::set_permissions(place.path(file), std::os::unix::fs::PermissionsExt::from_mode(mode))
            .unwrap();
    }
    let jwt = |keys: &str| format!("{{source = \"jwt\", {keys}}}");
    let whole = |keys: &str| source(keys);
    for (source, parts) in [
        (jwt("issuer = \"i\", audience = \"a\""), &["jwks", "key", "secret_file"][..]),
        (jwt("jwks = \"keys.json\", audience = \"a\""), &["issuer"]),
        (jwt("jwks = \"keys.json\", issuer = \"i\""), &["audience"]),
        (whole("jwks = \"keys.json\", key = \"bad.pem\""), &["jwks", "key", "one of"]),
        (whole("jwks = \"keys.json\", isuer = \"i\""), &["isuer", "issuer"]),
        (whole("jwks = \"http://issuer.example/keys\""), &["jwks", "http://issuer.example/keys", "https://"]),
        (whole("jwks = \"ftp://issuer.example/keys\""), &["jwks", "https://"]),
        (whole("jwks = \"none.json\""), &["jwks", "none.json", "no such file"]),
        (whole("jwks = \"bad.json\""), &["jwks", "bad.json", "JWK set"]),
        (whole("key = \"bad.pem\""), &["key", "bad.pem", "openssl pkey"]),
        (whole("secret_file = \"short\""), &["secret_file", "short", "32 bytes"]),
        (whole("secret_file = \"open\""), &["secret_file", "chmod 600"]),
        (whole("jwks = \"keys.json\", algorithms = [\"HS256\"]"), &["algorithms", "HS256", "secret_file"]),
        (whole("jwks = \"keys.json\", algorithms = [\"none\"]"), &["algorithms", "none", "RS256"]),
        (whole("jwks = \"keys.json\", algorithms = []"), &["algorithms"]),
        (whole("secret_file = \"short\", algorithms = [\"RS256\"]"), &["algorithms", "RS256", "HS256"]),
        (whole("jwks = \"keys.json\", cookie = \"a b\""), &["cookie", "a b"]),
        (whole("jwks = \"keys.json\", leeway = \"1h\""), &["leeway", "1h"]),
        (
            whole("jwks = \"keys.json\", claims = {staff = \"user_metadata.staff\"}"),
            &["staff", "app_metadata"],
        ),
        (
            whole("jwks = \"keys.json\", claims = {groups = \"user_metadata.groups\"}"),
            &["groups", "app_metadata"],
        ),
        (whole("jwks = \"keys.json\", claims = {id = \"\"}"), &["claims.id", "must not be empty"]),
        (whole("jwks = \"private/keys.json\""), &["inside the root"]),
    ] {
        place.write("private/keys.json", "{\"keys\": []}");
        let line = place.refusal(&["serve", "--identity", &source]);
        for part in parts {
            assert!(line.contains(part), "{source}: {part:?} is not in {line}");
        }
    }
    let same = whole("jwks = \"keys.json\"");
    let line = place.refusal(&["serve", "--identity", &same, "--identity", &same]);
    assert!(line.contains("an earlier source decides about the same credential"), "{line}");
}
