//! A Garage cluster of three nodes, which tests kill and start again.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use private_media_buckets::{BucketOptions, ObjectStorage};
use serde_json::Value;

use crate::s3_server::BUCKET;
use crate::support::{GRANT, Gateway, Place, program};

/// A running cluster. It ends with the test.
pub(super) struct Cluster {
    process: Mutex<(Child, BufReader<ChildStdout>)>,
    pub(super) ports: Vec<u16>,
    access_key: String,
    secret_key: String,
}

impl Cluster {
    /// Starts a cluster. `None` unless `PRIVATE_MEDIA_TEST_GARAGE` is the path of the program, as in `cargo xtask test --only garage`.
    pub(super) fn start() -> Option<Self> {
        let Some(garage) = std::env::var_os("PRIVATE_MEDIA_TEST_GARAGE") else {
            eprintln!("skipped: PRIVATE_MEDIA_TEST_GARAGE is not set");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/buckets/garage.py");
        let mut command = Command::new("python3");
        command.args(["-B".as_ref(), script.as_os_str(), &garage]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        let cluster: Value = serde_json::from_str(&line).unwrap();
        let port = |port: &Value| u16::try_from(port.as_u64().unwrap()).unwrap();
        Some(Self {
            process: Mutex::new((child, answers)),
            ports: cluster["ports"].as_array().unwrap().iter().map(port).collect(),
            access_key: cluster["access_key"].as_str().unwrap().to_owned(),
            secret_key: cluster["secret_key"].as_str().unwrap().to_owned(),
        })
    }

    /// Kills a node (SIGKILL).
    pub(super) fn kill(&self, node: usize) {
        self.command(&format!("kill {node}"));
    }

    /// Starts a node again, and waits until it responds.
    pub(super) fn restart(&self, node: usize) {
        self.command(&format!("start {node}"));
    }

    fn command(&self, command: &str) {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let (child, answers) = &mut *process;
        writeln!(child.stdin.as_mut().unwrap(), "{command}").unwrap();
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n", "{command}");
    }

    /// Returns the port that clients connect to, and the nodes that are killed: the others, or all behind a balancer.
    pub(super) fn clients(&self, is_balanced: bool) -> (u16, Vec<usize>) {
        if is_balanced { (balance(self.ports.clone()), vec![0, 1, 2]) } else { (self.ports[0], vec![1, 2]) }
    }

    /// Returns the storage below a prefix, at the port of a node or of a balancer.
    pub(super) fn storage(&self, port: u16, prefix: &str) -> ObjectStorage {
        let options = BucketOptions::new()
            .endpoint(format!("http://127.0.0.1:{port}"))
            .allow_http(true)
            .access_key(&self.access_key, &self.secret_key)
            .conditional_writes(false);
        ObjectStorage::from_url(&format!("s3://{BUCKET}/{prefix}").parse().unwrap(), options).unwrap()
    }

    /// Returns the program with the endpoint and the credentials of this cluster.
    pub(super) fn program(&self, port: u16, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).stdin(Stdio::null());
        command.arg(format!("--storage-endpoint=http://127.0.0.1:{port}")).arg("--storage-allow-http");
        command.arg("--storage-conditional-writes=false");
        command.env("AWS_ACCESS_KEY_ID", &self.access_key).env("AWS_SECRET_ACCESS_KEY", &self.secret_key);
        command
    }

    /// Starts a gateway whose root is the prefix `media`.
    pub(super) fn serve(&self, port: u16, place: &Place, log: &str) -> Gateway {
        let (root, grant) = (format!("--root=s3://{BUCKET}/media"), format!("--grant={GRANT}"));
        let mut serve = self.program(port, &["serve", "--listen=127.0.0.1:0", &root, &grant]);
        serve.current_dir(place.path(""));
        Gateway::spawn(serve, place.path(log))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let (child, _) = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        // The end of its input stops the nodes.
        drop(child.stdin.take());
        let _ = child.wait();
    }
}

/// Starts a TCP balancer, which connects each client to the next node that accepts it. Returns its port.
fn balance(ports: Vec<u16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (ports, turn) = (Arc::new(ports), AtomicUsize::new(0));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, ports, first) =
                (client.unwrap(), Arc::clone(&ports), turn.fetch_add(1, Ordering::Relaxed));
            std::thread::spawn(move || {
                let mut nodes = (0..ports.len()).map(|next| ports[(first + next) % ports.len()]);
                if let Some(node) = nodes.find_map(|port| TcpStream::connect(("127.0.0.1", port)).ok()) {
                    connect(&client, &node);
                }
            });
        }
    });
    port
}

/// Copies in both directions, until one side ends.
fn connect(client: &TcpStream, node: &TcpStream) {
    std::thread::scope(|scope| {
        for (mut from, mut to) in [(client, node), (node, client)] {
            scope.spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
                let _ = from.shutdown(Shutdown::Read);
            });
        }
    });
}

/// The time between a kill and a start, while files are moved.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
