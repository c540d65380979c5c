//! Only a valid token or the right password identifies a user. Every other text is anonymous.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;
use private_media::identity::accounts::{AccountsFile, AccountsOptions, NewAccount};
use private_media::{Accounts, Identify};

const COOKIE_NAME: &str = "private_media_session";
const USERS: [(&str, &str, &str); 2] = [("alice", "7", "correct horse"), ("bob", "8", "battery staple")];

struct Fixture {
    file: String,
    runtime: tokio::runtime::Runtime,
    accounts: Accounts,
    /// Tokens, and the ids of the users that they identify.
    tokens: Vec<(String, Option<&'static str>)>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let file = |users: &[(&str, &str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("accounts.toml");
        let add_all = |file: &mut AccountsFile| {
            users.iter().try_for_each(|(name, id, password)| file.add(NewAccount::new(*name, *id, *password)))
        };
        AccountsFile::update(&path, add_all).unwrap();
        std::fs::read_to_string(path).unwrap()
    };
    let open =
        |text: &str| Accounts::new(AccountsFile::parse(text).unwrap(), AccountsOptions::default()).unwrap();
    let text = file(&USERS);
    let accounts = open(&text);
    let token = |accounts: &Accounts, name: &str, lasts: u64| {
        let field = accounts.session_of(name, Duration::from_secs(lasts)).unwrap();
        field.to_str().unwrap().split_once('=').unwrap().1.to_owned()
    };
    const DAY: u64 = 86_400;
    let tokens = vec![
        (token(&accounts, "alice", DAY), Some("7")),
        (token(&accounts, "bob", DAY), Some("8")),
        (token(&accounts, "alice", 0), None),
        // The key of another site.
        (token(&open(&file(&USERS)), "alice", DAY), None),
        // The same key, but the file does not contain the user.
        (
            token(
                &open(&format!(
                    "{text}\n{}",
                    text.split("[[account]]")
                        .nth(1)
                        .map(|entry| format!("[[account]]{entry}")
                            .replace("alice", "carol")
                            .replace("\"7\"", "\"9\""))
                        .unwrap()
                )),
                "carol",
                DAY,
            ),
            None,
        ),
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    Fixture { file: text, runtime, accounts, tokens }
});

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    cookies: Vec<Vec<Part<'a>>>,
    authorization: Vec<Authorization<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Part<'a> {
    /// The name of the session cookie and `=`.
    Name,
    Token(u8),
    /// A token with one byte replaced.
    Changed(u8, u16, u8),
    /// A token without its last bytes.
    Cut(u8, u16),
    /// A token with one bit flipped before the base64 encoding.
    Flipped(u8, u16),
    Raw(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
enum Authorization<'a> {
    Right(bool),
    Wrong(bool, &'a str),
    Encoded(&'a [u8]),
    Raw(&'a [u8]),
}

fuzz_target!(|input: Input<'_>| {
    let fixture = &*FIXTURE;
    let mut request = Request::new(());
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for parts in input.cookies.iter().take(4) {
        let line: Vec<u8> = parts.iter().flat_map(|part| part.bytes(fixture)).collect();
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            request.headers_mut().append(COOKIE, value);
            lines.push(line);
        }
    }
    let mut credentials = Vec::new();
    for field in input.authorization.iter().take(3) {
        let line = field.bytes();
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            request.headers_mut().append(AUTHORIZATION, value);
            credentials.push(line);
        }
    }
    let head = request.into_parts().0;
    let identity = if credentials.is_empty() {
        fixture.accounts.identify(&head).now_or_never().expect("cookies are identified immediately").unwrap()
    } else {
        // New for each input, because wrong passwords throttle later ones.
        let accounts =
            Accounts::new(AccountsFile::parse(&fixture.file).unwrap(), AccountsOptions::default()).unwrap();
        fixture.runtime.block_on(accounts.identify(&head)).unwrap()
    };
    let expected =
        if credentials.is_empty() { by_cookie(&lines, fixture) } else { by_password(&credentials) };
    assert_eq!(identity.user().map(|user| user.id()), expected, "{:?}", head.headers);
});

/// Returns the user of a cookie that occurs exactly once, with a valid token.
fn by_cookie(lines: &[Vec<u8>], fixture: &Fixture) -> Option<&'static str> {
    let pairs = lines.iter().flat_map(|line| line.split(|byte| *byte == b';'));
    let values: Vec<&[u8]> = pairs
        .filter_map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            (pair[..equals].trim_ascii() == COOKIE_NAME.as_bytes()).then(|| pair[equals + 1..].trim_ascii())
        })
        .collect();
    let [value] = values.as_slice() else { return None };
    fixture.tokens.iter().find(|(token, _)| token.as_bytes() == *value)?.1
}

/// Returns the user of an `Authorization` field that occurs exactly once, with a right name and password.
fn by_password(fields: &[Vec<u8>]) -> Option<&'static str> {
    let [field] = fields else { return None };
    let (scheme, encoded) = std::str::from_utf8(field).ok()?.split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok()?;
    let right =
        |(name, _, password): &&(&str, &str, &str)| decoded == format!("{name}:{password}").as_bytes();
    scheme.eq_ignore_ascii_case("basic").then(|| USERS.iter().find(right)).flatten().map(|(_, id, _)| *id)
}

impl Part<'_> {
    fn bytes(&self, fixture: &Fixture) -> Vec<u8> {
        let token =
            |number: u8| fixture.tokens[usize::from(number) % fixture.tokens.len()].0.clone().into_bytes();
        match self {
            Self::Name => format!("{COOKIE_NAME}=").into_bytes(),
            Self::Token(number) => token(*number),
            Self::Changed(number, at, byte) => {
                let mut token = token(*number);
                let at = usize::from(*at) % token.len();
                token[at] = *byte;
                token
            }
            Self::Cut(number, len) => {
                let mut token = token(*number);
                token.truncate(usize::from(*len) % (token.len() + 1));
                token
            }
            Self::Flipped(number, bit) => {
                use base64::engine::general_purpose::URL_SAFE_NO_PAD;
                let mut bytes = URL_SAFE_NO_PAD.decode(token(*number)).unwrap();
                let bit = usize::from(*bit) % (bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                URL_SAFE_NO_PAD.encode(bytes).into_bytes()
            }
            Self::Raw(bytes) => bytes.to_vec(),
        }
    }
}

impl Authorization<'_> {
    fn bytes(&self) -> Vec<u8> {
        let user = |is_bob: bool| USERS[usize::from(is_bob)];
        let basic = |text: String| format!("Basic {}", STANDARD.encode(text)).into_bytes();
        match self {
            Self::Right(is_bob) => {
                let (name, _, password) = user(*is_bob);
                basic(format!("{name}:{password}"))
            }
            Self::Wrong(is_bob, password) => basic(format!("{}:{password}", user(*is_bob).0)),
            Self::Encoded(bytes) => [b"Basic ", STANDARD.encode(bytes).as_bytes()].concat(),
            Self::Raw(bytes) => bytes.to_vec(),
        }
    }
}
