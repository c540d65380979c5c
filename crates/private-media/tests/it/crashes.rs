//! Killed at any moment, a save leaves the whole file or nothing, and no litter after the next start.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use private_media::LocalStorage;

const TIMES: u32 = 200;

/// The example `save`, which stands beside this test's own program.
pub(crate) fn save_program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let program = own.ancestors().nth(2).unwrap().join("examples/save");
    assert!(
        program.exists(),
        "{program:?} is missing; build it with: cargo build -p private-media --example save"
    );
    program
}

#[test]
fn killed_at_any_moment() {
    let program = save_program();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let whole = (0..5).map(|_| run(&program, &bytes, false, None).1).max().unwrap();
    let (mut stored, mut nothing) = (0, 0);
    for n in 0..TIMES {
        // From before its first line to after its last, and no two alike.
        let kill = whole * n / (TIMES - TIMES / 5);
        let (root, _) = run(&program, &bytes, n % 2 == 1, Some(kill));
        match files(root.path()).as_slice() {
            [] => nothing += 1,
            [file] => {
                assert_eq!(file, "photo.jpg");
                let found = std::fs::read(root.path().join("cars/7/photo.jpg")).unwrap();
                assert!(
                    found == bytes,
                    "killed after {kill:?}, {} bytes of {} are there",
                    found.len(),
                    bytes.len()
                );
                stored += 1;
            }
            more => panic!("killed after {kill:?}, there is {more:?}"),
        }
        LocalStorage::open_root(root.path()).unwrap();
        let drafts = root.path().join(".private-media-uploads");
        assert_eq!(drafts.read_dir().map_or(0, Iterator::count), 0, "no litter after the next start");
    }
    assert!(
        stored > 0 && nothing > 0,
        "it was killed before ({nothing}) and after ({stored}) the file appeared"
    );
}

/// Saves under a new root, killed after a time, and tells how long it took.
fn run(program: &Path, bytes: &[u8], named: bool, kill: Option<Duration>) -> (tempfile::TempDir, Duration) {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    command.arg(root.path()).arg("cars/7/photo.jpg").args(named.then_some("--named-draft"));
    let begin = Instant::now();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // In pieces, so that there is a time in which it is half there. A killed reader is no error.
        scope.spawn(move || bytes.chunks(100_000).try_for_each(|piece| stdin.write_all(piece)));
        if let Some(kill) = kill {
            std::thread::sleep(kill.saturating_sub(begin.elapsed()));
            child.kill().unwrap();
        }
        let mut printed = String::new();
        child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        let status = child.wait().unwrap();
        assert!(
            kill.is_some() || (status.success() && printed == "cars/7/photo.jpg\n"),
            "{status}: {printed}"
        );
    });
    (root, begin.elapsed())
}

fn files(root: &Path) -> Vec<String> {
    let entries = root.join("cars/7").read_dir().into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
