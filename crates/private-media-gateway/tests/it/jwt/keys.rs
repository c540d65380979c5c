//! Where keys come from, how they are rotated, and what happens while the key server is away.

use std::time::{Duration, Instant};

use serde_json::json;

use super::issuer::{KeyServer, Signer, claims, encode, jwk_set};
use super::{bearer, place, serve, source};
use crate::support::{Gateway, free_address};

/// Longer than the pause between two fetches for unknown keys.
const UNKNOWN_KEY_PAUSE: Duration = Duration::from_millis(10_500);

fn status(gateway: &Gateway, token: &str) -> u16 {
    bearer(gateway, "cars/7/photo.jpg", token).status
}

/// Waits for a status.
fn until(gateway: &Gateway, token: &str, expected: u16, limit: Duration) {
    let begin = Instant::now();
    while status(gateway, token) != expected {
        assert!(begin.elapsed() < limit, "not {expected} after {limit:?}: {}", gateway.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Both notations of each key verify the same tokens.
#[test]
fn keys_in_pem_and_in_jwk_sets() {
    let place = place();
    let mut signers = vec![Signer::ed25519("k"), Signer::es256("k"), Signer::es384("k")];
    signers.extend(Signer::rsa("k").unwrap_or_default());
    for signer in &signers {
        place.write("key.pem", signer.pem());
        place.write("keys.json", jwk_set(&[signer]));
        for keys in ["key = \"key.pem\"", "jwks = \"keys.json\""] {
            let source = source(&format!("{keys}, algorithms = [\"{}\"]", signer.algorithm));
            let gateway = serve(&place, &[&source], &[]);
            assert_eq!(status(&gateway, &signer.token("7")), 200, "{} {keys}", signer.algorithm);
            let without_id =
                signer.sign_text(&json!({"alg": signer.algorithm}).to_string(), &claims("7").to_string());
            assert_eq!(status(&gateway, &without_id), 200, "{} {keys}", signer.algorithm);
        }
    }
}

/// A set contains keys for other purposes, of other types and without ids.
#[test]
fn unusable_keys_of_a_set_are_ignored() {
    let place = place();
    let (good, encryption, other) = (Signer::ed25519("good"), Signer::ed25519("enc"), Signer::es256("other"));
    let (no_id, limited) = (Signer::es256(""), Signer::ed25519("limited"));
    let mut keys = [&encryption, &other, &no_id, &limited, &good].map(Signer::jwk);
    keys[0]["use"] = json!("enc");
    keys[1]["alg"] = json!("ECDH-ES");
    keys[2].as_object_mut().unwrap().remove("kid");
    keys[3]["key_ops"] = json!(["sign"]);
    let secret = b"a secret of at least thirty-two bytes";
    let mut set = vec![
        json!({"kty": "oct", "k": encode(secret), "kid": "secret", "alg": "HS256"}),
        json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "curve"}),
        json!({"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "x"}),
        json!({"kty": "new"}),
        json!("text"),
        json!(null),
    ];
    set.extend(keys);
    place.write("keys.json", json!({"keys": set}).to_string());
    let gateway = serve(&place, &[&source("jwks = \"keys.json\"")], &[]);
    for (name, token, expected) in [
        ("good", good.token("7"), 200),
        ("without an id", no_id.token("7"), 200),
        ("for encryption", encryption.token("7"), 404),
        ("for key agreement", other.token("7"), 404),
        ("for signing only", limited.token("7"), 404),
        ("a secret", Signer::hmac("HS256", secret).token("7"), 404),
    ] {
        assert_eq!(status(&gateway, &token), expected, "{name}");
    }
}

/// Two keys of one algorithm: a token without a key id is ambiguous.
#[test]
fn a_token_names_its_key_if_there_are_several() {
    let (place, old, new) = (place(), Signer::ed25519("old"), Signer::ed25519("new"));
    place.write("keys.json", jwk_set(&[&old, &new]));
    let gateway = serve(&place, &[&source("jwks = \"keys.json\"")], &[]);
    assert_eq!((status(&gateway, &old.token("7")), status(&gateway, &new.token("7"))), (200, 200));
    let swapped = old.sign_text(&new.header().to_string(), &claims("7").to_string());
    let without_id = old.sign_text("{\"alg\":\"EdDSA\"}", &claims("7").to_string());
    assert_eq!((status(&gateway, &swapped), status(&gateway, &without_id)), (404, 404));
}

/// A new key is fetched when a token names it. A key that is no longer published verifies nothing.
#[test]
fn keys_of_a_server_are_rotated() {
    let (place, old, new) = (place(), Signer::ed25519("old"), Signer::ed25519("new"));
    let server = KeyServer::start(&jwk_set(&[&old]));
    let source = source(&format!("jwks = \"{}\", cache_ttl = \"1h\"", server.url()));
    let gateway = serve(&place, &[&source], &[]);
    assert_eq!((status(&gateway, &old.token("7")), status(&gateway, &new.token("7"))), (200, 404));
    assert_eq!(server.requests(), 1, "the keys have just been fetched");
    server.publish(&jwk_set(&[&old, &new]));
    std::thread::sleep(UNKNOWN_KEY_PAUSE);
    assert_eq!((status(&gateway, &new.token("7")), status(&gateway, &old.token("7"))), (200, 200));
    assert_eq!(server.requests(), 2);
    server.publish(&jwk_set(&[&new]));
    std::thread::sleep(UNKNOWN_KEY_PAUSE);
    // Any unknown key brings the news: the old key is gone, although its token is cached for an hour.
    let cached = old.token("7");
    assert_eq!(status(&gateway, &cached), 200);
    status(&gateway, &Signer::ed25519("made-up").token("7"));
    assert_eq!((status(&gateway, &cached), status(&gateway, &new.token("7"))), (404, 200));
    assert_eq!(server.requests(), 3);
}

#[test]
fn keys_of_a_file_are_rotated() {
    let (place, old, new) = (place(), Signer::ed25519("old"), Signer::ed25519("new"));
    place.write("keys.json", jwk_set(&[&old]));
    let gateway = serve(&place, &[&source("jwks = \"keys.json\", cache_ttl = \"1s\"")], &[]);
    let (before, after) = (old.token("7"), new.token("7"));
    assert_eq!((status(&gateway, &before), status(&gateway, &after)), (200, 404));
    place.write("keys.json", jwk_set(&[&new]));
    until(&gateway, &after, 200, Duration::from_secs(5));
    assert_eq!(status(&gateway, &before), 404);
    for (content, text) in [("{", "not a JWK set"), ("", "not a JWK set")] {
        place.write("keys.json", content);
        assert!(gateway.logs(text), "{}", gateway.log());
        assert_eq!(status(&gateway, &after), 200, "the known keys stay in use");
    }
    std::fs::remove_file(place.path("keys.json")).unwrap();
    assert!(gateway.logs("no such file"), "{}", gateway.log());
    assert_eq!(status(&gateway, &after), 200);
    place.write("keys.json", "{\"keys\": []}");
    until(&gateway, &after, 404, Duration::from_secs(5));
    assert!(gateway.logs("no key can verify a token"), "{}", gateway.log());
}

/// Requests with unknown keys wait for one fetch, and made-up ones cause no more.
#[test]
fn unknown_keys_cause_one_fetch() {
    let (place, old, new) = (place(), Signer::ed25519("old"), Signer::ed25519("new"));
    let server = KeyServer::start(&jwk_set(&[&old]));
    let gateway = serve(&place, &[&source(&format!("jwks = \"{}\"", server.url()))], &["--workers", "2"]);
    server.publish(&jwk_set(&[&old, &new]));
    server.delay(Duration::from_millis(500));
    std::thread::sleep(UNKNOWN_KEY_PAUSE);
    let token = new.token("7");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(|| status(&gateway, &token))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses, [200; 50], "all waited for the fetch");
    assert_eq!(server.requests(), 2, "and there was one");
    for made_up in 0..50 {
        assert_eq!(status(&gateway, &Signer::ed25519(&made_up.to_string()).token("7")), 404);
    }
    assert_eq!(server.requests(), 2);
}

#[test]
fn a_key_server_that_is_down_at_the_start() {
    let (place, ed) = (place(), Signer::ed25519("ed"));
    let address = free_address();
    let gateway = serve(&place, &[&source(&format!("jwks = \"http://{address}/keys\""))], &[]);
    let token = ed.token("7");
    assert_eq!(status(&gateway, &token), 404);
    assert!(gateway.logs("the keys cannot be fetched; every token is denied"), "{}", gateway.log());
    assert_eq!(bearer(&gateway, "open/logo.png", "").status, 200, "files for everyone are served");
    let _server = KeyServer::start_at(address, &jwk_set(&[&ed]));
    until(&gateway, &token, 200, Duration::from_secs(30));
    assert!(gateway.logs("the keys are available again"), "{}", gateway.log());
}

/// A reload of the configuration needs no answer of the key server, and fetches nothing while the keys are valid.
#[test]
fn a_reload_keeps_the_keys_of_a_server_that_is_down() {
    let (place, ed) = (place(), Signer::ed25519("ed"));
    let server = KeyServer::start(&jwk_set(&[&ed]));
    let gateway = serve(&place, &[&source(&format!("jwks = \"{}\"", server.url()))], &[]);
    let token = ed.token("7");
    assert_eq!(status(&gateway, &token), 200);
    server.respond("500 Internal Server Error", "{}");
    for reload in 1..=3 {
        gateway.signal(rustix::process::Signal::HUP);
        let begin = Instant::now();
        while gateway.log().matches("the configuration was reloaded").count() < reload {
            assert!(begin.elapsed() < Duration::from_secs(20), "{}", gateway.log());
        }
        assert_eq!(status(&gateway, &token), 200);
    }
    assert_eq!(server.requests(), 1);
}

/// Whatever the server does, known keys stay in use.
#[test]
fn a_key_server_that_fails_later() {
    let huge = format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(4 << 20));
    let faults = [
        ("500 Internal Server Error", "{}", "status 500"),
        ("302 Found\r\nlocation: http://127.0.0.1:1/", "", "status 302"),
        ("200 OK", "<html>sign in</html>", "not a JWK set"),
        ("200 OK", &huge, "exceeds"),
    ];
    std::thread::scope(|scope| {
        for (status_line, body, text) in faults {
            scope.spawn(move || {
                let (place, ed) = (place(), Signer::ed25519("ed"));
                let server = KeyServer::start(&jwk_set(&[&ed]));
                let source = source(&format!("jwks = \"{}\", cache_ttl = \"0s\"", server.url()));
                let gateway = serve(&place, &[&source], &[]);
                server.respond(status_line, body);
                std::thread::sleep(UNKNOWN_KEY_PAUSE);
                assert_eq!(status(&gateway, &Signer::ed25519("made-up").token("7")), 404);
                assert_eq!(server.requests(), 2, "{status_line}");
                assert!(gateway.logs("the known keys stay in use"), "{status_line}: {}", gateway.log());
                assert!(gateway.log().contains(text), "{status_line}: {}", gateway.log());
                assert_eq!(status(&gateway, &ed.token("7")), 200, "{status_line}");
            });
        }
    });
}

/// Keys are not used for ever.
#[test]
fn keys_that_are_too_old_verify_nothing() {
    let (place, ed) = (place(), Signer::ed25519("ed"));
    place.write("keys.json", jwk_set(&[&ed]));
    let source = source("jwks = \"keys.json\", cache_ttl = \"0s\", max_stale = \"2s\"");
    let gateway = serve(&place, &[&source], &[]);
    let token = ed.token("7");
    assert_eq!(status(&gateway, &token), 200);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(status(&gateway, &token), 200, "the file is read again all the time");
    std::fs::remove_file(place.path("keys.json")).unwrap();
    until(&gateway, &token, 404, Duration::from_secs(10));
    assert!(gateway.logs("are too old: no such file"), "{}", gateway.log());
    place.write("keys.json", jwk_set(&[&ed]));
    until(&gateway, &token, 200, Duration::from_secs(10));
}
