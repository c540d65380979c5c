//! An S3 server for each test. The tests of several crates include this file.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;

/// The bucket of the tests.
pub(crate) const BUCKET: &str = "uploads";

/// A running server with an empty bucket. It ends with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts a server. `None` if this machine has none, which is a failure if all tests are required.
    pub(crate) fn start() -> Option<Self> {
        if !python().exists() {
            assert!(
                std::env::var_os("PRIVATE_MEDIA_TEST_ALL").is_none(),
                "no S3 server in target/buckets: `cargo xtask test` installs it"
            );
            eprintln!("skipped: no S3 server in target/buckets");
            return None;
        }
        let mut command = Command::new(python());
        command.arg(script("server.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let server = Self { child, port: line.trim().parse().unwrap() };
        server.python(&format!("s3.create_bucket(Bucket={BUCKET:?})"));
        Some(server)
    }

    /// Runs Python code with a boto3 client `s3`, and returns its `result`.
    pub(crate) fn python(&self, code: &str) -> String {
        run(self.port, code)
    }

    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Returns a function that runs Python code once, at its first call.
    #[allow(dead_code, reason = "not every crate needs it")]
    pub(crate) fn python_later(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let (port, once) = (self.port, Once::new());
        move |code| once.call_once(|| drop(run(port, code)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(port: u16, code: &str) -> String {
    let mut command = Command::new(python());
    command.arg(script("client.py")).arg(port.to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(code.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{code}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn python() -> PathBuf {
    repository().join("target/buckets/bin/python")
}

fn script(name: &str) -> PathBuf {
    repository().join("tests/buckets").join(name)
}
