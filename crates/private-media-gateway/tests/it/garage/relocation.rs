//! `relocate` to and from a cluster whose nodes are killed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::TryStreamExt as _;
use private_media::{MediaPath, Permit, Storage as _};
use private_media_buckets::{ListedObject, ObjectStorage};

use super::StopOnDrop;
use super::cluster::{Cluster, PAUSE};
use crate::relocate_buckets::{runtime, text};
use crate::s3_server::BUCKET;
use crate::support::Place;

const FILES: usize = 800;
/// How often the command is run, until all files are moved.
const RUNS: usize = 20;

#[test]
fn no_file_is_lost_while_other_nodes_are_killed() {
    move_there_and_back(false);
}

#[test]
fn no_file_is_lost_while_the_nodes_in_use_are_killed() {
    move_there_and_back(true);
}

fn name(number: usize) -> String {
    format!("cars/{}/{number}.bin", number % 37)
}

fn bytes(number: usize) -> Vec<u8> {
    let len = if number % 200 == 100 { 9 << 20 } else { number * 5 };
    format!("{number}\n").into_bytes().into_iter().cycle().take(len).collect()
}

fn move_there_and_back(is_balanced: bool) {
    let Some(cluster) = Cluster::start() else { return };
    let (port, nodes) = cluster.clients(is_balanced);
    let place = Place::new();
    for number in 0..FILES {
        place.write(&format!("media/{}", name(number)), bytes(number));
    }
    std::fs::create_dir(place.path("back")).unwrap();
    let bucket = format!("s3://{BUCKET}/moved");
    let storage = cluster.storage(port, "moved");

    let (runs, kills) = under_kills(&cluster, &nodes, || move_all(&cluster, port, &place, "media", &bucket));
    assert_eq!(files_below(&place.path("media")), 0);
    check_bucket(&storage);
    eprintln!("to the bucket: {runs} runs, {kills} kills");

    let (runs, kills) = under_kills(&cluster, &nodes, || move_all(&cluster, port, &place, &bucket, "back"));
    assert_eq!(files_below(&place.path("back")), FILES);
    for number in 0..FILES {
        let found = std::fs::read(place.path(&format!("back/{}", name(number)))).unwrap();
        assert!(found == bytes(number), "{number}");
    }
    let listed = check_deleted(&storage);
    eprintln!("from the bucket: {runs} runs, {kills} kills; {listed} deleted objects are still listed");
}

/// Runs the command until it has moved all files. Returns the number of runs.
fn move_all(cluster: &Cluster, port: u16, place: &Place, from: &str, to: &str) -> usize {
    for run in 1..=RUNS {
        let mut command = cluster.program(port, &["relocate", from, "--to", to]);
        match text(&command.current_dir(place.path("")).output().unwrap()) {
            (Some(0), ..) => return run,
            // What is skipped is listed, but deleted.
            (Some(1), out, err) if !out.contains("failed") && !out.contains("conflict") => {
                assert!(err.contains("no object has this key"), "{out} {err}");
                return run;
            }
            (Some(1), out, err) => {
                assert!(!out.contains("conflict") && !err.contains("differs"), "{out} {err}");
            }
            // The bucket does not respond at the start of the command.
            (Some(2), _, err) if err.contains("check storage.endpoint") => std::thread::sleep(PAUSE),
            other => panic!("{other:?}"),
        }
    }
    panic!("files are left after {RUNS} runs");
}

/// Runs work while nodes are killed in turn. Returns its result and the number of kills.
fn under_kills<T>(cluster: &Cluster, nodes: &[usize], work: impl FnOnce() -> T) -> (T, usize) {
    let (stop, kills) = (AtomicBool::new(false), AtomicUsize::new(0));
    // The first node is gone before the work begins.
    cluster.kill(nodes[0]);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            for (turn, &node) in nodes.iter().cycle().enumerate() {
                if turn > 0 {
                    cluster.kill(node);
                }
                kills.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
                cluster.restart(node);
                std::thread::sleep(PAUSE);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let _stop = StopOnDrop(&stop);
        work()
    });
    (result, kills.into_inner())
}

fn check_bucket(storage: &ObjectStorage) {
    runtime().block_on(async {
        let listed: Vec<_> = storage.objects().try_collect().await.unwrap();
        let listed: BTreeMap<_, _> = listed
            .into_iter()
            .map(|object| match object {
                ListedObject::File(path, len) => (path.to_string(), len),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(listed.len(), FILES);
        for number in 0..FILES {
            let (name, expected) = (name(number), bytes(number));
            assert_eq!(listed[&name], expected.len() as u64, "{name}");
            let permit = Permit::trusted(MediaPath::new(&name).unwrap());
            let (_, content) = storage.read(&permit).await.unwrap();
            let found = content.try_collect::<Vec<_>>().await.unwrap().concat();
            assert!(found == expected, "{name}");
        }
    });
}

/// Checks that no object is left. A node that was down lists the objects whose deletion it has missed, until it has synchronized with the
/// others; but they cannot be read. Returns their number.
fn check_deleted(storage: &ObjectStorage) -> usize {
    runtime().block_on(async {
        let listed: Vec<_> = storage.objects().try_collect().await.unwrap();
        for number in 0..FILES {
            let permit = Permit::trusted(MediaPath::new(&name(number)).unwrap());
            assert!(!storage.exists(&permit).await.unwrap(), "{number} is left");
        }
        listed.len()
    })
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}
