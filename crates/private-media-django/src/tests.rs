//! What Django's sessions promise: whoever is nobody to Django is nobody here.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt;
use http::Request;
use proptest::prelude::*;

use super::*;

/// What `tests/vectors/ask.py` has asked Django.
#[derive(serde::Deserialize)]
struct Vectors {
    now: u64,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    engine: String,
    cookie: String,
    row: Option<CaseRow>,
    secret: String,
    fallbacks: Vec<String>,
    backends: Vec<String>,
    max_age: u64,
    user: Option<CaseUser>,
    expected: Option<Expected>,
}

#[derive(serde::Deserialize)]
struct CaseRow {
    key: String,
    data: String,
    expires: u64,
}

#[derive(serde::Deserialize)]
struct CaseUser {
    id: u64,
    username: String,
    password: String,
    is_active: bool,
    is_staff: bool,
    is_superuser: bool,
    groups: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, serde::Deserialize)]
struct Expected {
    id: String,
    name: String,
    staff: bool,
    groups: Vec<String>,
}

/// What Django takes for somebody's and we do not, on purpose.
const STRICTER: [&str; 15] = [
    // For us whoever is not active is nobody, whatever a backend says of it.
    "user: inactive, for a backend that allows it",
    // What is unpacked is bounded.
    "zlib: eight megabytes of spaces",
    // Django reads more than it writes. Only who has the secret key could make these, and they have no right to be read.
    "JSON: NaN beside it",
    "base64: a colon in it",
    "base64: a newline in it",
    "base64: padded",
    "base64: signs that are none",
    "id: a float",
    "id: a number",
    "id: in Arabic digits",
    "id: with a newline",
    "id: with a sign",
    "id: with a space",
    "id: with an underscore",
    "id: with zeros before it",
];

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/vectors.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn second(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Rows in memory.
#[derive(Default)]
struct Rows {
    sessions: Mutex<HashMap<String, SessionRow>>,
    users: Mutex<Vec<UserRow>>,
    asked: AtomicUsize,
    is_away: AtomicBool,
}

impl Rows {
    fn ask<T>(&self, answer: Option<T>) -> BoxFuture<'_, Result<Option<T>, IdentifyError>>
    where
        T: Send + 'static,
    {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let is_away = self.is_away.load(Ordering::Relaxed);
        let answer = if is_away { Err(IdentifyError::new("away")) } else { Ok(answer) };
        Box::pin(std::future::ready(answer))
    }
}

impl DjangoSource for Arc<Rows> {
    fn session<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<SessionRow>, IdentifyError>> {
        self.ask(self.sessions.lock().unwrap().get(key).cloned())
    }

    fn user<'a>(&'a self, key: UserKey<'a>) -> BoxFuture<'a, Result<Option<UserRow>, IdentifyError>> {
        let users = self.users.lock().unwrap();
        let found = users.iter().find(|user| match key {
            UserKey::Id(id) => user.id == id,
            UserKey::Name(name) => user.name == name,
        });
        self.ask(found.cloned())
    }
}

impl Case {
    fn rows(&self) -> Arc<Rows> {
        let rows = Rows::default();
        if let Some(row) = &self.row {
            let stored = SessionRow { data: row.data.clone(), expires: second(row.expires) };
            rows.sessions.lock().unwrap().insert(row.key.clone(), stored);
        }
        if let Some(user) = &self.user {
            rows.users.lock().unwrap().push(UserRow {
                id: user.id.to_string(),
                name: user.username.clone(),
                password: user.password.clone(),
                is_active: user.is_active,
                is_staff: user.is_staff,
                is_superuser: user.is_superuser,
                groups: user.groups.clone(),
            });
        }
        Arc::new(rows)
    }

    fn sessions(&self, rows: Arc<Rows>, cache: Duration) -> DjangoSessions {
        let keys = [std::slice::from_ref(&self.secret), &self.fallbacks].concat().join("\n");
        let engine = match &*self.engine {
            "signed_cookies" => SessionEngine::Cookies { max_age: Duration::from_secs(self.max_age) },
            _ => SessionEngine::Rows,
        };
        let options =
            DjangoOptions { engine, backends: self.backends.clone(), cache, ..DjangoOptions::default() };
        DjangoSessions::new(rows, SecretKeys::parse(&keys).unwrap(), options)
    }

    fn answer(&self, now: SystemTime) -> Option<Expected> {
        let sessions = self.sessions(self.rows(), Duration::ZERO);
        let identity = sessions.0.identity(&self.cookie, now).now_or_never().unwrap().unwrap();
        identity.user().map(|user| {
            let mut groups = user.groups().to_vec();
            groups.sort();
            Expected {
                id: user.id().into(),
                name: user.display_name().into(),
                staff: user.is_staff(),
                groups,
            }
        })
    }
}

#[test]
fn django_says_the_same() {
    let Vectors { now, cases } = vectors();
    assert!(cases.len() > 200, "{}", cases.len());
    let mut stricter = vec![];
    for case in &cases {
        let answer = case.answer(second(now));
        if answer.is_none() && case.expected.is_some() {
            stricter.push(&*case.name);
        } else {
            assert_eq!(answer, case.expected, "{}", case.name);
        }
    }
    let mut known = STRICTER;
    known.sort_unstable();
    stricter.sort_unstable();
    assert_eq!(stricter, known);
}

fn case(name: &str) -> (Case, SystemTime) {
    let Vectors { now, cases } = vectors();
    (cases.into_iter().find(|case| case.name == name).unwrap(), second(now))
}

/// A case that is somebody's, with its session good for another hour from now, and what it is made of.
fn signed_in(cache: Duration) -> (DjangoSessions, Arc<Rows>, String) {
    let (case, _) = case("db: signed in");
    let rows = case.rows();
    let expires = SystemTime::now() + Duration::from_secs(3600);
    rows.sessions.lock().unwrap().values_mut().for_each(|row| row.expires = expires);
    (case.sessions(Arc::clone(&rows), cache), rows, format!("sessionid={}", case.cookie))
}

fn ask(sessions: &DjangoSessions, cookie: &str) -> Result<Option<String>, IdentifyError> {
    let (head, ()) = Request::get("/").header(COOKIE, cookie).body(()).unwrap().into_parts();
    let identity = sessions.identify(&head).now_or_never().unwrap()?;
    Ok(identity.user().map(|user| user.id().to_owned()))
}

/// The reason is for logs. The session of an anonymous visitor has none, and another source may decide about the request.
#[test]
fn invalid_sessions_are_rejected_with_a_reason() {
    for (name, reason) in [
        ("db: nobody signed in", None),
        ("signed_cookies: nobody signed in", None),
        ("JSON: an empty object", None),
        ("db: no such session", Some("the session does not exist: it was signed out, or it expired")),
        ("key: with a space", Some("the cookie is not a session key")),
        ("db: expired", Some("the session expired")),
        ("signed_cookies: a second too old", Some("the session expired")),
        ("db: tampered", Some("the session is malformed, or no secret key signed it")),
        ("db: another secret", Some("the session is malformed, or no secret key signed it")),
        ("signed_cookies: tampered payload", Some("the session is malformed, or no secret key signed it")),
        ("JSON: a list", Some("the session is not a JSON object")),
        ("hash: missing", Some("the session names a user without backend or password hash")),
        (
            "backend: not in the list",
            Some("the backend that authenticated the user is not among the configured ones"),
        ),
        ("user: none any more", Some("the user does not exist")),
        ("user: inactive", Some("the user is not active")),
        ("user: password changed", Some("the password or the secret key was changed after the sign-in")),
        ("hash: of another secret", Some("the password or the secret key was changed after the sign-in")),
    ] {
        let (case, now) = case(name);
        let sessions = case.sessions(case.rows(), Duration::ZERO);
        let identity = sessions.0.identity(&case.cookie, now).now_or_never().unwrap().unwrap();
        let rejection = identity.rejection().map(|rejection| (rejection.source(), rejection.reason()));
        assert_eq!(rejection, reason.map(|reason| ("django", reason)), "{name}");
        assert!(identity.user().is_none(), "{name}");
    }
}

#[test]
fn a_cookie_is_recognized_by_its_name() {
    let (sessions, _, cookie) = signed_in(Duration::ZERO);
    for (fields, is_recognized, rejection) in [
        (cookie.clone(), true, None),
        (format!("theme=dark; {cookie}"), true, None),
        ("sessionid=x".into(), true, Some("the cookie is not a session key")),
        (
            format!("{cookie}; {cookie}"),
            true,
            Some("the request has two session cookies, or one that is not ASCII"),
        ),
        ("sessionid=".into(), false, None),
        ("csrftoken=x".into(), false, None),
        (String::new(), false, None),
    ] {
        let (head, ()) = Request::get("/").header(COOKIE, &fields).body(()).unwrap().into_parts();
        assert_eq!(sessions.recognizes(&head), is_recognized, "{fields}");
        let identity = sessions.identify(&head).now_or_never().unwrap().unwrap();
        assert_eq!(identity.rejection().map(Rejection::reason), rejection, "{fields}");
    }
    let (head, ()) = Request::get("/").header(COOKIE, &cookie).body(()).unwrap().into_parts();
    let identity = sessions.identify(&head).now_or_never().unwrap().unwrap();
    assert_eq!(identity.user().and_then(private_media::User::identified_by), Some("django"));
}

#[test]
fn the_cookie_is_the_one_of_the_project() {
    let (sessions, rows, cookie) = signed_in(Duration::ZERO);
    for (fields, user) in [
        (cookie.clone(), Some("7")),
        (format!("csrftoken=x; {cookie}; theme=dark"), Some("7")),
        (format!("{cookie}; {cookie}"), None),
        (format!("sessionid=x; {cookie}"), None),
        (cookie.replace("sessionid", "session"), None),
        (cookie.replace('=', "=\"") + "\"", None),
        (String::new(), None),
    ] {
        assert_eq!(ask(&sessions, &fields).unwrap().as_deref(), user, "{fields}");
    }
    let (case, _) = case("db: signed in");
    let DjangoOptions { engine, backends, .. } = sessions.0.options.clone();
    let options = DjangoOptions { engine, backends, cookie: "shop".into(), cache: Duration::ZERO };
    let renamed = DjangoSessions::new(rows, SecretKeys::parse(&case.secret).unwrap(), options);
    assert_eq!(ask(&renamed, &cookie).unwrap(), None);
    assert_eq!(ask(&renamed, &cookie.replace("sessionid", "shop")).unwrap().as_deref(), Some("7"));
    assert_eq!(renamed.vary(), [COOKIE]);
}

#[test]
fn answers_are_asked_again_when_their_time_is_over() {
    let (sessions, rows, cookie) = signed_in(Duration::from_millis(50));
    let asked = || rows.asked.load(Ordering::Relaxed);
    assert_eq!(ask(&sessions, &cookie).unwrap().as_deref(), Some("7"));
    let first = asked();
    rows.users.lock().unwrap().clear();
    while ask(&sessions, &cookie).unwrap().is_some() {
        assert_eq!(asked(), first, "an answer that is kept asks nobody");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(asked() > first);

    let (sessions, rows, cookie) = signed_in(Duration::ZERO);
    assert_eq!(ask(&sessions, &cookie).unwrap().as_deref(), Some("7"));
    rows.sessions.lock().unwrap().clear();
    assert_eq!(ask(&sessions, &cookie).unwrap(), None, "without a time to keep, each is asked");
}

#[test]
fn what_cannot_be_found_out_is_an_error_and_is_not_kept() {
    let (sessions, rows, cookie) = signed_in(Duration::from_secs(60));
    rows.is_away.store(true, Ordering::Relaxed);
    assert!(ask(&sessions, &cookie).is_err());
    assert_eq!(ask(&sessions, "sessionid=short").unwrap(), None, "what can be no key asks nobody");
    rows.is_away.store(false, Ordering::Relaxed);
    assert_eq!(ask(&sessions, &cookie).unwrap().as_deref(), Some("7"));
}

#[test]
fn users_are_found_by_name() {
    let (sessions, rows, _) = signed_in(Duration::ZERO);
    let find = |name| sessions.find(name).now_or_never().unwrap().unwrap();
    assert_eq!(find("alice").unwrap().user().map(private_media::User::id), Some("7"));
    assert_eq!(find("7"), None);
    rows.users.lock().unwrap()[0].is_active = false;
    assert_eq!(find("alice").unwrap().rejection().unwrap().to_string(), "django: the user is not active");
}

#[test]
fn nothing_that_is_secret_is_shown() {
    let (sessions, rows, cookie) = signed_in(Duration::ZERO);
    let (case, _) = case("db: signed in");
    let row = rows.sessions.lock().unwrap().values().next().cloned().unwrap();
    let user = rows.users.lock().unwrap()[0].clone();
    let shown = format!("{sessions:?} {row:?} {user:?} {:?}", sessions.0.keys);
    for secret in [&case.secret, &row.data, &user.password, &cookie] {
        assert!(!shown.contains(secret.as_str()), "{shown}");
    }
}

#[test]
fn files_of_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.key");
    let load = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        SecretKeys::load(&path).map(|keys| format!("{keys:?}")).map_err(|error| error.to_string())
    };
    assert_eq!(load("one key", 0o600).unwrap(), "SecretKeys(1 keys)");
    assert_eq!(load("one\r\n\ntwo\nthree\n", 0o400).unwrap(), "SecretKeys(3 keys)");
    for (text, mode, part) in
        [("", 0o600, "SECRET_KEY"), ("\n\n", 0o600, "first line"), ("key", 0o640, "chmod 600")]
    {
        let line = load(text, mode).unwrap_err();
        assert!(line.contains(part) && !line.contains('\n'), "{line}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(SecretKeys::load(&path).unwrap_err().to_string().contains("no such file"));
}

proptest! {
    /// No text is anybody, in a row or as a cookie.
    #[test]
    fn no_text_is_anybody(text in any::<String>(), parts in prop::collection::vec("[A-Za-z0-9_-]{0,50}", 0..5)) {
        let (case, now) = case("db: signed in");
        let keys = SecretKeys::parse(&case.secret).unwrap();
        for text in [text, parts.join(":"), format!(".{}", parts.join(":"))] {
            prop_assert!(Session::from_row(&text, &keys).is_err());
            prop_assert!(Session::from_cookie(&text, &keys, Duration::MAX, now).is_err());
        }
    }

    /// A session that was changed anywhere is nobody's.
    #[test]
    fn no_change_goes_unseen(at in any::<prop::sample::Index>(), byte in any::<char>()) {
        let (case, _) = case("db: signed in");
        let keys = SecretKeys::parse(&case.secret).unwrap();
        let data = case.row.unwrap().data;
        let mut changed: Vec<_> = data.chars().collect();
        changed[at.index(data.len())] = byte;
        let changed: String = changed.into_iter().collect();
        prop_assert_eq!(Session::from_row(&changed, &keys).is_ok(), changed == data);
    }

    /// Whatever is signed, it is read without a panic, and is somebody's only if it says whose.
    #[test]
    fn no_bytes_are_anybody(bytes in any::<Vec<u8>>()) {
        prop_assert!(Session::from_json(&bytes).is_err());
    }
}
