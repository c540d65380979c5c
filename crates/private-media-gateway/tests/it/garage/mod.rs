//! A Garage cluster loses nodes while files are read, saved and moved: no byte is wrong, and no file is lost.

mod cluster;
mod long_downloads;
mod relocation;

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use private_media::storage::content;
use private_media::{MediaPath, Permit, SaveOptions, Storage as _, StorageError};
use private_media_buckets::ObjectStorage;

use crate::relocate_buckets::runtime;
use crate::support::{Place, Response, credentials, send};
use cluster::Cluster;

/// The lengths of the files: Garage stores the first in its metadata, and the last in several blocks. The last one is uploaded in parts.
const LENGTHS: [usize; 5] = [1000, 3073, 100_000, (1 << 20) + 1, 9 << 20];
const FILES: usize = 20;
/// How often a node is killed.
const KILLS: usize = 4;
const LIMIT: Duration = Duration::from_secs(120);

fn name(number: usize) -> String {
    format!("cars/7/{number}.bin")
}

/// Returns the content of a file. Files of the same length differ.
fn bytes(number: usize) -> &'static [u8] {
    static ALL: OnceLock<Vec<u8>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let byte = |at: usize| u8::try_from(at.wrapping_mul(2_654_435_761) >> 13 & 0xff).unwrap();
        (0..(9 << 20) + (1 << 16)).map(byte).collect()
    });
    &all[number..number + LENGTHS[number % LENGTHS.len()]]
}

/// What happened so far.
#[derive(Default)]
struct Counts {
    stop: AtomicBool,
    read: AtomicUsize,
    unavailable: AtomicUsize,
    broken: AtomicUsize,
    saved: AtomicUsize,
    failed_saves: AtomicUsize,
}

impl Counts {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits until some more files were read and saved.
    fn wait(&self, during: &str) {
        let now = || (self.read.load(Ordering::Relaxed), self.saved.load(Ordering::Relaxed));
        let (begin, (read, saved)) = (Instant::now(), now());
        while now().0 < read + 30 || now().1 < saved + 5 {
            assert!(!self.is_stopped(), "a client failed {during}");
            assert!(begin.elapsed() < LIMIT, "{during}: {:?} after {:?}", now(), (read, saved));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Sets a flag, also if a thread panics.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn clients_of_the_other_nodes_are_served() {
    reads_and_saves(false);
}

#[test]
fn clients_of_killed_nodes_get_whole_files_or_an_error() {
    reads_and_saves(true);
}

fn reads_and_saves(is_balanced: bool) {
    let Some(cluster) = Cluster::start() else { return };
    let (port, nodes) = cluster.clients(is_balanced);
    let (place, runtime, storage) = (Place::new(), runtime(), cluster.storage(port, "media"));
    for number in 0..FILES {
        let save = async { save(&storage, number).await.unwrap() };
        runtime.block_on(save);
    }
    let gateway = cluster.serve(port, &place, "gateway.log");

    let counts = Counts::default();
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (counts, address) = (&counts, gateway.address);
            scope.spawn(move || read_until_stopped(address, client, counts));
        }
        scope.spawn(|| runtime.block_on(save_until_stopped(&storage, &counts)));
        let _stop = StopOnDrop(&counts.stop);
        counts.wait("before the first kill");
        for node in nodes.into_iter().cycle().take(KILLS) {
            cluster.kill(node);
            counts.wait(&format!("without node {node}"));
            cluster.restart(node);
            counts.wait(&format!("after node {node} was started"));
        }
    });
    let saved = counts.saved.load(Ordering::Relaxed);
    for number in 0..FILES + saved {
        let begin = Instant::now();
        while !read(gateway.address, number, None, &counts) {
            assert!(begin.elapsed() < LIMIT, "{number} of {saved} is lost: {}", gateway.log());
        }
    }
    eprintln!(
        "{} files read, {} times 503, {} broken downloads; {saved} files saved, {} failed tries",
        counts.read.load(Ordering::Relaxed),
        counts.unavailable.load(Ordering::Relaxed),
        counts.broken.load(Ordering::Relaxed),
        counts.failed_saves.load(Ordering::Relaxed),
    );
}

async fn save(storage: &ObjectStorage, number: usize) -> Result<MediaPath, StorageError> {
    let permit = Permit::trusted(MediaPath::new(&name(number)).unwrap());
    storage.save(&permit, content(bytes(number).to_vec()), &SaveOptions::new().create_new(true)).await
}

/// Saves one file after the other. A save that fails is repeated; it may have stored the file nevertheless.
async fn save_until_stopped(storage: &ObjectStorage, counts: &Counts) {
    let _stop = StopOnDrop(&counts.stop);
    let mut tries = 0;
    while !counts.is_stopped() || tries > 0 {
        match save(storage, FILES + counts.saved.load(Ordering::Relaxed)).await {
            Err(StorageError::Unavailable { .. }) if tries < 20 => {
                tries += 1;
                counts.failed_saves.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            Err(error) if tries == 0 || !matches!(error, StorageError::Exists) => panic!("{error:?}"),
            _ => {
                tries = 0;
                counts.saved.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Reads files and ranges of them in turn.
fn read_until_stopped(address: SocketAddr, client: usize, counts: &Counts) {
    let _stop = StopOnDrop(&counts.stop);
    for turn in client * 7.. {
        if counts.is_stopped() {
            return;
        }
        let len = LENGTHS[turn % FILES % LENGTHS.len()];
        let range = (turn % 3 == 0).then_some((len / 3, len / 2));
        read(address, turn % FILES, range, counts);
    }
}

/// Reads a file or a range of it. Returns whether it arrived as a whole; otherwise, the response is a 503 or breaks.
fn read(address: SocketAddr, number: usize, range: Option<(usize, usize)>, counts: &Counts) -> bool {
    let header = range.map(|(first, last)| format!("bytes={first}-{last}"));
    let mut headers = credentials("alice");
    headers.extend(header.as_deref().map(|range| ("range", range)));
    let mut response = Vec::new();
    let result =
        send(address, &format!("GET /private/{}", name(number)), &headers, b"").read_to_end(&mut response);
    assert!(response.windows(4).any(|end| end == b"\r\n\r\n"), "{number}: no response: {result:?}");
    let response = Response::parse(&response);
    if response.status == 503 {
        assert!(response.header("retry-after").is_some(), "{}", response.head);
        counts.unavailable.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(100));
        return false;
    }
    let content = bytes(number);
    let (status, expected) = match range {
        Some((first, last)) => (206, &content[first..=last]),
        None => (200, content),
    };
    assert_eq!(response.status, status, "{number}: {}", response.head);
    assert!(expected.starts_with(&response.body), "{number}: wrong bytes");
    let is_whole = response.body.len() == expected.len();
    let count = if is_whole { &counts.read } else { &counts.broken };
    count.fetch_add(1, Ordering::Relaxed);
    is_whole
}
