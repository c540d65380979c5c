//! `relocate` to a bucket is killed at random moments, while requests fail. No file is lost.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use private_media::storage::content;
use private_media::{MediaPath, Permit, SaveOptions, Storage as _};
use private_media_buckets::ListedObject;

use crate::relocate_buckets::{relocate, runtime, storage, text};
use crate::s3_proxy::{Fault, Proxy, Seen};
use crate::s3_server::{BUCKET, Server};
use crate::support::Place;

const KILLS: usize = 50;

#[test]
fn no_kill_loses_a_file_of_a_bucket() {
    kill(500, 5, 200..1000);
}

#[test]
#[ignore = "takes ten minutes"]
fn no_kill_loses_one_of_10_000_files_of_a_bucket() {
    kill(9_990, 10, 100..6000);
}

fn faults(seen: &Seen, count: usize) -> Fault {
    match count % 31 {
        7 => Fault::Unavailable,
        13 => Fault::LoseResponse,
        // The command checks once that the bucket is ready, before it begins.
        19 if seen.method == "GET" && !seen.target.ends_with("/ready") => Fault::ResetAfter(10),
        _ => Fault::None,
    }
}

/// Moves small files, and large ones of two parts. After each kill, every file is whole at one of the places, or the same at both.
fn kill(small: usize, large: usize, pause: std::ops::Range<u64>) {
    let Some(server) = Server::start() else { return };
    let (place, runtime) = (Place::new(), runtime());
    let proxy = runtime.block_on(Proxy::start(server.port, faults));
    let (files, is_conflict) = (small + large, |number: usize| number == 3);
    let name = |number: usize| format!("cars/{}/{number}.bin", number % 37);
    let content_of = |number: usize| {
        let line = format!("{number}\n").into_bytes();
        let len = if number.is_multiple_of(files / large) && number > 0 { 9 << 20 } else { number % 5000 };
        line.iter().copied().cycle().take(len).collect::<Vec<u8>>()
    };
    let bytes: Vec<_> = (0..files).map(content_of).collect();
    for (number, content) in bytes.iter().enumerate() {
        place.write(&format!("media/{}", name(number)), content);
    }
    let bucket = storage(server.port, "to");
    let permit = || Permit::trusted(MediaPath::new(&name(3)).unwrap());
    let options = SaveOptions::new();
    runtime.block_on(bucket.save(&permit(), content("another file"), &options)).unwrap();
    let listed = || -> BTreeMap<String, u64> {
        let objects: Vec<_> = runtime.block_on(bucket.objects().try_collect()).unwrap();
        let files = objects.into_iter().filter_map(|object| match object {
            ListedObject::File(path, len) => Some((path.to_string(), len)),
            // Temporary objects of a check that was killed.
            ListedObject::Invalid(key) => {
                assert!(key.starts_with(".private-media-uploads/"), "{key}");
                None
            }
            other => panic!("{other:?}"),
        });
        files.collect()
    };
    let stored = |number: usize| {
        let content = async {
            let path = MediaPath::new(&name(number)).unwrap();
            let (_, content) = bucket.read(&Permit::trusted(path)).await.unwrap();
            content.try_collect::<Vec<_>>().await.unwrap().concat()
        };
        runtime.block_on(content)
    };
    let is_left = |number: usize| match std::fs::read(place.path(&format!("media/{}", name(number)))) {
        Ok(found) => {
            assert!(found == bytes[number], "{number}");
            true
        }
        Err(_) => false,
    };
    let to = format!("s3://{BUCKET}/to");
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let (mut both, mut last_moved) = (0, 0);
    for kill in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut command = relocate(&place, proxy.port, &["media", "--to", &to]);
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause.start + random % (pause.end - pause.start)));
        running.kill().unwrap();
        running.wait().unwrap();
        let mut found = listed();
        last_moved = found.len();
        for number in (0..files).filter(|number| !is_conflict(*number)) {
            let (len, is_left) = (found.remove(&name(number)), is_left(number));
            let expected = &bytes[number];
            assert!(len.is_some() || is_left, "{number} is lost after kill {kill}");
            assert!(
                len.is_none_or(|len| len == expected.len() as u64),
                "{number} after kill {kill}: {len:?}"
            );
            both += usize::from(len.is_some() && is_left);
            if kill % 10 == 9 && len.is_some() {
                assert!(stored(number) == *expected, "{number} after kill {kill}");
            }
        }
        found.remove(&name(3));
        assert!(found.is_empty(), "doubled after kill {kill}: {found:?}");
    }
    eprintln!("moved before the last run: {last_moved} of {files}; at both places after a kill: {both}");
    let (code, out, err) = text(&relocate(&place, proxy.port, &["media", "--to", &to]).output().unwrap());
    assert_eq!(code, Some(1), "{out} {err}");
    assert!(out.contains("conflicts: 1\n"), "{out} {err}");
    assert_eq!(listed().len(), files);
    for (number, own) in bytes.iter().enumerate() {
        let expected: &[u8] = if is_conflict(number) { b"another file" } else { own };
        assert!(stored(number) == expected, "{number}");
        assert_eq!(is_left(number), is_conflict(number), "{number}");
    }
}
