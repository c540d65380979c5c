//! Only a token that the key signed identifies a user, with the claims that it contains.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use private_media::Identify;
use private_media_gateway::fuzzing::open_identity;
use serde_json::Value;
use sha2::Sha256;

const SECRET: &[u8] = b"a secret of more than thirty-two bytes";
const ISSUER: &str = "https://issuer.example/";
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// Claims, and whether they name a user. The ids are 0, 1, 2 and so on.
const CLAIMS: [(&str, bool); 4] = [
    (r#"{"iss":"https://issuer.example/","aud":"media","exp":99999999999,"sub":"0"}"#, true),
    (r#"{"iss":"https://issuer.example/","aud":["media"],"exp":99999999999,"sub":1}"#, true),
    (r#"{"iss":"https://issuer.example/","aud":"media","exp":1000,"sub":"2"}"#, false),
    (r#"{"iss":"https://other.example/","aud":"media","exp":99999999999,"sub":"3"}"#, false),
];

struct Fixture {
    runtime: tokio::runtime::Runtime,
    tokens: Box<dyn Identify>,
    /// It holds the secret.
    _folder: tempfile::TempDir,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&file, private).unwrap();
    let source = format!(
        "{{source=\"jwt\", secret_file={file:?}, algorithms=[\"HS256\"], issuer={ISSUER:?}, audience=\"media\", cookie=\"at\", \
         cache_ttl=\"0s\"}}"
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tokens = runtime.block_on(open_identity(&["--identity".to_owned(), source])).unwrap();
    Fixture { runtime, tokens, _folder: folder }
});

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    token: Token<'a>,
    place: Place,
}

#[derive(Arbitrary, Debug)]
enum Token<'a> {
    Valid(u8),
    /// A token with one byte replaced.
    Changed(u8, u16, u8),
    /// A token without its last bytes.
    Cut(u8, u16),
    /// Other claims, with the right signature.
    Signed(&'a str),
    /// Another header, with the right signature.
    Header(&'a str),
    Raw(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Place {
    Bearer,
    Cookie,
    /// As Supabase stores it, in chunks of this length.
    Base64(u8),
    Json(u8),
    PercentEncoded(u8),
    List(u8),
}

fuzz_target!(|input: Input<'_>| {
    let token = input.token.text();
    let mut request = Request::new(());
    let (header, line) = match input.place {
        Place::Bearer => (AUTHORIZATION, format!("Bearer {token}")),
        Place::Cookie => (COOKIE, format!("at={token}")),
        Place::Base64(len) => {
            (COOKIE, chunked(&format!("base64-{}", URL_SAFE_NO_PAD.encode(session(&token))), len))
        }
        Place::Json(len) => (COOKIE, chunked(&session(&token), len)),
        Place::PercentEncoded(len) => (COOKIE, chunked(&percent_encode(&session(&token)), len)),
        Place::List(len) => {
            let list = serde_json::json!([token, null]).to_string();
            (COOKIE, chunked(&percent_encode(&list), len))
        }
    };
    let Ok(value) = HeaderValue::from_bytes(line.as_bytes()) else { return };
    request.headers_mut().insert(header, value);
    let head = request.into_parts().0;
    let fixture = &*FIXTURE;
    let identity = fixture.runtime.block_on(fixture.tokens.identify(&head)).unwrap();
    let id = identity.user().map(|user| user.id().to_owned());
    match &input.token {
        Token::Valid(number) => {
            let number = usize::from(*number) % CLAIMS.len();
            // The chunks of a cookie are limited in number.
            let is_sent = line.matches("at.").count() <= 16 || line.starts_with("Bearer");
            let expected = (CLAIMS[number].1 && is_sent).then(|| number.to_string());
            assert_eq!(id, expected, "{line}");
        }
        _ => {
            if let Some(id) = id {
                assert_eq!(claimed_id(&token).as_deref(), Some(&*id), "{token} is not signed for {id}");
            }
        }
    }
});

/// Returns the id in a token with a valid signature, issuer and end.
fn claimed_id(token: &str) -> Option<String> {
    let (signed, signature) = token.trim().rsplit_once('.')?;
    let (_, claims) = signed.split_once('.')?;
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(signed.as_bytes());
    mac.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let is_valid = claims["iss"] == ISSUER && claims["exp"].as_f64()? > 1_600_000_000.0;
    let id = claims["sub"].as_str().map(str::to_owned).or_else(|| Some(claims["sub"].as_i64()?.to_string()));
    let id = id.or_else(|| Some(claims["sub"].as_u64()?.to_string()));
    id.filter(|_| is_valid)
}

fn sign(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn session(token: &str) -> String {
    serde_json::json!({"access_token": token, "refresh_token": "x"}).to_string()
}

fn percent_encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Returns a cookie in chunks of at least 32 bytes, or as a whole.
fn chunked(value: &str, len: u8) -> String {
    let len = usize::from(len);
    if len < 32 || !value.is_ascii() {
        return format!("at={value}");
    }
    let chunks = value.as_bytes().chunks(len).map(|chunk| String::from_utf8_lossy(chunk));
    let chunks = chunks.enumerate().map(|(at, chunk)| format!("at.{at}={chunk}"));
    chunks.collect::<Vec<_>>().join("; ")
}

impl Token<'_> {
    fn text(&self) -> String {
        let valid = |number: u8| sign(HEADER, CLAIMS[usize::from(number) % CLAIMS.len()].0);
        match self {
            Self::Valid(number) => valid(*number),
            Self::Changed(number, at, byte) => {
                let mut token = valid(*number).into_bytes();
                let at = usize::from(*at) % token.len();
                token[at] = byte & 0x7f;
                String::from_utf8(token).unwrap()
            }
            Self::Cut(number, len) => {
                let mut token = valid(*number);
                token.truncate(usize::from(*len) % (token.len() + 1));
                token
            }
            Self::Signed(claims) => sign(HEADER, claims),
            Self::Header(header) => sign(header, CLAIMS[0].0),
            Self::Raw(text) => (*text).to_owned(),
        }
    }
}
