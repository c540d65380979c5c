//! Only a session that a secret key signed, with the user's current password hash, is somebody. The target signs by itself, so
//! signing and checking are two implementations.
#![no_main]

use std::io::Write;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use hmac::{Hmac, KeyInit, Mac};
use http::header::COOKIE;
use http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use private_media::{Identify, IdentifyError};
use private_media_django::{
    DjangoOptions, DjangoSessions, DjangoSource, SecretKeys, SessionEngine, SessionRow, UserKey, UserRow,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const KEYS: [&str; 3] = ["the secret key", "a fallback", "the key of another site"];
const ROWS: &str = "django.contrib.sessions.SessionStore";
const COOKIES: &str = "django.contrib.sessions.backends.signed_cookies";
const AUTH_HASH: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";
const BACKEND: &str = "django.contrib.auth.backends.ModelBackend";
const PASSWORD: &str = "pbkdf2_sha256$1000000$salt$hash";
const MAX_AGE: Duration = Duration::from_secs(3600);
const MAX_LENGTH: usize = 4 << 20;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    is_row: bool,
    row_has_expired: bool,
    json: Json<'a>,
    is_compressed: bool,
    time: Time<'a>,
    key: u8,
    has_other_salt: bool,
    change: Change<'a>,
}

#[derive(Arbitrary, Debug)]
enum Json<'a> {
    Session {
        user: User<'a>,
        backend: Option<&'a str>,
        hash: Hash<'a>,
        extra: Vec<(&'a str, &'a str)>,
    },
    Raw(&'a [u8]),
    /// A right session, padded to about the longest that is read, or a bomb of 64 MiB. It takes as long as thousands of others, so
    /// a magic number makes it rare.
    Large {
        magic: u16,
        over: Option<i8>,
    },
}

const MAGIC: u16 = 0x4c41;

#[derive(Arbitrary, Debug)]
enum User<'a> {
    Alice,
    Inactive,
    Other(&'a str),
    Number(i32),
}

#[derive(Arbitrary, Debug)]
enum Hash<'a> {
    Right { is_fallback: bool },
    OfOldPassword,
    Other(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Time<'a> {
    /// Seconds before now.
    Ago(i32),
    Raw(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Change<'a> {
    None,
    Replace(u16, char),
    Cut(u16),
    Append(&'a str),
    Whole(&'a str),
}

struct Source(SessionRow);

impl DjangoSource for Source {
    fn session<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<SessionRow>, IdentifyError>> {
        Box::pin(ready(Ok((key == "abcdefgh").then(|| self.0.clone()))))
    }

    fn user<'a>(&'a self, key: UserKey<'a>) -> BoxFuture<'a, Result<Option<UserRow>, IdentifyError>> {
        let user = match key {
            UserKey::Id(id @ ("7" | "8")) => Some(UserRow::new(id, "").password(PASSWORD).active(id == "7")),
            _ => None,
        };
        Box::pin(ready(Ok(user)))
    }
}

fuzz_target!(|input: Input<'_>| {
    if matches!(input.json, Json::Large { magic, .. } if magic != MAGIC) {
        return;
    }
    let json = input.json.text();
    let key = KEYS[usize::from(input.key) % KEYS.len()];
    let salt = match (input.is_row, input.has_other_salt) {
        (true, false) | (false, true) => ROWS,
        _ => COOKIES,
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let at = match &input.time {
        Time::Ago(seconds) => base62(now.saturating_add_signed(-i64::from(*seconds))),
        Time::Raw(text) => (*text).to_owned(),
    };
    let signed = sign(salt, key, &format!("{}:{at}", pack(&input.json, &json, input.is_compressed)));
    let text = input.change.apply(&signed);
    // In a cookie, `;` ends the value, and white space around it does not count.
    let text = if input.is_row { text } else { text.replace(';', "").trim_matches([' ', '\t']).to_owned() };
    let (value, engine) = match input.is_row {
        true => ("abcdefgh", SessionEngine::Database),
        false => (text.as_str(), SessionEngine::SignedCookies { max_age: MAX_AGE }),
    };
    let Ok(field) = HeaderValue::from_bytes(format!("sessionid={value}").as_bytes()) else { return };
    let expires = SystemTime::now() + Duration::from_secs(60)
        - Duration::from_secs(if input.row_has_expired { 120 } else { 0 });
    let keys = SecretKeys::new([KEYS[0].to_owned(), KEYS[1].to_owned()]).unwrap();
    let options = DjangoOptions::new().engine(engine).cache_ttl(Duration::ZERO);
    let sessions = DjangoSessions::new(Source(SessionRow::new(text.clone(), expires)), keys, options);
    let mut request = Request::new(());
    request.headers_mut().insert(COOKIE, field);
    let identity = sessions.identify(&request.into_parts().0).now_or_never().expect("nothing waits").unwrap();
    let user = identity.user().map(|user| user.id().to_owned());

    let is_authentic = text == signed && key != KEYS[2] && !input.has_other_salt;
    let is_in_time = match (&input.time, input.is_row) {
        (_, true) => Some(!input.row_has_expired),
        (Time::Ago(seconds), false) => match i64::from(*seconds) - 3600 {
            -5..=5 => None,
            over => Some(over < 0),
        },
        (Time::Raw(_), false) => None,
    };
    if !is_authentic || is_in_time == Some(false) {
        assert_eq!(user, None, "{text:?}");
    } else if let (Some(true), Some(expected)) = (is_in_time, expected(&json)) {
        let has_time = matches!(input.time, Time::Ago(_));
        assert!(user == expected || !has_time && user.is_none(), "{user:?} is not {expected:?}: {text:?}");
    }
});

/// Who Django says it is; `None` where `serde_json` does not read what Python might.
fn expected(json: &[u8]) -> Option<Option<String>> {
    if json.len() > MAX_LENGTH {
        return Some(None);
    }
    let text: String = json.iter().copied().map(char::from).collect();
    let session: Value = serde_json::from_str(&text).ok()?;
    let text = |key: &str| session.get(key).and_then(Value::as_str).unwrap_or_default();
    let hash = text("_auth_user_hash");
    let is_current = [KEYS[0], KEYS[1]].iter().any(|key| hash == auth_hash(key, PASSWORD));
    let is_somebody = text("_auth_user_id") == "7" && text("_auth_user_backend") == BACKEND && is_current;
    Some(is_somebody.then(|| "7".into()))
}

fn salted_hmac(salt: &str, key: &str, value: &str) -> Vec<u8> {
    let derived = Sha256::digest(format!("{salt}{key}"));
    let mut mac = Hmac::<Sha256>::new_from_slice(&derived).unwrap();
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn sign(salt: &str, key: &str, value: &str) -> String {
    format!("{value}:{}", URL_SAFE_NO_PAD.encode(salted_hmac(&format!("{salt}signer"), key, value)))
}

fn auth_hash(key: &str, password: &str) -> String {
    salted_hmac(AUTH_HASH, key, password).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pack(json: &Json<'_>, text: &[u8], is_compressed: bool) -> String {
    static BOMB: LazyLock<String> = LazyLock::new(|| compress(&vec![b' '; 64 << 20]));
    match json {
        Json::Large { over: None, .. } => BOMB.clone(),
        // Uncompressed, the text itself would be too long.
        Json::Large { .. } => compress(text),
        _ if is_compressed => compress(text),
        _ => URL_SAFE_NO_PAD.encode(text),
    }
}

fn compress(text: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    format!(".{}", URL_SAFE_NO_PAD.encode(encoder.finish().unwrap()))
}

fn base62(mut number: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut text = Vec::new();
    while number > 0 {
        text.insert(0, DIGITS[(number % 62) as usize]);
        number /= 62;
    }
    if text.is_empty() { "0".into() } else { String::from_utf8(text).unwrap() }
}

impl Json<'_> {
    fn text(&self) -> Vec<u8> {
        let right = json!({"_auth_user_id": "7", "_auth_user_backend": BACKEND, "_auth_user_hash": auth_hash(KEYS[0], PASSWORD)});
        match self {
            Self::Session { user, backend, hash, extra } => {
                let mut session = serde_json::Map::new();
                for (key, value) in extra {
                    session.insert((*key).into(), (*value).into());
                }
                let user = match user {
                    User::Alice => "7".into(),
                    User::Inactive => "8".into(),
                    User::Other(id) => (*id).into(),
                    User::Number(number) => (*number).into(),
                };
                let hash = match hash {
                    Hash::Right { is_fallback } => auth_hash(KEYS[usize::from(*is_fallback)], PASSWORD),
                    Hash::OfOldPassword => auth_hash(KEYS[0], "the old one"),
                    Hash::Other(text) => (*text).to_owned(),
                };
                session.insert("_auth_user_id".into(), user);
                session.insert("_auth_user_backend".into(), backend.unwrap_or(BACKEND).into());
                session.insert("_auth_user_hash".into(), hash.into());
                Value::from(session).to_string().into_bytes()
            }
            Self::Raw(bytes) => bytes.to_vec(),
            Self::Large { over: Some(over), .. } => {
                let mut text = right.to_string().into_bytes();
                text.resize(MAX_LENGTH.saturating_add_signed((*over).into()), b' ');
                text
            }
            Self::Large { over: None, .. } => vec![b' '; MAX_LENGTH + 1],
        }
    }
}

impl Change<'_> {
    fn apply(&self, text: &str) -> String {
        let at = |at: u16| {
            let mut at = usize::from(at) % (text.len() + 1);
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        match self {
            Self::None => text.to_owned(),
            Self::Replace(position, character) => {
                let position = at(*position);
                let rest =
                    text[position..].chars().next().map_or("", |old| &text[position + old.len_utf8()..]);
                format!("{}{character}{rest}", &text[..position])
            }
            Self::Cut(position) => text[..at(*position)].to_owned(),
            Self::Append(more) => format!("{text}{more}"),
            Self::Whole(other) => (*other).to_owned(),
        }
    }
}
