//! A killed upload leaves the complete file or nothing, and no temporary file after the next start.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Root, save_program};

const KILLS: u32 = 200;
/// The options of the program for each kind of save.
const MODES: [&[&str]; 4] =
    [&[], &["--named-temporary"], &["--named-temporary", "--blocking"], &["--blocking", "--not-durable"]];

#[test]
fn an_upload_killed_at_any_time_leaves_the_whole_file_or_nothing() {
    let program = save_program();
    let content: Vec<u8> = (0..150_000_u32).flat_map(u32::to_le_bytes).collect();
    for mode in MODES {
        let usual = usual_duration(program, &content, mode);
        let mut whole = 0;
        let mut none = 0;
        for round in 0..KILLS / 4 {
            let root = Root::new();
            let started = Instant::now();
            let mut child = save(program, &root, mode);
            // Spread evenly from before the first step to after the last.
            let moment = usual.mul_f64(1.3 * f64::from(round) / f64::from(KILLS / 4));
            let feeding = feed(&mut child, content.clone());
            std::thread::sleep(moment.saturating_sub(started.elapsed()));
            child.kill().unwrap();
            child.wait().unwrap();
            feeding.join().unwrap();

            let file = root.path.join("cars/7/photo.jpg");
            match fs::read(&file) {
                Ok(bytes) => {
                    assert!(bytes == content, "round {round}: {} bytes of {}", bytes.len(), content.len());
                    whole += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "round {round}");
                    none += 1;
                }
            }
            drop(root.storage());
            let left: Vec<String> = root.tree().into_iter().filter(|name| !name.ends_with('/')).collect();
            assert!(left.is_empty() || left == ["cars/7/photo.jpg"], "round {round}: {left:?}");
        }
        assert!(whole > 0 && none > 0, "{whole} times the whole file, {none} times nothing");
    }
}

/// At each system call that creates or removes a name. These steps are too short to be hit by chance.
#[test]
fn an_upload_killed_at_each_step_leaves_the_whole_file_or_nothing() {
    if !crate::support::needs("strace", crate::support::has_command("strace")) {
        return;
    }
    let program = save_program();
    for mode in MODES {
        // Only a named temporary file is locked and unlinked.
        let mut steps = vec!["mkdirat", "write", "linkat"];
        steps.extend(if mode.contains(&"--named-temporary") { &["flock", "unlinkat"][..] } else { &[] });
        steps.extend((!mode.contains(&"--not-durable")).then_some("fsync"));
        for step in steps {
            for when in 1..=4 {
                let root = Root::new();
                let inject = format!("inject={step}:signal=SIGKILL:when={when}");
                let mut command = Command::new("strace");
                command.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject]).arg(program);
                command.arg(&root.path).arg("cars/7/photo.jpg").args(mode);
                let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
                let feeding = feed(&mut child, vec![7; 100_000]);
                let killed = !child.wait().unwrap().success();
                feeding.join().unwrap();
                assert!(killed || when > 1, "{step} was not reached");
                drop(root.storage());
                let left: Vec<String> = root.tree().into_iter().filter(|name| !name.ends_with('/')).collect();
                match &*left {
                    [] => {}
                    [one] if one == "cars/7/photo.jpg" => {
                        let bytes = fs::read(root.path.join(one)).unwrap();
                        assert!(bytes == vec![7; 100_000], "{step} {when}: {} bytes", bytes.len());
                    }
                    _ => panic!("{step} {when}: {left:?}"),
                }
            }
        }
    }
}

fn save(program: &Path, root: &Root, mode: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.arg(&root.path).arg("cars/7/photo.jpg").args(mode);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// Sends the content in pieces with short pauses, until it ends or the process is gone.
fn feed(child: &mut Child, content: Vec<u8>) -> std::thread::JoinHandle<()> {
    let mut stdin = child.stdin.take().unwrap();
    std::thread::spawn(move || {
        for piece in content.chunks(20_000) {
            if stdin.write_all(piece).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    })
}

/// Returns the longest of a few runs without a kill.
fn usual_duration(program: &Path, content: &[u8], mode: &[&str]) -> Duration {
    let run = |_| {
        let root = Root::new();
        let started = Instant::now();
        let mut child = save(program, &root, mode);
        let feeding = feed(&mut child, content.to_vec());
        assert!(child.wait().unwrap().success());
        feeding.join().unwrap();
        assert!(fs::read(root.path.join("cars/7/photo.jpg")).unwrap() == content);
        started.elapsed()
    };
    (0..5).map(run).max().unwrap()
}
