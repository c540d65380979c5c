//! Files of a bucket are cached on disk.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::buckets::{PHOTO, command, stored};
use crate::metrics::scrape;
use crate::s3_server::{self, BUCKET, Server};
use crate::support::{Gateway, Place, credentials, free_address, refusal};
use crate::upgrade::{Upgradable, is_running, wait};

const FILM: &str = "/private/cars/7/film.mp4";

fn serve(place: &Place, port: u16, name: &str, arguments: &[&str]) -> (Gateway, SocketAddr) {
    let admin = free_address();
    let mut command = command(place, &["serve", "--listen=127.0.0.1:0", "--cache-path=cache"], port);
    command.arg(format!("--admin-listen={admin}")).args(arguments);
    (Gateway::spawn(command, place.path(name)), admin)
}

fn film() -> Vec<u8> {
    (0..256 * 20_000_u32).map(|at| u8::try_from(at % 256).unwrap()).collect()
}

/// Returns the hits and misses of the block cache.
fn counts(admin: SocketAddr) -> (f64, f64) {
    let samples = scrape(admin);
    let count = |result| samples[&format!("private_media_block_cache_requests_total{{result=\"{result}\"}}")];
    (count("hit"), count("miss"))
}

#[test]
fn a_warm_file_is_served_without_a_request_to_the_bucket() {
    let Some(mut server) = Server::start_own() else { return };
    stored(&server);
    let place = Place::new();
    let film = film();
    let blocks = 5.0;
    let (gateway, admin) = serve(&place, server.port, "first.log", &["--revalidate-after=1h"]);
    assert!(gateway.get(FILM, "alice").body == film);
    assert_eq!(gateway.get(PHOTO, "alice").body, b"the photo");
    assert_eq!(counts(admin), (0.0, blocks + 1.0));
    assert!(gateway.get(FILM, "alice").body == film);
    assert_eq!(counts(admin), (blocks, blocks + 1.0));
    let mode = std::fs::metadata(place.path("cache")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    // While one process has the cache, another serves without it.
    let (other, _) = serve(&place, server.port, "other.log", &["--revalidate-after=1h"]);
    assert!(other.logs("another process uses the block cache"), "{}", other.log());
    assert!(other.get(FILM, "alice").body == film);
    drop(other);
    drop(gateway);

    // The next process uses what is there. Each block is verified once.
    let (gateway, admin) = serve(&place, server.port, "second.log", &["--revalidate-after=1h"]);
    assert!(gateway.get(FILM, "alice").body == film);
    assert_eq!(gateway.get(PHOTO, "alice").body, b"the photo");
    assert_eq!(counts(admin), (blocks + 1.0, 0.0));
    server.stop();
    // Nothing is asked now, as nobody would answer. Permission is decided as always.
    assert!(gateway.get(FILM, "alice").body == film);
    assert_eq!((gateway.get(PHOTO, "alice").status, gateway.get(PHOTO, "bob").status), (200, 404));
}

#[test]
fn a_replaced_file_is_seen_after_the_time_by_each_gateway() {
    let Some(mut server) = Server::start_own() else { return };
    stored(&server);
    let (one, two) = (Place::new(), Place::new());
    let gateways =
        [&one, &two].map(|place| serve(place, server.port, "gateway.log", &["--revalidate-after=1s"]).0);
    for gateway in &gateways {
        assert_eq!(gateway.get(PHOTO, "alice").body, b"the photo");
    }
    server.python(&format!(
        "s3.put_object(Bucket={BUCKET:?}, Key='media/cars/7/photo.jpg', Body=b'another photo')"
    ));
    for gateway in &gateways {
        let begin = Instant::now();
        while gateway.get(PHOTO, "alice").body != b"another photo" {
            assert!(begin.elapsed() < Duration::from_secs(20), "{}", gateway.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    // What cannot be checked is not served.
    server.stop();
    let begin = Instant::now();
    while gateways[0].get(PHOTO, "alice").status != 503 {
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", gateways[0].log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_reload_keeps_the_cache() {
    let Some(server) = Server::start() else { return };
    stored(&server);
    let place = Place::new();
    let (gateway, admin) = serve(&place, server.port, "gateway.log", &[]);
    assert_eq!(gateway.get(PHOTO, "alice").body, b"the photo");
    place.write("private-media.toml", "cache.size = \"1GiB\"\n");
    gateway.signal(Signal::HUP);
    assert!(gateway.logs("the configuration was reloaded"), "{}", gateway.log());
    let expected = "changed settings that need a restart, and keep their values until then: cache.size";
    assert!(gateway.log().contains(expected), "{}", gateway.log());
    assert_eq!(gateway.get(PHOTO, "alice").body, b"the photo");
    assert_eq!(counts(admin), (1.0, 1.0));
}

#[test]
fn a_folder_that_is_not_private_is_an_error_at_start() {
    let place = Place::new();
    std::fs::create_dir(place.path("shared")).unwrap();
    std::fs::set_permissions(place.path("shared"), std::fs::Permissions::from_mode(0o777)).unwrap();
    for (path, expected) in [
        ("shared", "other users may write to the folder"),
        ("none/cache", "No such file or directory"),
        ("accounts.toml", "Not a directory"),
    ] {
        let mut command = command(&place, &["serve", "--listen=127.0.0.1:0"], 1);
        let error = refusal(&command.arg(format!("--cache-path={path}")).output().unwrap());
        let begin = format!("--cache-path {path:?}: cannot open the block cache: {expected}");
        assert!(error.contains(&begin), "{error}");
    }
}

/// The old process has the cache until its last download ends; the new one serves without, and then takes it over.
#[test]
fn an_upgrade_hands_the_cache_over() {
    let Some(mut server) = Server::start_own() else { return };
    stored(&server);
    let (place, admin, film) = (Place::new(), free_address(), film());
    let settings = format!(
        "root = \"s3://{BUCKET}/media\"\nadmin.listen = \"{admin}\"\ncache.path = \"cache\"\n
         [storage]\nendpoint = \"http://127.0.0.1:{}\"\nallow_http = true\nrevalidate_after = \"1h\"\n",
        server.port
    );
    place.write("private-media.toml", settings);
    let (key, secret) = s3_server::credentials();
    let credentials_of_bucket = [("AWS_ACCESS_KEY_ID", key), ("AWS_SECRET_ACCESS_KEY", secret)];
    let running = Upgradable::start_with(&place, &[], &credentials_of_bucket);
    assert!(running.gateway.get(FILM, "alice").body == film);
    assert_eq!(counts(admin), (0.0, 5.0));
    // A client that reads slowly keeps the old process.
    let mut download = running.gateway.connect();
    let (name, value) = credentials("alice")[0];
    let head = format!("GET {FILM} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{name}: {value}\r\n\r\n");
    download.write_all(head.as_bytes()).unwrap();
    let mut received = vec![0; 1000];
    download.read_exact(&mut received).unwrap();
    let old = running.current();
    running.upgrade();
    assert!(running.gateway.get(FILM, "alice").body == film, "without the cache");
    assert!(is_running(old));
    download.read_to_end(&mut received).unwrap();
    assert!(received.ends_with(&film), "{}", received.len());
    drop(download);
    wait("the old process ends", Duration::from_secs(20), || !is_running(old));
    wait("the cache is used", Duration::from_secs(20), || {
        assert!(running.gateway.get(FILM, "alice").body == film);
        counts(admin).0 >= 5.0
    });
    server.stop();
    assert!(running.gateway.get(FILM, "alice").body == film, "from the cache");
}
