//! An application with its own sessions, which says who its users are.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the application knows.
#[derive(Default)]
struct State {
    /// The requests that it got, each as its head.
    questions: Mutex<Vec<String>>,
    signed_out: Mutex<HashSet<String>>,
    /// How long it takes to respond.
    pause: Mutex<Duration>,
    /// The `Cache-Control` of its responses.
    cache_control: Mutex<Option<&'static str>>,
    /// The connections that are open, and the most that were.
    connections: AtomicUsize,
    most_connections: AtomicUsize,
    /// A response for all questions, which is no HTTP if it is none.
    response: Mutex<Option<Vec<u8>>>,
}

/// A running application. Its threads end with the test.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

/// A session token, and what the application responds to it: the status and the headers about the user.
pub(crate) const SESSIONS: [(&str, u16, &str); 14] = [
    ("alice-1", 200, "X-User-Id: 7\r\nX-User-Name: alice\r\n"),
    ("alice-2", 204, "X-User-Id: 7\r\nX-User-Name: Zo\u{eb}\r\nX-User-Groups: \r\n"),
    ("bob", 200, "X-User-Id: 8\r\nX-User-Name: bob\r\nX-User-Staff: false\r\n"),
    ("carol", 200, "X-User-Id: 9\r\nX-User-Name: carol\r\nX-User-Staff: true\r\n"),
    ("dave", 200, "X-User-Id: 10\r\nX-User-Groups: sales, press\r\n"),
    ("long", 200, "X-User-Id: an-id-that-is-quite-long@example.org\r\n"),
    ("expired", 401, ""),
    ("expired-with-user", 401, "X-User-Id: 9\r\nX-User-Staff: true\r\n"),
    ("banned", 403, "X-User-Id: 9\r\n"),
    ("broken", 500, "X-User-Id: 9\r\n"),
    ("missing", 404, "X-User-Id: 9\r\n"),
    ("redirected", 302, "X-User-Id: 9\r\nLocation: /login?next=secret\r\n"),
    ("two-users", 200, "X-User-Id: 7\r\nX-User-Id: 9\r\n"),
    ("two-roles", 200, "X-User-Id: 7\r\nX-User-Staff: false\r\nX-User-Staff: true\r\n"),
];

impl App {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let app = Self { address: listener.local_addr().unwrap(), state: Arc::default() };
        let served = app.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let app = served.clone();
                std::thread::spawn(move || app.serve(stream));
            }
        });
        app
    }

    /// Returns the inline table of a source that asks this application.
    pub(crate) fn source(&self, path: &str, more: &str) -> String {
        format!("{{source=\"forward\", url=\"http://{}{path}\"{more}}}", self.address)
    }

    pub(crate) fn sign_out(&self, token: &str) {
        self.state.signed_out.lock().unwrap().insert(token.to_owned());
    }

    pub(crate) fn sign_in(&self, token: &str) {
        self.state.signed_out.lock().unwrap().remove(token);
    }

    pub(crate) fn set_pause(&self, pause: Duration) {
        *self.state.pause.lock().unwrap() = pause;
    }

    pub(crate) fn set_cache_control(&self, value: Option<&'static str>) {
        *self.state.cache_control.lock().unwrap() = value;
    }

    /// Sets the bytes that the application responds to all questions, or lets it respond as usual.
    pub(crate) fn set_response(&self, bytes: Option<&[u8]>) {
        *self.state.response.lock().unwrap() = bytes.map(<[u8]>::to_vec);
    }

    /// Takes the questions since the last time.
    pub(crate) fn take_questions(&self) -> Vec<String> {
        std::mem::take(&mut self.state.questions.lock().unwrap())
    }

    /// Returns the number of questions since they were taken.
    pub(crate) fn count_questions(&self) -> usize {
        self.state.questions.lock().unwrap().len()
    }

    /// Returns the most connections that were open at a time.
    pub(crate) fn most_connections(&self) -> usize {
        self.state.most_connections.load(Ordering::SeqCst)
    }

    fn serve(&self, stream: TcpStream) {
        let open = self.state.connections.fetch_add(1, Ordering::SeqCst) + 1;
        self.state.most_connections.fetch_max(open, Ordering::SeqCst);
        self.respond_to_all(stream);
        self.state.connections.fetch_sub(1, Ordering::SeqCst);
    }

    /// Responds to requests until the client closes the connection.
    fn respond_to_all(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                let mut line = Vec::new();
                if reader.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
                    return;
                }
                head.push_str(&String::from_utf8_lossy(&line));
            }
            let response = self.response(&head);
            self.state.questions.lock().unwrap().push(head);
            std::thread::sleep(*self.state.pause.lock().unwrap());
            if stream.write_all(&response).is_err() {
                return;
            }
        }
    }

    fn response(&self, head: &str) -> Vec<u8> {
        if let Some(response) = &*self.state.response.lock().unwrap() {
            return response.clone();
        }
        let token = token(head).unwrap_or_default();
        let session = SESSIONS.iter().find(|(own, ..)| *own == token);
        let is_signed_out = self.state.signed_out.lock().unwrap().contains(&token);
        let (status, mut user) = match session {
            Some((_, status, user)) if !is_signed_out => (*status, (*user).to_owned()),
            _ => (401, String::new()),
        };
        let status = if head.starts_with("GET /permission ") && status < 300 {
            if may_read(&user, field(head, "x-original-uri").unwrap_or_default()) { status } else { 403 }
        } else {
            status
        };
        if let Some(value) = *self.state.cache_control.lock().unwrap() {
            user = format!("{user}Cache-Control: {value}\r\n");
        }
        let len = if status == 204 { "" } else { "Content-Length: 2\r\n" };
        let body = if status == 204 { "" } else { "{}" };
        format!("HTTP/1.1 {status} Status\r\n{user}{len}\r\n{body}").into_bytes()
    }
}

/// The application's own rules, by the headers about a user and the URL that is asked for.
fn may_read(user: &str, url: &str) -> bool {
    let is_staff = user.contains("X-User-Staff: true");
    let id = field(user, "x-user-id").unwrap_or_default();
    let url = percent_encoding::percent_decode_str(url).decode_utf8_lossy();
    let path: Vec<_> = url.trim_start_matches("/private/").split('/').collect();
    match path[..] {
        ["cars", owner, ..] => is_staff || owner == id,
        ["shared", ..] => true,
        ["sales", ..] => user.contains("sales"),
        _ => false,
    }
}

/// The grants that say the same as [`may_read`].
pub(crate) const GRANTS: [&str; 3] =
    ["cars/{owner}/{*file}=owner,staff", "shared/{*file}=authenticated", "sales/{*file}=group:sales"];

pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The session token of a request: a cookie, or a bearer token.
fn token(head: &str) -> Option<String> {
    let mut cookies = field(head, "cookie").unwrap_or_default().split("; ");
    let cookie = cookies.find_map(|pair| pair.strip_prefix("session="));
    let bearer = field(head, "authorization").and_then(|value| value.strip_prefix("Bearer "));
    cookie.or(bearer).map(str::to_owned)
}
