//! The application says who its users are, and which files they may read.

mod answers;
pub(crate) mod app;
mod oracle;
mod outages;
mod sharing;

use std::time::{Duration, Instant};

use crate::support::{Gateway, Place, Response};
use app::GRANTS;

/// Files of several owners, and others.
const FILES: [&str; 9] = [
    "cars/7/photo.jpg",
    "cars/7/a b, é.jpg",
    "cars/8/photo.jpg",
    "cars/9/photo.jpg",
    "cars/10/photo.jpg",
    "cars/an-id-that-is-quite-long@example.org/photo.jpg",
    "shared/photo.jpg",
    "sales/photo.jpg",
    "other/photo.jpg",
];

fn place() -> Place {
    Place::with_files(&FILES)
}

fn url(file: &str) -> String {
    format!("/private/{}", private_media::MediaPath::new(file).unwrap().to_url())
}

/// Serves with one source, and with grants that say what the application does with permissions.
fn serve(place: &Place, source: &str, arguments: &[&str]) -> Gateway {
    let grants: Vec<_> = GRANTS.iter().flat_map(|grant| ["--grant", grant]).collect();
    let own = ["serve", "--listen", "127.0.0.1:0", "--identity", source];
    Gateway::start(&place.path(""), &[&own[..], &grants, arguments].concat())
}

/// Serves with a source that has the permissions, and no grant.
fn serve_permission(place: &Place, source: &str, arguments: &[&str]) -> Gateway {
    Gateway::start(
        &place.path(""),
        &[&["serve", "--listen", "127.0.0.1:0", "--identity", source], arguments].concat(),
    )
}

fn get(gateway: &Gateway, file: &str, cookie: &str) -> Response {
    gateway.fetch(&format!("GET {}", url(file)), &[("cookie", cookie)])
}

fn status(gateway: &Gateway, file: &str, cookie: &str) -> u16 {
    get(gateway, file, cookie).status
}

/// Waits until a status is seen, and returns how long that took.
fn until(expected: u16, limit: Duration, mut status: impl FnMut() -> u16) -> Duration {
    let begin = Instant::now();
    while status() != expected {
        assert!(begin.elapsed() < limit, "no {expected} within {limit:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    begin.elapsed()
}
