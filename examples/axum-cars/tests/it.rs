//! The example serves an upload to its owner and to staff, and to nobody else.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do, by a panic")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The running example. It is killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn curl(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("curl").args(["-s"]).args(arguments).current_dir(folder).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn uploads_are_private() {
    let available = Command::new("curl").arg("--version").output().is_ok();
    if !available {
        assert!(std::env::var_os("PRIVATE_MEDIA_TEST_ALL").is_none(), "this test needs curl");
        let _ = writeln!(std::io::stderr(), "skipped: a test that needs curl");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_axum-cars"));
    let mut child =
        command.arg("127.0.0.1:0").current_dir(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _running = Running(child);
    let site = line.split_whitespace().nth(2).unwrap();
    std::fs::write(folder.path().join("photo.jpg"), "the photo").unwrap();
    for name in ["alice", "bob", "carol"] {
        let form = format!("name={name}&password=open sesame");
        curl(folder.path(), &["-c", name, "-d", &form, &format!("{site}/sign-in")]);
    }
    let uploaded =
        curl(folder.path(), &["-b", "alice", "-F", "photo=@photo.jpg", "-w", "%{http_code}", site]);
    assert_eq!(uploaded, "303");
    assert!(curl(folder.path(), &["-b", "alice", site]).contains("<img src=\"/private/cars/7/photo.jpg\""));
    let photo = format!("{site}/private/cars/7/photo.jpg");
    for (cookies, expected) in
        [("alice", "the photo"), ("carol", "the photo"), ("bob", "not found\n"), ("/dev/null", "not found\n")]
    {
        assert_eq!(curl(folder.path(), &["-b", cookies, &photo]), expected, "{cookies}");
    }
    let elsewhere = [
        "-b",
        "alice",
        "-H",
        "origin: http://evil.example",
        "-F",
        "photo=@photo.jpg",
        "-w",
        "%{http_code}",
        site,
    ];
    assert_eq!(curl(folder.path(), &elsewhere), "403");
}
