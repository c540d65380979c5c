//! `relocate` from, to and between buckets: every copy is verified, and nothing is lost or replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use private_media::storage::content;
use private_media::{LocalStorage, MediaPath, Permit, SaveOptions, Storage};
use private_media_buckets::{BucketOptions, ListedObject, ObjectStorage};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::s3_proxy::{Fault, Proxy, Seen};
use crate::s3_server::{BUCKET, Server, credentials, is_conditional};
use crate::support::{Place, program, refusal};

/// Longer than one part of an upload.
const FILM: usize = 9 << 20;

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Returns the storage below a prefix of the bucket.
pub(crate) fn storage(port: u16, prefix: &str) -> ObjectStorage {
    let (key, secret) = credentials();
    let options = BucketOptions::new()
        .endpoint(format!("http://127.0.0.1:{port}"))
        .allow_http(true)
        .access_key(key, secret)
        .conditional_writes(is_conditional())
        .open_timeout(Duration::from_secs(60));
    ObjectStorage::from_url(&format!("s3://{BUCKET}/{prefix}").parse().unwrap(), options).unwrap()
}

/// Returns the program with these arguments, and the bucket at a port.
pub(crate) fn relocate(place: &Place, port: u16, arguments: &[&str]) -> Command {
    let mut command = program();
    command.arg("relocate").args(arguments).current_dir(place.path("")).stdin(Stdio::null());
    command.arg(format!("--storage-endpoint=http://127.0.0.1:{port}")).arg("--storage-allow-http");
    if !is_conditional() {
        command.arg("--storage-conditional-writes=false");
    }
    let (key, secret) = credentials();
    command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret);
    command
}

pub(crate) fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// A folder or a bucket with files.
struct Tree<'a> {
    runtime: &'a Runtime,
    storage: Box<dyn Storage>,
    /// The prefix of a bucket.
    prefix: Option<String>,
    folder: PathBuf,
}

impl<'a> Tree<'a> {
    /// Opens the place that an argument of the program names.
    fn open(runtime: &'a Runtime, server: &Server, place: &Place, name: &str) -> Self {
        let prefix = name.strip_prefix(&format!("s3://{BUCKET}/")).map(str::to_owned);
        let folder = place.path(name);
        let storage: Box<dyn Storage> = if let Some(prefix) = &prefix {
            Box::new(storage(server.port, prefix))
        } else {
            std::fs::create_dir_all(&folder).unwrap();
            Box::new(LocalStorage::open_root(&folder).unwrap())
        };
        Self { runtime, storage, prefix, folder }
    }

    fn put(&self, name: &str, bytes: &[u8], modified: SystemTime) {
        let options = SaveOptions::new().create_new(true).modified(modified);
        let permit = Permit::trusted(MediaPath::new(name).unwrap());
        self.runtime.block_on(self.storage.save(&permit, content(bytes.to_vec()), &options)).unwrap();
    }

    /// Returns the content and the time of a file.
    fn get(&self, name: &str) -> Option<(Vec<u8>, SystemTime)> {
        let permit = Permit::trusted(MediaPath::new(name).unwrap());
        self.runtime.block_on(async {
            let file = self.storage.open(&permit).await.ok()?;
            let (len, mut bytes) = (file.metadata().len, Vec::new());
            while (bytes.len() as u64) < len {
                let read = file.bytes().clone().read_at(bytes.len() as u64, FILM).await.unwrap();
                assert!(!read.is_empty(), "{name}");
                bytes.extend_from_slice(&read);
            }
            Some((bytes, file.metadata().modified))
        })
    }

    fn has(&self, name: &str) -> bool {
        let permit = Permit::trusted(MediaPath::new(name).unwrap());
        self.runtime.block_on(self.storage.exists(&permit)).unwrap()
    }

    /// Adds names that cannot be served, and returns their number.
    fn put_odd(&self, server: &Server) -> usize {
        let Some(prefix) = &self.prefix else {
            std::fs::create_dir_all(self.folder.join("cars/7")).unwrap();
            std::fs::write(self.folder.join("cars/7/.hidden"), "hidden").unwrap();
            std::os::unix::fs::symlink("x", self.folder.join("cars/7/link.jpg")).unwrap();
            return 2;
        };
        server.python(&format!(
            "
for key in ['cars/7/.hidden', 'cars//x', 'cars/6/']:
    s3.put_object(Bucket={BUCKET:?}, Key='{prefix}/' + key, Body=b'')
"
        ));
        3
    }
}

fn film() -> Vec<u8> {
    (0..FILM).map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 13 & 0xff).unwrap()).collect()
}

#[test]
fn files_move_in_each_direction() {
    let Some(server) = Server::start() else { return };
    let (place, runtime) = (Place::new(), runtime());
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    let bucket = |prefix: &str| format!("s3://{BUCKET}/{prefix}");
    for (from_name, to_name) in [
        ("media".to_owned(), bucket("to")),
        (bucket("from"), "private".to_owned()),
        (bucket("a/from"), bucket("a/to")),
    ] {
        let [from, to] = [&from_name, &to_name].map(|name| Tree::open(&runtime, &server, &place, name));
        let direction = format!("{from_name} to {to_name}");
        let film = film();
        let files = [
            ("cars/9/garage.jpg", &b"garage"[..]),
            ("cars/8/a b+c%é.jpg", b"names"),
            ("cars/9/empty.bin", b""),
            ("cars/9/film.mp4", &film),
            ("cars/7/same.jpg", b"same"),
            ("cars/7/conflict.jpg", b"new"),
        ];
        for (name, bytes) in files {
            from.put(name, bytes, time);
        }
        let odd = from.put_odd(&server);
        to.put("cars/7/same.jpg", b"same", time);
        // A conflict of the same length.
        to.put("cars/7/conflict.jpg", b"old", time);
        let run = |more: &[&str]| {
            let arguments = [&[from_name.as_str(), "--to", &to_name], more].concat();
            text(&relocate(&place, server.port, &arguments).output().unwrap())
        };
        let stayed = format!("conflicts: 1; skipped: {odd}\n");

        let (code, out, err) = run(&["--dry-run"]);
        let expected = format!("would move 4 files, 9.00 MiB; already there: 1; {stayed}");
        assert_eq!((code, &out), (Some(1), &expected), "{direction}: {err}");
        assert!(files.iter().all(|(name, _)| from.has(name)) && !to.has("cars/9/garage.jpg"), "{direction}");

        let (code, out, err) = run(&["--keep-source", "--match", "cars/8/**", "--jobs", "1"]);
        assert_eq!((code, out.as_str()), (Some(0), "moved 1 files, 5 B\n"), "{direction}: {err}");
        assert!(from.has("cars/8/a b+c%é.jpg") && to.has("cars/8/a b+c%é.jpg"), "{direction}");

        let report = format!("{}.jsonl", direction.replace(['/', ':'], "-"));
        let (code, out, err) = run(&["--report", &report]);
        let expected = format!("moved 3 files, 9.00 MiB; already there: 2; {stayed}");
        assert_eq!((code, &out), (Some(1), &expected), "{direction}: {err}");
        assert!(err.contains("conflict: cars/7/conflict.jpg: another file has this path\n"), "{err}");
        for (name, bytes) in files {
            let is_conflict = name.ends_with("conflict.jpg");
            let (found, modified) = to.get(name).unwrap();
            assert!(found == if is_conflict { b"old" } else { bytes }, "{direction}: {name}");
            assert_eq!(modified, time, "{direction}: {name}");
            assert_eq!(from.has(name), is_conflict, "{direction}: {name}");
        }
        let lines = std::fs::read_to_string(place.path(&report)).unwrap();
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let results: BTreeMap<_, _> = lines
            .iter()
            .filter_map(|line| Some((line["path"].as_str()?, line["result"].as_str()?)))
            .collect();
        assert_eq!(results["cars/9/film.mp4"], "moved");
        assert_eq!(results["cars/7/.hidden"], "skipped");
        assert_eq!(
            lines.last().unwrap()["bytes"].as_u64(),
            Some(u64::try_from(FILM + 6).unwrap()),
            "{lines:?}"
        );

        let (code, out, _) = run(&[]);
        assert_eq!((code, out), (Some(1), format!("moved 0 files, 0 B; {stayed}")), "{direction}");
    }
}

/// Runs the program through a proxy with these faults.
fn run_with_faults(
    runtime: &Runtime,
    server: &Server,
    place: &Place,
    arguments: &[&str],
    rule: impl Fn(&Seen, usize) -> Fault + Send + Sync + 'static,
) -> Output {
    let proxy = runtime.block_on(Proxy::start(server.port, rule));
    relocate(place, proxy.port, arguments).output().unwrap()
}

#[test]
fn a_corrupt_copy_is_deleted_and_its_source_stays() {
    // moto verifies no checksum. Other servers reject the upload.
    let Some(server) = Server::start_own() else { return };
    let (place, runtime) = (Place::new(), runtime());
    let film = film();
    for (name, bytes) in
        [("bad.jpg", &b"bad"[..]), ("short.jpg", b"short"), ("film.mp4", &film), ("ok", b"ok")]
    {
        place.write(&format!("media/cars/7/{name}"), bytes);
    }
    let to = format!("s3://{BUCKET}/to");
    let faults = |seen: &Seen, _| match seen.target.rsplit('/').next().unwrap() {
        target if seen.method != "PUT" || target.starts_with("ok") => Fault::None,
        target if target.starts_with("bad.jpg") => Fault::CorruptUpload,
        target if target.starts_with("short.jpg") => Fault::TruncateUpload,
        target if target.contains("partNumber=2") => Fault::CorruptUpload,
        _ => Fault::None,
    };
    let output = run_with_faults(&runtime, &server, &place, &["media", "--to", &to], faults);
    let (code, out, err) = text(&output);
    assert_eq!((code, out.as_str()), (Some(1), "moved 1 files, 2 B; failed: 3\n"), "{err}");
    let message = "the copy differs from what was read; the copy was deleted";
    assert_eq!(err.matches(message).count(), 3, "{err}");
    let to_storage = storage(server.port, "to");
    let listed: Vec<_> = runtime.block_on(to_storage.objects().try_collect()).unwrap();
    assert_eq!(listed, [ListedObject::File(MediaPath::new("cars/7/ok").unwrap(), 2)]);
    let (code, out, _) = text(&relocate(&place, server.port, &["media", "--to", &to]).output().unwrap());
    assert_eq!((code, out.as_str()), (Some(0), "moved 3 files, 9.00 MiB\n"));
    let uploaded = Tree::open(&runtime, &server, &place, &to).get("cars/7/film.mp4").unwrap();
    assert!(uploaded.0 == film);
}

#[test]
fn an_outage_ends_the_relocation() {
    const FILES: usize = 200;

    let Some(server) = Server::start() else { return };
    let (place, runtime) = (Place::new(), runtime());
    for number in 0..FILES {
        place.write(&format!("media/{number}"), "x");
    }
    let to = format!("s3://{BUCKET}/to");
    let faults = |_: &Seen, count| if count < 60 { Fault::None } else { Fault::Unavailable };
    let output = run_with_faults(&runtime, &server, &place, &["media", "--to", &to, "--jobs", "4"], faults);
    let (code, out, err) = text(&output);
    assert_eq!(code, Some(1), "{out} {err}");
    assert!(err.contains("the bucket is not available; no further file was tried"), "{err}");
    assert!(err.contains("run the same command again to go on"), "{err}");
    // Those that were on their way end, too.
    let failed = err.lines().filter(|line| line.starts_with("failed: ")).count();
    assert!((3..=7).contains(&failed), "{err}");
    let (code, out, err) = text(&relocate(&place, server.port, &["media", "--to", &to]).output().unwrap());
    assert_eq!(code, Some(0), "{out} {err}");
    let listed: Vec<_> = runtime.block_on(storage(server.port, "to").objects().try_collect()).unwrap();
    assert_eq!((listed.len(), std::fs::read_dir(place.path("media")).unwrap().count()), (FILES, 0));
}

#[test]
fn a_signal_stops_between_files() {
    const FILES: usize = 300;

    let Some(server) = Server::start() else { return };
    let (place, runtime) = (Place::new(), runtime());
    for number in 0..FILES {
        place.write(&format!("media/{number}"), "x");
    }
    let to = format!("s3://{BUCKET}/to");
    let (to_storage, left) =
        (storage(server.port, "to"), || std::fs::read_dir(place.path("media")).unwrap().count());
    let moved = || -> BTreeSet<String> {
        let listed = to_storage.objects().map_ok(|object| format!("{object:?}"));
        runtime.block_on(listed.try_collect()).unwrap()
    };
    let mut command = relocate(&place, server.port, &["media", "--to", &to, "--jobs", "1"]);
    let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while left() == FILES {
        std::thread::sleep(Duration::from_millis(1));
    }
    kill_process(Pid::from_child(&running), Signal::TERM).unwrap();
    let (code, out, err) = text(&running.wait_with_output().unwrap());
    assert_eq!(code, Some(1), "{out} {err}");
    assert!(err.contains("interrupted; run the same command again to go on"), "{err}");
    let count = moved().len();
    assert!(count < FILES && left() == FILES - count, "{count}");
    assert!(out.starts_with(&format!("moved {count} files")), "{out}");
    assert_eq!(
        relocate(&place, server.port, &["media", "--to", &to]).output().unwrap().status.code(),
        Some(0)
    );
    assert_eq!((moved().len(), left()), (FILES, 0));
}

#[test]
fn mistakes_are_errors_before_a_file_is_moved() {
    let Some(server) = Server::start_conditional() else { return };
    let (place, runtime) = (Place::new(), runtime());
    place.write("media/x", "x");
    let bucket = |prefix: &str| format!("s3://{BUCKET}/{prefix}");
    for (arguments, expected) in [
        (&["media", "--to", "s3://"][..], "--to \"s3://\": the name of the bucket is missing"),
        (&["s3://key:hunter2@b", "--to", "media"], "FROM \"…@b\": a URL has no credentials"),
        (&["gs://b", "--to", "media", "--storage-region=eu"], "options of s3:// only"),
        (&[&bucket("x"), "--to", &bucket("x/y")], "is inside s3://uploads/x, so files would be found twice"),
        (
            &[&bucket("x/y"), "--root", &bucket("x")],
            "is inside s3://uploads/x, so files would be found twice",
        ),
        (&["none", "--to", &bucket("x")], "none: No such file"),
        (&[&bucket("x"), "--root", "none"], "create it with: mkdir"),
        (&["media", "--to", "s3://missing/x"], "s3://missing/x: "),
    ] {
        let error = refusal(&relocate(&place, server.port, arguments).output().unwrap());
        assert!(error.contains(expected) && !error.contains("hunter2"), "{arguments:?}: {error}");
    }
    let error = refusal(&relocate(&place, server.port, &["media"]).output().unwrap());
    assert!(error.contains("--storage-endpoint") && error.contains("the root is a folder"), "{error}");
    let arguments = ["media", "--root", &bucket("x")];
    let output = run_with_faults(&runtime, &server, &place, &arguments, |_, _| Fault::Unconditional);
    assert!(refusal(&output).contains("ignores If-None-Match"), "{output:?}");
    assert!(place.path("media/x").exists());
    // The root of the configuration is a bucket.
    let (code, out, err) = text(&relocate(&place, server.port, &arguments).output().unwrap());
    assert_eq!((code, out.as_str()), (Some(0), "moved 1 files, 1 B\n"), "{err}");
}
