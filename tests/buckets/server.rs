//! An S3 server for each test. The tests of several crates include this file.
//!
//! It is moto, unless `PRIVATE_MEDIA_TEST_S3_ENDPOINT` names another server on this machine: CONTRIBUTING.md says how.
#![allow(dead_code, reason = "not every crate needs all")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// The bucket of the tests.
pub(crate) const BUCKET: &str = "uploads";
/// Whether the server supports conditional writes.
static IS_CONDITIONAL: AtomicBool = AtomicBool::new(true);

/// Empties the bucket, and finds out whether the server supports conditional writes.
const PREPARE: &str = "
try:
    s3.create_bucket(Bucket='uploads')
except ClientError:
    pass
for page in s3.get_paginator('list_objects_v2').paginate(Bucket='uploads'):
    keys = [{'Key': found['Key']} for found in page.get('Contents', [])]
    if keys:
        s3.delete_objects(Bucket='uploads', Delete={'Objects': keys})
for found in s3.list_multipart_uploads(Bucket='uploads').get('Uploads', []):
    s3.abort_multipart_upload(Bucket='uploads', Key=found['Key'], UploadId=found['UploadId'])
s3.put_object(Bucket='uploads', Key='probe', Body=b'1')
try:
    s3.put_object(Bucket='uploads', Key='probe', Body=b'2', IfNoneMatch='*')
    result = False
except ClientError:
    result = True
s3.delete_object(Bucket='uploads', Key='probe')
";

/// A running server with an empty bucket. It ends with the test.
pub(crate) struct Server {
    /// `None` if the server is not ours.
    child: Option<Child>,
    pub(crate) port: u16,
}

impl Server {
    /// Returns the server of the tests. `None` if this machine has none, which is a failure if all tests are required.
    pub(crate) fn start() -> Option<Self> {
        let Some(port) = port_of_other() else { return Self::start_moto() };
        let server = Self { child: None, port };
        IS_CONDITIONAL.store(server.python(PREPARE) == "true", Ordering::Relaxed);
        Some(server)
    }

    /// Returns a server that supports conditional writes.
    pub(crate) fn start_conditional() -> Option<Self> {
        let server = Self::start()?;
        if !is_conditional() {
            eprintln!("skipped: the server has no conditional writes");
            return None;
        }
        Some(server)
    }

    /// Returns a server that can be stopped, and that needs no credentials.
    pub(crate) fn start_own() -> Option<Self> {
        if port_of_other().is_some() {
            eprintln!("skipped: a test of moto");
            return None;
        }
        Self::start_moto()
    }

    fn start_moto() -> Option<Self> {
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
        let server = Self { child: Some(child), port: line.trim().parse().unwrap() };
        server.python(&format!("s3.create_bucket(Bucket={BUCKET:?})"));
        Some(server)
    }

    /// Runs Python code with a boto3 client `s3`, and returns its `result`.
    pub(crate) fn python(&self, code: &str) -> String {
        run(self.port, code)
    }

    pub(crate) fn stop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Returns a function that runs Python code once, at its first call.
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

/// Returns whether the server supports conditional writes.
pub(crate) fn is_conditional() -> bool {
    IS_CONDITIONAL.load(Ordering::Relaxed)
}

/// Returns the access key and its secret.
pub(crate) fn credentials() -> (String, String) {
    let variable = |name, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    // moto accepts every key.
    let key = variable("PRIVATE_MEDIA_TEST_S3_ACCESS_KEY", "test");
    (key, variable("PRIVATE_MEDIA_TEST_S3_SECRET_KEY", "a-secret-access-key"))
}

/// Returns the port of a server that is not ours. It is on this machine, because its bucket is emptied.
fn port_of_other() -> Option<u16> {
    let endpoint = std::env::var("PRIVATE_MEDIA_TEST_S3_ENDPOINT").ok()?;
    let port = endpoint.strip_prefix("http://127.0.0.1:").and_then(|port| port.parse().ok());
    assert!(port.is_some(), "PRIVATE_MEDIA_TEST_S3_ENDPOINT is {endpoint:?}; expected http://127.0.0.1:PORT");
    port
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
