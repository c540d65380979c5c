//! Clients of other authors.

use std::process::{Command, Output};

use super::start;
use crate::support::{PASSWORD, Place, needs};

fn run(command: &mut Command) -> (bool, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn curl_downloads_by_each_protocol() {
    if !needs("curl", Command::new("curl").arg("--version").output().is_ok()) {
        return;
    }
    let place = Place::new();
    let expected = crate::tls::content(5 << 20);
    place.write("private/cars/7/a.bin", &expected);
    let (gateway, _) = start(&place, &[]);
    let url = format!("https://localhost:{}/private/cars/7/a.bin", gateway.address.port());
    for (protocol, version) in [("--http2", "2"), ("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")] {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--cacert",
            "ca.pem",
            "--user",
            &format!("alice:{PASSWORD}"),
            protocol,
        ]);
        command.args(["--resolve", &format!("localhost:{}:127.0.0.1", gateway.address.port())]);
        command.args(["--output", "received", "--write-out", "%{http_version} %{http_code}", &url]);
        let (is_success, text) = run(command.current_dir(place.path("")));
        assert!(is_success && text == format!("{version} 200"), "{protocol}: {text}");
        assert!(std::fs::read(place.path("received")).unwrap() == expected, "{protocol}");
    }
}

#[test]
fn nghttp_and_h2load_get_every_response() {
    if !needs("nghttp2-client", Command::new("nghttp").arg("--version").output().is_ok()) {
        return;
    }
    let place = Place::new();
    place.write("private/shared/a.bin", vec![b'x'; 100_000]);
    let (gateway, _) = start(&place, &["--grant", "shared/{*file}=everyone"]);
    let url = format!("https://{}/private/shared/a.bin", gateway.address);
    let (is_success, text) =
        run(Command::new("nghttp").args(["--null-out", "--stat", "--no-verify-peer", &url]));
    assert!(is_success && text.contains(" 200 "), "{text}");
    let (is_success, text) = run(Command::new("h2load").args([
        "--requests",
        "2000",
        "--clients",
        "10",
        "--max-concurrent-streams",
        "20",
        &url,
    ]));
    assert!(is_success && text.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{text}");
}
