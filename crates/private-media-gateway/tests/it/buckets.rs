//! The root is a bucket.

use std::time::{Duration, Instant};

use crate::clients::{Clients, Target};
use crate::fronts::printed;
use crate::fronts::server::{Front, FrontServer};
use crate::s3_server::{self, BUCKET, Server};
use crate::support::{GRANT, Gateway, Place, credentials, free_address, program, refusal};

pub(crate) const PHOTO: &str = "/private/cars/7/photo.jpg";

/// Returns the arguments for the bucket of a server.
fn arguments(port: u16) -> Vec<String> {
    let root = format!("--root=s3://{BUCKET}/media");
    let endpoint = format!("--storage-endpoint=http://127.0.0.1:{port}");
    vec![root, endpoint, "--storage-allow-http".into(), format!("--grant={GRANT}")]
}

/// Returns the program with credentials for the bucket.
pub(crate) fn command(place: &Place, subcommand: &[&str], port: u16) -> std::process::Command {
    let mut command = program();
    command.args(subcommand).args(arguments(port)).current_dir(place.path(""));
    let (key, secret) = s3_server::credentials();
    command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret);
    command
}

fn serve(place: &Place, port: u16) -> Gateway {
    Gateway::spawn(command(place, &["serve", "--listen=127.0.0.1:0"], port), place.path("gateway.log"))
}

pub(crate) fn stored(server: &Server) {
    server.python(&format!(
        "
s3.put_object(Bucket={BUCKET:?}, Key='media/cars/7/photo.jpg', Body=b'the photo', ContentType='text/html')
s3.put_object(Bucket={BUCKET:?}, Key='media/cars/7/film.mp4', Body=bytes(range(256)) * 20_000)
s3.put_object(Bucket={BUCKET:?}, Key='cars/7/outside.jpg', Body=b'outside')
"
    ));
}

#[test]
fn files_of_a_bucket_are_served_to_users_with_permission() {
    let Some(server) = Server::start() else { return };
    stored(&server);
    let place = Place::new();
    let gateway = serve(&place, server.port);
    let photo = gateway.get(PHOTO, "alice");
    assert_eq!((photo.status, &*photo.body), (200, &b"the photo"[..]));
    assert_eq!(photo.header("content-type"), Some("image/jpeg"));
    assert_eq!(photo.header("cache-control"), Some("private, no-cache"));
    let tag = photo.header("etag").unwrap().to_owned();
    let headers = |extra: &[(&'static str, &'static str)]| [credentials("alice"), extra.to_vec()].concat();
    let tag: &'static str = Box::leak(tag.into_boxed_str());
    assert_eq!(gateway.fetch(&format!("GET {PHOTO}"), &headers(&[("if-none-match", tag)])).status, 304);
    let head = gateway.fetch(&format!("HEAD {PHOTO}"), &headers(&[]));
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("9"), 0));
    let film: Vec<u8> = (0..256 * 20_000_u32).map(|at| u8::try_from(at % 256).unwrap()).collect();
    let whole = gateway.get("/private/cars/7/film.mp4", "alice");
    assert!(whole.status == 200 && whole.body == film, "{}", whole.body.len());
    let part = gateway.fetch("GET /private/cars/7/film.mp4", &headers(&[("range", "bytes=5000000-5000999")]));
    assert!(part.status == 206 && part.body == film[5_000_000..5_001_000], "{}", part.body.len());
    // Denied, missing and outside are one response.
    let stranger = gateway.get(PHOTO, "bob");
    assert_eq!(stranger.status, 404);
    for path in ["/private/cars/7/none.jpg", "/private/cars/7/outside.jpg", "/private/cars/8/none.jpg"] {
        assert_eq!(gateway.get(path, "alice").normalized(), stranger.normalized(), "{path}");
    }
    assert_eq!(gateway.get("/private/-/health", "nobody").status, 200);
    assert!(!gateway.log().contains(&s3_server::credentials().1), "{}", gateway.log());
}

#[test]
fn an_outage_is_a_503_until_the_bucket_is_back() {
    let Some(mut server) = Server::start_own() else { return };
    stored(&server);
    let place = Place::new();
    let gateway = serve(&place, server.port);
    assert_eq!(gateway.get(PHOTO, "alice").status, 200);
    let stranger = gateway.get(PHOTO, "bob");
    server.stop();
    let response = gateway.get(PHOTO, "alice");
    assert_eq!((response.status, response.header("retry-after")), (503, Some("5")), "{}", response.head);
    assert_eq!(gateway.get(PHOTO, "bob").normalized(), stranger.normalized());
    let begin = Instant::now();
    while gateway.get("/private/-/health", "nobody").status != 503 {
        assert!(begin.elapsed() < Duration::from_secs(40), "{}", gateway.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    // A gateway starts during an outage, and says why it is not ready.
    let port = free_address().port();
    let starting = serve(&place, port);
    assert!(starting.logs("requests get 503 until the bucket responds"), "{}", starting.log());
    assert_eq!(starting.get(PHOTO, "alice").status, 503);
}

#[test]
fn check_and_doctor_know_buckets() {
    let Some(server) = Server::start_own() else { return };
    stored(&server);
    let (place, secret) = (Place::new(), s3_server::credentials().1);
    let run = |subcommand: &[&str]| {
        let output = command(&place, subcommand, server.port).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!text.contains(&secret), "{text}");
        (output.status.code(), text)
    };
    let (code, text) = run(&["check", "alice", "cars/7/photo.jpg"]);
    assert!(code == Some(0) && !text.contains("no such file"), "{text}");
    let (code, text) = run(&["check", "alice", "cars/7/none.jpg"]);
    assert!(code == Some(0) && text.contains(&format!("no such file in s3://{BUCKET}/media")), "{text}");
    let (_, text) = run(&["doctor"]);
    // The test server lists every bucket.
    let public = "is public: the names of its files can be listed without credentials";
    for expected in
        ["can be read", "supports conditional writes", "lifecycle rule", public, "block public access"]
    {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    for folder in ["web-root", "links:", "space:"] {
        assert!(!text.contains(folder), "{folder}: {text}");
    }
    let remains = format!("result = s3.list_objects_v2(Bucket={BUCKET:?}, Prefix='media/.')['KeyCount']");
    assert_eq!(server.python(&remains), "0", "the doctor leaves nothing");
    let (code, text) = run(&["config", "systemd"]);
    assert!(code == Some(0) && text.contains(&format!("--root=s3://{BUCKET}/media")), "{text}");
}

/// A response whose content the bucket itself sends.
#[test]
fn clients_are_redirected_to_presigned_urls() {
    let Some(server) = Server::start() else { return };
    stored(&server);
    let place = Place::new();
    let mut serve = command(&place, &["serve", "--listen=127.0.0.1:0", "--mode=redirect"], server.port);
    serve.args(["--url-lifetime=10m", "--audit-path=audit.jsonl", "--audit-sync=0s"]);
    let gateway = Gateway::spawn(serve, place.path("gateway.log"));
    let photo = gateway.get(PHOTO, "alice");
    assert_eq!((photo.status, photo.body.len()), (307, 0), "{}", photo.head);
    let location = photo.header("location").unwrap();
    let object = format!("http://127.0.0.1:{}/{BUCKET}/media/cars/7/photo.jpg?", server.port);
    assert!(location.starts_with(&object) && location.contains("X-Amz-Expires=600"), "{location}");
    assert_eq!(photo.header("cache-control"), Some("private, no-cache"), "each use is decided here");
    assert_eq!(gateway.get(PHOTO, "alice").header("location"), Some(location), "browsers can cache the file");
    let saved = gateway.get(&format!("{PHOTO}?download=1"), "alice");
    for (url, disposition) in [(location, "inline"), (saved.header("location").unwrap(), "attachment")] {
        // The bucket has another media type for the object.
        let script = format!(
            "
import urllib.request
response = urllib.request.urlopen({url:?})
result = '|'.join([response.read().decode(), response.headers['content-type'], response.headers['content-disposition']])
"
        );
        let expected = format!("the photo|image/jpeg|{disposition}; filename=\"photo.jpg\"");
        assert_eq!(server.python(&script), serde_json::to_string(&expected).unwrap());
    }
    // Nobody else gets a URL.
    let stranger = gateway.get(PHOTO, "bob");
    assert_eq!((stranger.status, stranger.header("location")), (404, None));
    assert_eq!(gateway.get("/private/cars/7/none.jpg", "alice").normalized(), stranger.normalized());
    let head = gateway.fetch(&format!("HEAD {PHOTO}"), &credentials("alice"));
    assert_eq!((head.status, head.header("content-length")), (200, Some("9")));
    let begin = Instant::now();
    let audit = || std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    while !audit().lines().any(|line| line.contains("\"handed_off\":true") && line.contains("\"status\":307"))
    {
        assert!(begin.elapsed() < Duration::from_secs(10), "{}", audit());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!gateway.log().contains("X-Amz-Signature"), "{}", gateway.log());
}

/// nginx tries the other gateway if one does not respond, so only a response that has begun can break, and these are too short for that.
#[test]
fn two_gateways_share_a_bucket() {
    let Some(server) = Server::start() else { return };
    stored(&server);
    let place = Place::new();
    let (first, second) = (serve(&place, server.port), serve(&place, server.port));
    let front = free_address();
    let block = printed(&place, FrontServer::Nginx, front, first.address, &[]);
    let one = format!("server {};", first.address);
    let both = format!("{one}\n    server {};", second.address);
    assert_eq!(block.matches(&one).count(), 1, "{block}");
    let _nginx = Front::start(FrontServer::Nginx, front, &block.replace(&one, &both));
    let clients = Clients::start(&Target::Tcp(front), PHOTO, b"the photo");
    clients.wait_for(30);
    // SIGKILL.
    drop(first);
    clients.wait_for(60);
    clients.stop();
    // Each gateway sees what was replaced.
    let again = serve(&place, server.port);
    assert_eq!(&*again.get(PHOTO, "alice").body, b"the photo");
    server.python(&format!(
        "s3.put_object(Bucket={BUCKET:?}, Key='media/cars/7/photo.jpg', Body=b'the next photo')"
    ));
    let begin = Instant::now();
    for gateway in [&again, &second] {
        while *gateway.get(PHOTO, "alice").body != *b"the next photo" {
            assert!(begin.elapsed() < Duration::from_secs(20), "{}", gateway.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn mistakes_are_errors_at_start() {
    let place = Place::new();
    for (arguments, expected) in [
        (&["--root=s3://"][..], "--root \"s3://\": the name of the bucket is missing"),
        (&["--root=s3://b/../x"], "--root \"s3://b/../x\": the prefix has an empty segment"),
        (
            &["--root=s3://b", "--mode=nginx", "--internal-url=full-path"],
            "--internal-url \"full-path\": the root is a bucket",
        ),
        (&["--root=az://b", "--mode=nginx"], "--mode \"nginx\": presigned URLs of Azure"),
        (&["--mode=nginx", "--url-lifetime=20s"], "--url-lifetime \"20s\": no URL is presigned"),
        (&["--root=s3://b", "--mode=apache"], "--mode \"apache\": the root is a bucket"),
        (
            &["--root=s3://b", "--storage-endpoint=http://127.0.0.1:1"],
            "--root \"s3://b\": the endpoint has no TLS",
        ),
        (&["--mode=redirect"], "--mode \"redirect\": the root is a folder"),
        (&["--root=az://b", "--mode=redirect"], "--mode \"redirect\": presigned URLs of Azure"),
        (
            &["--root=s3://b", "--mode=redirect", "--url-lifetime=2h"],
            "\"2h\" for --url-lifetime: expected 10s to 1h",
        ),
        (&["--root=s3://b", "--url-lifetime=20s"], "--url-lifetime \"20s\": no URL is presigned"),
        (&["--root=gs://b", "--storage-region=eu"], "options of s3:// only"),
        (&["--cache-path=cache"], "--cache-path \"cache\": the root is a folder"),
        (
            &["--root=s3://b", "--cache-size=10MB"],
            "invalid value \"10MB\" for --cache-size: not a size of at least 64MiB",
        ),
        (&["--storage-region=eu"], "--storage-region \"eu\": the root is a folder"),
        (&["--root=s3://b", "--storage-path-style=maybe"], "--storage-path-style"),
    ] {
        let error = place.refusal(&[&["serve"], arguments].concat());
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    let error = place.refusal(&["serve", "--root=s3://key:hunter2@bucket/x"]);
    assert!(error.contains("no credentials") && !error.contains("hunter2"), "{error}");
    let error =
        place.refusal(&["serve", "--root=s3://b", "--storage-endpoint=https://key:hunter2@s3.example"]);
    assert!(error.contains("no credentials") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_missing_bucket_is_an_error_at_start() {
    let Some(server) = Server::start() else { return };
    server.python(&format!("s3.delete_bucket(Bucket={BUCKET:?})"));
    let place = Place::new();
    let error = refusal(&command(&place, &["serve"], server.port).output().unwrap());
    assert!(error.contains("create it") && error.contains(BUCKET), "{error}");
}
