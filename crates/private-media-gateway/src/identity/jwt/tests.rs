//! Tokens that do not identify a user, and all that are not signed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use jsonwebtoken::Algorithm;
use proptest::prelude::*;
use ring::hmac;
use serde_json::{Value, json};

use super::key_set::KeySet;
use super::*;

const SECRET: &str = "a secret of the test, longer than 32 bytes";

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn sign(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message.as_bytes());
    format!("{message}.{}", encode(signature))
}

fn claims(change: &Value) -> String {
    let mut claims = json!({"sub": "7", "iss": "test", "aud": "media", "exp": 4_000_000_000_u64});
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::String(text) if text == "absent" => claims.as_object_mut().unwrap().remove(name),
            _ => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims.to_string()
}

fn token(change: &Value) -> String {
    sign("{\"alg\":\"HS256\"}", &claims(change))
}

async fn identity(options: JwtOptions) -> JwtIdentity {
    ring_provider::install();
    let fetch = || -> key_store::Fetched { Ok((KeySet::from_secret(SECRET)?, std::time::Duration::MAX)) };
    let keys =
        KeyStore::open("test".into(), options.max_stale, Box::new(move || Box::pin(ready(fetch())))).await;
    JwtIdentity::new(options, vec![], keys)
}

async fn identify(identity: &JwtIdentity, token: &str) -> Identity {
    let (head, ()) =
        Request::get("/").header(AUTHORIZATION, format!("Bearer {token}")).body(()).unwrap().into_parts();
    identity.identify(&head).await.unwrap()
}

#[tokio::test]
async fn issuers_and_audiences() {
    let one = JwtOptions::for_tests();
    let two = JwtOptions { audience: vec!["media".into(), "files".into()], ..one.clone() };
    let any = JwtOptions { audience: vec![], ..one.clone() };
    for (options, change, reason) in [
        (&one, json!({}), None),
        (&one, json!({"aud": ["other", "media"]}), None),
        (&one, json!({"aud": "other"}), Some("another audience")),
        (&one, json!({"aud": "MEDIA"}), Some("another audience")),
        (&one, json!({"aud": ["other"]}), Some("another audience")),
        (&one, json!({"aud": []}), Some("another audience")),
        (&one, json!({"aud": "absent"}), Some("no valid claim aud")),
        (&one, json!({"aud": null}), Some("no valid claim aud")),
        (&one, json!({"aud": 7}), Some("no valid claim aud")),
        (&one, json!({"aud": {"media": true}}), Some("no valid claim aud")),
        (&one, json!({"aud": [["media"]]}), Some("no valid claim aud")),
        (&two, json!({"aud": "files"}), None),
        (&two, json!({"aud": "other"}), Some("another audience")),
        (&any, json!({"aud": "other"}), None),
        (&any, json!({"aud": "absent"}), None),
        (&any, json!({"iss": "other"}), Some("another issuer")),
        (&one, json!({"iss": "other"}), Some("another issuer")),
        (&one, json!({"iss": "test/"}), Some("another issuer")),
        (&one, json!({"iss": "absent"}), Some("no valid claim iss")),
        (&one, json!({"iss": null}), Some("no valid claim iss")),
        (&one, json!({"iss": 7}), Some("no valid claim iss")),
        (&one, json!({"iss": ["test"]}), Some("iss is not a text")),
        (&one, json!({"iss": ["test", "other"]}), Some("iss is not a text")),
        (&one, json!({"exp": "absent"}), Some("no valid claim exp")),
        (&one, json!({"sub": "absent"}), Some("no id")),
    ] {
        let found = identify(&identity(options.clone()).await, &token(&change)).await;
        match reason {
            None => {
                let user = found.user().unwrap_or_else(|| panic!("{change}: {found:?}"));
                assert_eq!((user.id(), user.identified_by()), ("7", Some("jwt")), "{change}");
            }
            Some(reason) => {
                let rejection = found.rejection().unwrap_or_else(|| panic!("{change}: {found:?}"));
                assert!(rejection.reason().contains(reason), "{change}: {rejection}");
            }
        }
    }
}

#[tokio::test]
async fn headers() {
    let jwt = identity(JwtOptions::for_tests()).await;
    for (header, reason) in [
        (r#"{"alg":"HS256"}"#, None),
        (r#"{"alg":"HS256","typ":"JWT","kid":"any","custom":"x"}"#, None),
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, None),
        (r#"{"alg":"HS256","typ":"application/at+JWT"}"#, None),
        (r#"{"alg":"HS256","jku":"http://evil.example/keys","x5u":"http://evil.example"}"#, None),
        (r#"{"alg":"HS256","typ":"logout+jwt"}"#, Some("not an access token")),
        (r#"{"alg":"HS256","typ":"dpop+jwt"}"#, Some("not an access token")),
        (r#"{"alg":"HS256","crit":["exp"],"exp":"1"}"#, Some("crit")),
        (r#"{"alg":"HS256","crit":[]}"#, Some("crit")),
        (r#"{"alg":"HS256","crit":null}"#, Some("crit")),
        (r#"{"alg":"HS256","b64":false}"#, Some("b64")),
        (r#"{"alg":"HS256","b64":true}"#, Some("b64")),
        (r#"{"alg":"none"}"#, Some("algorithm")),
        (r#"{"alg":"None"}"#, Some("algorithm")),
        (r#"{"alg":"hs256"}"#, Some("algorithm")),
        (r#"{"alg":""}"#, Some("algorithm")),
        (r#"{"alg":"HS384"}"#, Some("algorithm")),
        (r#"{"alg":"RS256"}"#, Some("algorithm")),
        (r#"{"typ":"JWT"}"#, Some("algorithm")),
        (r#"{"alg":null}"#, Some("alg is not a text")),
        (r#"{"alg":["HS256"]}"#, Some("alg is not a text")),
        (r#"{"alg":{"HS256":null}}"#, Some("alg is not a text")),
        (r#"{"alg":256}"#, Some("alg is not a text")),
        (r#"{"alg":"HS256","typ":7}"#, Some("typ is not a text")),
        (r#"{"alg":"HS256","kid":7}"#, Some("kid is not a text")),
        (r#"{"alg":"HS256","kid":["a"]}"#, Some("kid is not a text")),
        (r#"{"alg":"HS256","kid":null}"#, Some("kid is not a text")),
        (r#"{"alg":"HS256","alg":"HS256"}"#, Some("unique names")),
        (r#"{"alg":"none","alg":"HS256"}"#, Some("unique names")),
        (r#"{"alg":"HS256","jwk":{"a":1,"a":2}}"#, Some("unique names")),
        (r"{ }", Some("algorithm")),
        (r#"{"alg":"HS256"} "#, None),
        (r#"{"alg":"HS256"}{}"#, Some("unique names")),
    ] {
        let found = identify(&jwt, &sign(header, &claims(&json!({})))).await;
        match reason {
            None => assert_eq!(found.user().map(User::id), Some("7"), "{header}: {found:?}"),
            Some(reason) => {
                let rejection = found.rejection().unwrap_or_else(|| panic!("{header}: {found:?}"));
                assert!(rejection.reason().contains(reason), "{header}: {rejection}");
            }
        }
    }
}

#[tokio::test]
async fn algorithms_that_are_not_configured_are_rejected() {
    let options = JwtOptions { algorithms: vec![Algorithm::HS512], ..JwtOptions::for_tests() };
    let found = identify(&identity(options).await, &token(&json!({}))).await;
    assert!(
        found.rejection().unwrap().reason().contains("not one of the configured algorithms"),
        "{found:?}"
    );
}

/// The payload of a token is read by the source that verifies it, and by nobody else before the signature.
#[tokio::test]
async fn a_token_is_recognized_by_the_source_of_its_issuer() {
    let own = identity(JwtOptions::for_tests()).await;
    let sources = [("test", "other"), ("other", "test")].map(|(issuer, other)| {
        let options = JwtOptions { issuer: issuer.into(), ..JwtOptions::for_tests() };
        JwtIdentity::new(options, vec![other.into()], own.0.keys.clone())
    });
    for (iss, expected) in [
        (json!("test"), [true, false]),
        (json!("other"), [false, true]),
        (json!("third"), [true, true]),
        (json!("absent"), [true, true]),
        (json!(["test"]), [true, true]),
    ] {
        let token = token(&json!({"iss": iss}));
        let (head, ()) =
            Request::get("/").header(AUTHORIZATION, format!("Bearer {token}")).body(()).unwrap().into_parts();
        let recognized = [&sources[0], &sources[1]].map(|source| source.recognizes(&head));
        assert_eq!(recognized, expected, "{iss}");
        assert!(own.recognizes(&head), "{iss}: the only source");
    }
    let (head, ()) = Request::get("/").body(()).unwrap().into_parts();
    assert!(!own.recognizes(&head));
    assert_eq!(own.identify(&head).await.unwrap(), Identity::Anonymous);
}

proptest! {
    #[test]
    fn only_the_signed_token_identifies_its_user(at in any::<prop::sample::Index>(), byte in 0x21_u8..0x7f) {
        let token = token(&json!({}));
        let mut changed = token.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        let changed = String::from_utf8(changed).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let user = runtime.block_on(async {
            let jwt = identity(JwtOptions::for_tests()).await;
            identify(&jwt, &changed).await.user().map(|user| user.id().to_owned())
        });
        prop_assert_eq!(user.is_some(), changed == token, "{}", changed);
    }

    #[test]
    fn no_text_panics_or_identifies_a_user(
        header in ".{0,60}", payload in ".{0,60}", signature in "[A-Za-z0-9_-]{0,60}", raw in "[ -~]{0,200}"
    ) {
        let options = JwtOptions::for_tests();
        let keys = KeySet::from_secret(SECRET).unwrap();
        ring_provider::install();
        let parts = format!("{}.{}.{signature}", encode(&header), encode(&payload));
        let json = format!("{}.{}.{signature}", encode("{\"alg\":\"HS256\"}"), encode(&payload));
        for token in [parts, json, raw] {
            let _ = verify::unverified_issuer(&token);
            let _ = verify::key_hint(&token, &options.algorithms);
            let key = keys.find(None, Algorithm::HS256).unwrap();
            prop_assert!(verify::claims(&token, Algorithm::HS256, key, &options).is_err(), "{}", token);
            let mut headers = http::HeaderMap::new();
            headers.insert(COOKIE, http::HeaderValue::from_str(&format!("at={token}")).unwrap());
            if let Some(Ok(credential)) = Credential::find(&headers, Some(&CookieName::new("at"))) {
                let _ = credential.token();
            }
        }
    }
}
