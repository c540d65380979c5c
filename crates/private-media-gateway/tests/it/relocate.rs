//! `relocate`: no file is lost, replaced or left in half, whenever it is stopped.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Place, program};

/// A folder on another file system than [`Place`].
fn other_device() -> tempfile::TempDir {
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    let place = Place::new();
    assert_ne!(
        other.path().metadata().unwrap().dev(),
        place.path("").metadata().unwrap().dev(),
        "/dev/shm is a file system of its own"
    );
    other
}

fn text(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Returns the report: the lines of files by path, and the summary.
fn report(path: &Path) -> (BTreeMap<String, Value>, Value) {
    let lines = std::fs::read_to_string(path).unwrap();
    let mut lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    (lines.into_iter().map(|line| (line["path"].as_str().unwrap().to_owned(), line)).collect(), summary)
}

/// Moves files by renames, and by copies.
#[test]
fn files_move_and_the_rest_is_explained() {
    let other = other_device();
    for to_other in [false, true] {
        let place = Place::new();
        let root = if to_other { other.path().to_path_buf() } else { place.path("private") };
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        for (name, content) in [
            ("cars/7/garage.jpg", "garage"),
            ("cars/8/a b+c.jpg", "spaces"),
            ("cars/7/same.jpg", "same"),
            ("cars/7/conflict.jpg", "new"),
            ("cars/7/empty.bin", ""),
            ("cars/.hidden", "hidden"),
        ] {
            place.write(&format!("media/{name}"), content);
            std::fs::File::open(place.path(&format!("media/{name}"))).unwrap().set_modified(time).unwrap();
        }
        std::os::unix::fs::symlink("garage.jpg", place.path("media/cars/7/link.jpg")).unwrap();
        std::fs::create_dir_all(root.join("cars/7")).unwrap();
        std::fs::write(root.join("cars/7/same.jpg"), "same").unwrap();
        std::fs::write(root.join("cars/7/conflict.jpg"), "old").unwrap();
        let root_text = root.to_str().unwrap();
        let run =
            |more: &[&str]| text(&place.run(&[&["relocate", "media", "--to", root_text], more].concat()));
        let before = std::fs::read_dir(place.path("media/cars/7")).unwrap().count();
        let (code, out, _) = run(&["--dry-run"]);
        assert_eq!(
            (code, out.as_str()),
            (Some(1), "would move 3 files, 12 B; already there: 1; conflicts: 1; skipped: 2\n"),
            "to another file system: {to_other}"
        );
        assert_eq!(std::fs::read_dir(place.path("media/cars/7")).unwrap().count(), before);

        let (code, out, err) = run(&["--report", "report.jsonl"]);
        let summary = "moved 3 files, 12 B; already there: 1; conflicts: 1; skipped: 2\n";
        assert_eq!((code, out.as_str()), (Some(1), summary), "{err}");
        assert!(err.contains("conflict: cars/7/conflict.jpg: another file has this path\n"), "{err}");
        assert!(err.contains("skipped: cars/7/link.jpg: a symbolic link\n"), "{err}");
        for (name, content) in
            [("cars/7/garage.jpg", "garage"), ("cars/8/a b+c.jpg", "spaces"), ("cars/7/empty.bin", "")]
        {
            assert_eq!(std::fs::read_to_string(root.join(name)).unwrap(), content);
            assert_eq!(root.join(name).metadata().unwrap().modified().unwrap(), time, "{name}");
            assert!(!place.path(&format!("media/{name}")).exists(), "{name}");
        }
        assert!(!place.path("media/cars/7/same.jpg").exists());
        assert_eq!(std::fs::read_to_string(root.join("cars/7/conflict.jpg")).unwrap(), "old");
        for stays in ["cars/7/conflict.jpg", "cars/7/link.jpg", "cars/.hidden"] {
            assert!(place.path(&format!("media/{stays}")).symlink_metadata().is_ok(), "{stays}");
        }
        let (files, summary) = report(&place.path("report.jsonl"));
        assert_eq!(files["cars/7/garage.jpg"], json!({"path": "cars/7/garage.jpg", "result": "moved"}));
        assert_eq!(files["cars/7/same.jpg"]["result"], "already there");
        assert_eq!(files["cars/.hidden"]["result"], "skipped");
        assert_eq!(
            (&summary["moved"], &summary["bytes"], &summary["conflicts"]),
            (&3.into(), &12.into(), &1.into())
        );

        // A second run changes nothing.
        let (code, out, _) = run(&[]);
        assert_eq!((code, out.as_str()), (Some(1), "moved 0 files, 0 B; conflicts: 1; skipped: 2\n"));
    }
}

#[test]
fn files_are_chosen_by_globs_and_copies_keep_the_source() {
    let place = Place::new();
    for name in ["cars/7/a.jpg", "cars/7/b.txt", "shared/c.jpg"] {
        place.write(&format!("media/{name}"), name);
    }
    let run = |arguments: &[&str]| text(&place.run(&[&["relocate", "media"], arguments].concat()));
    let copied = run(&["--keep-source", "--match", "cars/**/*.jpg"]);
    assert_eq!(copied, (Some(0), "moved 1 files, 12 B\n".into(), String::new()));
    for name in ["private/cars/7/a.jpg", "media/cars/7/a.jpg"] {
        assert_eq!(std::fs::read_to_string(place.path(name)).unwrap(), "cars/7/a.jpg");
    }
    // `*` does not match a slash.
    assert_eq!(run(&["--match", "*.jpg"]).1, "moved 0 files, 0 B\n");
    assert_eq!(
        run(&["--match", "shared/*", "--match", "cars/7/b.*", "--jobs", "1"]).1,
        "moved 2 files, 24 B\n"
    );
    assert_eq!(run(&[]).1, "moved 0 files, 0 B; already there: 1\n");
}

#[test]
fn folders_inside_each_other_are_errors() {
    let place = Place::new();
    place.write("media/private/x", "x");
    for (arguments, part) in [
        (
            &["relocate", "media", "--root", "media/private"][..],
            "is inside media, so files would be found twice",
        ),
        (&["relocate", "media/private", "--to", "media"], "name another with --to"),
        (&["relocate", "private"], "is inside"),
        (&["relocate", "none"], "none: No such file"),
        (&["relocate", "media/private/x"], "not a folder"),
        (&["relocate", "media", "--root", "none"], "create it with: mkdir"),
        (&["relocate", "media", "--match", "a[b"], "invalid value \"a[b\" for --match"),
        (&["relocate", "media", "--report", "accounts.toml"], "name a new file"),
    ] {
        let line = place.refusal(arguments);
        assert!(line.contains(part), "{arguments:?}: {line}");
    }
}

/// A signal lets the files end that are being moved. It is handled before the first file is moved.
#[test]
fn a_signal_stops_between_files() {
    const FILES: usize = 5000;

    for signal in [Signal::TERM, Signal::INT] {
        let (place, other) = (Place::new(), other_device());
        for number in 0..FILES {
            place.write(&format!("media/cars/7/{number}.bin"), "x".repeat(number % 100));
        }
        let to = other.path().to_str().unwrap();
        let relocate = || {
            let mut command = program();
            command.args(["relocate", "media", "--to", to, "--jobs", "1"]).current_dir(place.path(""));
            command
        };
        let count = |folder: &Path| std::fs::read_dir(folder.join("cars/7")).map_or(0, Iterator::count);
        let mut command = relocate();
        let running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        while count(other.path()) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&running), signal).unwrap();
        let (code, out, err) = text(&running.wait_with_output().unwrap());
        assert_eq!(code, Some(1), "{out} {err}");
        assert!(err.contains("stopping after the files that are being moved"), "{err}");
        assert!(err.contains("interrupted; run the same command again to go on"), "{err}");
        let moved = count(other.path());
        assert!(moved < FILES && count(&place.path("media")) == FILES - moved, "{moved}");
        assert!(out.starts_with(&format!("moved {moved} files")), "{out}");
        assert_eq!(relocate().output().unwrap().status.code(), Some(0));
        assert_eq!((count(other.path()), count(&place.path("media"))), (FILES, 0));
    }
}

/// Kills the program at random moments. After each, every file is whole at one of the places, or the same at both.
#[test]
fn no_kill_loses_a_file() {
    const FILES: usize = 10_000;
    const KILLS: usize = 50;

    let (place, other) = (Place::new(), other_device());
    let name = |number: usize| format!("cars/{}/{number}.bin", number % 97);
    let content = |number: usize| format!("{number}\n").repeat(1 + number % 500);
    for number in 0..FILES {
        place.write(&format!("media/{}", name(number)), content(number));
    }
    // Errors in between: a path that is taken by another file, and a folder that is a file.
    std::fs::create_dir_all(other.path().join("cars/3")).unwrap();
    std::fs::write(other.path().join("cars/3/3.bin"), "another file").unwrap();
    std::fs::write(other.path().join("cars/5"), "no folder").unwrap();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let relocate = || {
        let mut command = program();
        command.args(["relocate", "media", "--to", other.path().to_str().unwrap()]);
        command.current_dir(place.path("")).stdin(Stdio::null());
        command
    };
    let is_error = |number: usize| number == 3 || number % 97 == 5;
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let places = |number: usize| {
        (read(&place.path(&format!("media/{}", name(number)))), read(&other.path().join(name(number))))
    };
    for kill in 0..KILLS {
        let mut running = relocate().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(next(40)));
        running.kill().unwrap();
        running.wait().unwrap();
        // All files at some kills, some files at each.
        let step = if kill % 10 == 9 { 1 } else { 37 };
        for number in (0..FILES).step_by(step).filter(|number| !is_error(*number)) {
            let expected = Some(content(number));
            let (old, new) = places(number);
            assert!(
                (old == expected && (new.is_none() || new == expected)) || (old.is_none() && new == expected),
                "{number} after kill {kill}: {old:?} {new:?}"
            );
        }
    }
    let (code, out, err) = text(&relocate().output().unwrap());
    assert_eq!(code, Some(1), "{out} {err}");
    assert!(out.contains("conflicts: 1") && out.contains("failed: "), "{out}");
    for number in 0..FILES {
        let expected = Some(content(number));
        let (old, new) = places(number);
        if is_error(number) {
            assert_eq!(old, expected, "{number}");
        } else {
            assert_eq!((old, new), (None, expected), "{number}");
        }
    }
    assert_eq!(read(&other.path().join("cars/3/3.bin")).unwrap(), "another file");
    let hidden = std::fs::read_dir(other.path().join(".private-media-uploads"));
    assert!(hidden.map_or(0, Iterator::count) == 0, "no temporary file remains");
}
