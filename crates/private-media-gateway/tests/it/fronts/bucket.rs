//! nginx fetches the files of a bucket, at presigned URLs.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Output;

use super::differences::compare;
use super::server::{Front, FrontServer, Installed, free_address};
use super::{fetch, fill, url};
use crate::buckets::command;
use crate::s3_server::{BUCKET, Server};
use crate::support::{Gateway, Place, Response, credentials, program};

/// A gateway behind nginx, and a second gateway that sends the files of the same bucket itself.
struct Deployment {
    server: Server,
    place: Place,
    direct: Gateway,
    gateway: Gateway,
    front: Front,
}

impl Deployment {
    /// `None` if nginx or the S3 server is missing.
    fn start(arguments: &[&str]) -> Option<Self> {
        if !FrontServer::Nginx.is_installed() {
            return None;
        }
        let server = Server::start()?;
        let place = Place::new();
        fill(&place);
        upload(&server, &place);
        let serve = |arguments: &[&str], log: &str| {
            let mut serve = command(&place, &["serve", "--listen=127.0.0.1:0"], server.port);
            serve.args(arguments);
            Gateway::spawn(serve, place.path(log))
        };
        let direct = serve(&[], "direct.log");
        let gateway = serve(&[&["--mode=nginx"], arguments].concat(), "gateway.log");
        let front = front(&place, server.port, gateway.address);
        Some(Self { server, place, direct, gateway, front })
    }

    fn get(&self, path: &str, headers: &[(&'static str, &'static str)]) -> Response {
        fetch(self.front.address, &format!("GET {path}"), &[credentials("alice"), headers.to_vec()].concat())
    }
}

/// Runs `config nginx` for the bucket of an endpoint.
pub(super) fn config_nginx(place: &Place, endpoint: &str, front: SocketAddr, gateway: SocketAddr) -> Output {
    let mut command = program();
    command.args(["config", "nginx", "--mode=nginx", "--storage-allow-http"]).current_dir(place.path(""));
    command.arg(format!("--root=s3://{BUCKET}/media")).arg(format!("--storage-endpoint={endpoint}"));
    command.arg(format!("--front={front}")).arg(format!("--listen={gateway}")).output().unwrap()
}

/// Starts nginx with the printed configuration for the bucket of a server.
pub(super) fn front(place: &Place, port: u16, gateway: SocketAddr) -> Front {
    let address = free_address();
    let output = config_nginx(place, &format!("http://127.0.0.1:{port}"), address, gateway);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Front::start(FrontServer::Nginx, address, &String::from_utf8(output.stdout).unwrap())
}

/// Uploads all files of a root that are no links, with headers of their own.
fn upload(server: &Server, place: &Place) {
    let root = place.path("private").display().to_string();
    server.python(&format!(
        "
import os
for folder, _, names in os.walk({root:?}):
    for path in (os.path.join(folder, name) for name in names):
        if not os.path.islink(path):
            s3.put_object(
                Bucket={BUCKET:?},
                Key='media/' + os.path.relpath(path, {root:?}),
                Body=open(path, 'rb').read(),
                Metadata={{'mtime': str(os.stat(path).st_mtime)}},
                ContentType='text/html',
                ContentDisposition='attachment; filename=\"stored\"',
                ContentEncoding='identity',
                ContentLanguage='de',
                CacheControl='public, max-age=9',
            )
"
    ));
}

/// The server of the tests accepts a URL only with the bytes that were signed.
#[test]
fn nginx_sends_the_files_of_a_bucket() {
    let Some(deployment) = Deployment::start(&[]) else { return };
    compare("nginx, bucket", &deployment.front, deployment.direct.address);
    // The gateway sent the responses without content, and those with several ranges.
    let sent = deployment.gateway.access_log();
    let whole = sent.iter().filter(|line| line["status"] == 200 && line["bytes"] == 0).count();
    assert!(whole > 50, "{whole} of {}", sent.len());
}

#[test]
fn no_header_of_the_bucket_reaches_the_client() {
    let Some(deployment) = Deployment::start(&[]) else { return };
    let names = |response: &Response| -> BTreeSet<String> {
        let lines = response.head.lines().skip(1);
        lines.filter_map(|line| Some(line.split_once(": ")?.0.to_owned())).collect()
    };
    for headers in [&[][..], &[("range", "bytes=2-5")]] {
        let front = deployment.get(&url("twenty.txt"), headers);
        let request = format!("GET {}", url("twenty.txt"));
        let direct =
            fetch(deployment.direct.address, &request, &[credentials("alice"), headers.to_vec()].concat());
        let more: Vec<_> = names(&front).difference(&names(&direct)).cloned().collect();
        assert_eq!(more, ["server"], "{front:?} {direct:?}");
        assert!(front.header("server").unwrap().starts_with("nginx"), "{front:?}");
        assert_eq!(front.header("etag"), direct.header("etag"));
        assert_eq!(front.header("last-modified"), direct.header("last-modified"));
        assert_eq!(front.head.matches("cache-control: ").count(), 1, "{front:?}");
    }
    // nginx would pass on a header that it does not know.
    deployment.server.python(&format!(
        "s3.put_object(Bucket={BUCKET:?}, Key='media/cars/7/owned.jpg', Body=b'owned', Metadata={{'uploader': 'alice@example.org'}})"
    ));
    let owned = deployment.get("/private/cars/7/owned.jpg", &[]);
    assert_eq!((owned.status, &*owned.body), (200, &b"owned"[..]));
    assert!(!owned.head.contains("alice@example.org"), "{owned:?}");
}

#[test]
fn clients_cannot_request_the_location_of_a_bucket() {
    let Some(deployment) = Deployment::start(&[]) else { return };
    let signed = deployment.gateway.get(&url("twenty.txt"), "alice");
    let target = signed.header("x-accel-redirect").unwrap();
    assert!(
        target.starts_with(&format!("/private-media-internal/?{BUCKET}/media/cars/7/twenty.txt?")),
        "{target}"
    );
    for path in [
        target,
        "/private-media-internal/",
        "/private/../private-media-internal/?x",
        "/private-media-internal/%3Fx",
    ] {
        for user in ["alice", "carol", "nobody"] {
            let response = fetch(deployment.front.address, &format!("GET {path}"), &credentials(user));
            assert_eq!(response.status, 404, "{path}: {response:?}");
        }
    }
    // A client's own headers are no part of nginx's request.
    let spoofed = [
        ("x-private-media-range", "bytes=0-1"),
        ("x-private-media-if-match", "\"x\""),
        ("x-accel-redirect", "/private-media-internal/?x"),
        ("cookie", "session=secret"),
    ];
    let response = deployment.get(&url("twenty.txt"), &spoofed);
    assert_eq!((response.status, &*response.body), (200, &b"abcdefghijklmnopqrst"[..]));
}

#[test]
fn the_audit_says_that_a_file_of_a_bucket_was_handed_off() {
    let arguments = ["--audit-path=audit.jsonl", "--audit-sync=0s", "--audit-fold=0s"];
    let Some(deployment) = Deployment::start(&arguments) else { return };
    assert_eq!(deployment.get(&url("twenty.txt"), &[]).status, 200);
    assert_eq!(deployment.get(&url("twenty.txt"), &[("range", "bytes=0-0,5-5")]).status, 206);
    let begin = std::time::Instant::now();
    let records = || {
        let audit = std::fs::read_to_string(deployment.place.path("audit.jsonl")).unwrap();
        let reads = audit.lines().filter(|line| line.contains("\"action\":\"read\""));
        reads.map(|line| line.contains("\"handed_off\":true")).collect::<Vec<_>>()
    };
    while records() != [true, false] {
        assert!(begin.elapsed().as_secs() < 10, "{:?}", records());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(!deployment.gateway.log().contains("X-Amz-Signature"), "{}", deployment.gateway.log());
}

#[test]
fn other_origins_may_read_the_files_of_a_bucket_behind_nginx() {
    let Some(deployment) = Deployment::start(&["--cors-origin=https://app.example"]) else { return };
    for (origin, allowed) in
        [("https://app.example", Some("https://app.example")), ("https://other.example", None)]
    {
        let response = deployment.get(&url("twenty.txt"), &[("origin", origin)]);
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.header("access-control-allow-origin"), allowed, "{response:?}");
    }
}
