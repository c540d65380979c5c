//! Sessions identify the same users as in Django.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt;
use http::Request;
use proptest::prelude::*;

use super::*;

/// Sessions, and the users that Django identifies by them: written by `tests/vectors/ask.py`.
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

/// Sessions that Django accepts and this crate rejects on purpose.
const STRICTER: [&str; 15] = [
    // Inactive users are anonymous, whatever the backend allows.
    "user: inactive, for a backend that allows it",
    // The decompressed length is limited.
    "zlib: eight megabytes of spaces",
    // Django accepts more than it writes. Only a holder of the secret key could create these, so nothing is lost.
    "JSON: an additional NaN",
    "base64: a colon in it",
    "base64: a newline in it",
    "base64: padded",
    "base64: characters outside the alphabet",
    "id: a float",
    "id: a number",
    "id: in Arabic digits",
    "id: with a newline",
    "id: with a sign",
    "id: with a space",
    "id: with an underscore",
    "id: with leading zeros",
];

fn vectors() -> Vectors {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/vectors.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn unix_time(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A source in memory.
#[derive(Default)]
struct TestSource {
    sessions: Mutex<HashMap<String, SessionRow>>,
    users: Mutex<Vec<UserRow>>,
    queries: AtomicUsize,
    is_down: AtomicBool,
}

impl TestSource {
    fn query<T>(&self, row: Option<T>) -> BoxFuture<'_, Result<Option<T>, IdentifyError>>
    where
        T: Send + 'static,
    {
        self.queries.fetch_add(1, Ordering::Relaxed);
        let is_down = self.is_down.load(Ordering::Relaxed);
        let result = if is_down { Err(IdentifyError::new("the database is down")) } else { Ok(row) };
        Box::pin(std::future::ready(result))
    }
}

impl DjangoSource for Arc<TestSource> {
    fn session<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<SessionRow>, IdentifyError>> {
        self.query(self.sessions.lock().unwrap().get(key).cloned())
    }

    fn user<'a>(&'a self, key: UserKey<'a>) -> BoxFuture<'a, Result<Option<UserRow>, IdentifyError>> {
        let users = self.users.lock().unwrap();
        let found = users.iter().find(|user| match key {
            UserKey::Id(id) => user.id == id,
            UserKey::Name(name) => user.name == name,
        });
        self.query(found.cloned())
    }
}

impl Case {
    fn source(&self) -> Arc<TestSource> {
        let source = TestSource::default();
        if let Some(row) = &self.row {
            let stored = SessionRow::new(&row.data, unix_time(row.expires));
            source.sessions.lock().unwrap().insert(row.key.clone(), stored);
        }
        if let Some(user) = &self.user {
            let row = UserRow::new(user.id.to_string(), &user.username)
                .password(&user.password)
                .active(user.is_active)
                .staff(user.is_staff)
                .superuser(user.is_superuser)
                .groups(&user.groups);
            source.users.lock().unwrap().push(row);
        }
        Arc::new(source)
    }

    fn options(&self, cache_ttl: Duration) -> DjangoOptions {
        let engine = match &*self.engine {
            "signed_cookies" => SessionEngine::SignedCookies { max_age: Duration::from_secs(self.max_age) },
            _ => SessionEngine::Database,
        };
        DjangoOptions::new().engine(engine).backends(&self.backends).cache_ttl(cache_ttl)
    }

    fn sessions(&self, source: Arc<TestSource>, options: DjangoOptions) -> DjangoSessions {
        let keys = [std::slice::from_ref(&self.secret), &self.fallbacks].concat().join("\n");
        DjangoSessions::new(source, SecretKeys::parse(&keys).unwrap(), options)
    }

    fn identified(&self, now: SystemTime) -> Option<Expected> {
        let sessions = self.sessions(self.source(), self.options(Duration::ZERO));
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
fn sessions_identify_the_same_users_as_in_django() {
    let Vectors { now, cases } = vectors();
    assert!(cases.len() > 200, "{}", cases.len());
    let mut stricter = vec![];
    for case in &cases {
        let identified = case.identified(unix_time(now));
        if identified.is_none() && case.expected.is_some() {
            stricter.push(&*case.name);
        } else {
            assert_eq!(identified, case.expected, "{}", case.name);
        }
    }
    let mut expected = STRICTER;
    expected.sort_unstable();
    stricter.sort_unstable();
    assert_eq!(stricter, expected);
}

fn case(name: &str) -> (Case, SystemTime) {
    let Vectors { now, cases } = vectors();
    (cases.into_iter().find(|case| case.name == name).unwrap(), unix_time(now))
}

/// Returns sessions with one valid session of alice (id 7), their source, and the cookie of that session.
fn signed_in(cache_ttl: Duration) -> (DjangoSessions, Arc<TestSource>, String) {
    let (case, _) = case("db: signed in");
    let source = case.source();
    let expires = SystemTime::now() + Duration::from_secs(3600);
    source.sessions.lock().unwrap().values_mut().for_each(|row| row.expires = expires);
    let cookie = format!("sessionid={}", case.cookie);
    (case.sessions(Arc::clone(&source), case.options(cache_ttl)), source, cookie)
}

/// Returns the id of the user that a `Cookie` header identifies.
fn identify(sessions: &DjangoSessions, cookie: &str) -> Result<Option<String>, IdentifyError> {
    let (head, ()) = Request::get("/").header(COOKIE, cookie).body(()).unwrap().into_parts();
    let identity = sessions.identify(&head).now_or_never().unwrap()?;
    Ok(identity.user().map(|user| user.id().to_owned()))
}

/// The reason is for logs. The session of an anonymous visitor has none, and another source may decide about the request.
#[test]
fn invalid_sessions_are_rejected_with_a_reason() {
    for (name, reason) in [
        ("db: not signed in", None),
        ("signed_cookies: not signed in", None),
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
        ("user: deleted", Some("the user does not exist")),
        ("user: inactive", Some("the user is not active")),
        ("user: password changed", Some("the password or the secret key was changed after the sign-in")),
        ("hash: of another secret", Some("the password or the secret key was changed after the sign-in")),
    ] {
        let (case, now) = case(name);
        let sessions = case.sessions(case.source(), case.options(Duration::ZERO));
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
fn only_a_single_cookie_with_the_configured_name_counts() {
    let (sessions, source, cookie) = signed_in(Duration::ZERO);
    for (fields, user) in [
        (cookie.clone(), Some("7")),
        (format!("csrftoken=x; {cookie}; theme=dark"), Some("7")),
        (format!("{cookie}; {cookie}"), None),
        (format!("sessionid=x; {cookie}"), None),
        (cookie.replace("sessionid", "session"), None),
        (cookie.replace('=', "=\"") + "\"", None),
        (String::new(), None),
    ] {
        assert_eq!(identify(&sessions, &fields).unwrap().as_deref(), user, "{fields}");
    }
    let (case, _) = case("db: signed in");
    let renamed = case.sessions(source, case.options(Duration::ZERO).cookie("shop"));
    assert_eq!(identify(&renamed, &cookie).unwrap(), None);
    assert_eq!(identify(&renamed, &cookie.replace("sessionid", "shop")).unwrap().as_deref(), Some("7"));
    assert_eq!(renamed.vary(), [COOKIE]);
}

#[test]
fn identities_are_cached_for_the_ttl() {
    let (sessions, source, cookie) = signed_in(Duration::from_millis(50));
    let queries = || source.queries.load(Ordering::Relaxed);
    assert_eq!(identify(&sessions, &cookie).unwrap().as_deref(), Some("7"));
    let first = queries();
    source.users.lock().unwrap().clear();
    while identify(&sessions, &cookie).unwrap().is_some() {
        assert_eq!(queries(), first, "a cached identity needs no query");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(queries() > first);

    let (sessions, source, cookie) = signed_in(Duration::ZERO);
    assert_eq!(identify(&sessions, &cookie).unwrap().as_deref(), Some("7"));
    source.sessions.lock().unwrap().clear();
    assert_eq!(identify(&sessions, &cookie).unwrap(), None, "zero disables the cache");
}

#[test]
fn a_failed_query_is_an_error_and_is_not_cached() {
    let (sessions, source, cookie) = signed_in(Duration::from_secs(60));
    source.is_down.store(true, Ordering::Relaxed);
    assert!(identify(&sessions, &cookie).is_err());
    assert_eq!(identify(&sessions, "sessionid=short").unwrap(), None, "an impossible key is not looked up");
    source.is_down.store(false, Ordering::Relaxed);
    assert_eq!(identify(&sessions, &cookie).unwrap().as_deref(), Some("7"));
}

#[test]
fn users_are_found_by_name() {
    let (sessions, source, _) = signed_in(Duration::ZERO);
    let find = |key| sessions.find(key).now_or_never().unwrap().unwrap();
    for key in [UserKey::Name("alice"), UserKey::Id("7")] {
        assert_eq!(find(key).unwrap().user().map(private_media::User::id), Some("7"));
    }
    assert_eq!((find(UserKey::Name("7")), find(UserKey::Id("alice"))), (None, None));
    source.users.lock().unwrap()[0].is_active = false;
    assert_eq!(
        find(UserKey::Name("alice")).unwrap().rejection().unwrap().to_string(),
        "django: the user is not active"
    );
}

#[test]
fn debug_shows_no_secret() {
    let (sessions, source, cookie) = signed_in(Duration::ZERO);
    let (case, _) = case("db: signed in");
    let row = source.sessions.lock().unwrap().values().next().cloned().unwrap();
    let user = source.users.lock().unwrap()[0].clone();
    let shown = format!("{sessions:?} {row:?} {user:?} {:?}", sessions.0.keys);
    for secret in [&case.secret, &row.data, &user.password, &cookie] {
        assert!(!shown.contains(secret.as_str()), "{shown}");
    }
}

#[test]
fn secret_keys_are_loaded_from_a_private_file() {
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
    /// Neither in the database nor in a cookie.
    #[test]
    fn unsigned_text_identifies_nobody(text in any::<String>(), parts in prop::collection::vec("[A-Za-z0-9_-]{0,50}", 0..5)) {
        let (case, now) = case("db: signed in");
        let keys = SecretKeys::parse(&case.secret).unwrap();
        for text in [text, parts.join(":"), format!(".{}", parts.join(":"))] {
            prop_assert!(Session::from_row(&text, &keys).is_err());
            prop_assert!(Session::from_cookie(&text, &keys, Duration::MAX, now).is_err());
        }
    }

    #[test]
    fn a_changed_session_is_rejected(at in any::<prop::sample::Index>(), byte in any::<char>()) {
        let (case, _) = case("db: signed in");
        let keys = SecretKeys::parse(&case.secret).unwrap();
        let data = case.row.unwrap().data;
        let mut changed: Vec<_> = data.chars().collect();
        changed[at.index(data.len())] = byte;
        let changed: String = changed.into_iter().collect();
        prop_assert_eq!(Session::from_row(&changed, &keys).is_ok(), changed == data);
    }

    /// Signed content is parsed without a panic, and identifies a user only by the keys of Django's `login`.
    #[test]
    fn arbitrary_content_identifies_nobody(bytes in any::<Vec<u8>>()) {
        prop_assert!(Session::from_json(&bytes).is_err());
    }
}
