//! Killed at any moment, an upload leaves the whole file or nothing, and no litter after the next start.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Root, save_program};

const KILLS: u32 = 200;
/// The options of the program for each way to save.
const WAYS: [&[&str]; 4] =
    [&[], &["--named-temporary"], &["--named-temporary", "--blocking"], &["--blocking", "--not-durable"]];

#[test]
fn killed_at_any_moment() {
    let program = save_program();
    let content: Vec<u8> = (0..150_000_u32).flat_map(u32::to_le_bytes).collect();
    for way in WAYS {
        let usual = usual_duration(program, &content, way);
        let mut whole = 0;
        let mut none = 0;
        for round in 0..KILLS / 4 {
            let root = Root::new();
            let started = Instant::now();
            let mut child = save(program, &root, way);
            // Spread evenly from before its first step to after its last.
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
        assert!(whole > 0 && none > 0, "the moments were spread: {whole} whole files, {none} times nothing");
    }
}

/// Steps that are too short to be hit by chance: killed at each system call that makes or removes a name.
#[test]
fn killed_at_each_step() {
    if !crate::support::needs("strace", crate::support::has_command("strace")) {
        return;
    }
    let program = save_program();
    for way in WAYS {
        // Only a named temporary is locked, and has a name to be removed.
        let mut steps = vec!["mkdirat", "write", "linkat"];
        steps.extend(if way.contains(&"--named-temporary") { &["flock", "unlinkat"][..] } else { &[] });
        steps.extend((!way.contains(&"--not-durable")).then_some("fsync"));
        for step in steps {
            for when in 1..=4 {
                let root = Root::new();
                let inject = format!("inject={step}:signal=SIGKILL:when={when}");
                let mut command = Command::new("strace");
                command.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject]).arg(program);
                command.arg(&root.path).arg("cars/7/photo.jpg").args(way);
                let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
                let feeding = feed(&mut child, vec![7; 100_000]);
                let killed = !child.wait().unwrap().success();
                feeding.join().unwrap();
                assert!(killed || when > 1, "{step} was reached");
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

fn save(program: &Path, root: &Root, way: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.arg(&root.path).arg("cars/7/photo.jpg").args(way);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
}

/// Sends the content in pieces with a breath between them, until it ends or nobody listens any more.
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

/// The longest of a few undisturbed runs.
fn usual_duration(program: &Path, content: &[u8], way: &[&str]) -> Duration {
    let run = |_| {
        let root = Root::new();
        let started = Instant::now();
        let mut child = save(program, &root, way);
        let feeding = feed(&mut child, content.to_vec());
        assert!(child.wait().unwrap().success());
        feeding.join().unwrap();
        assert!(fs::read(root.path.join("cars/7/photo.jpg")).unwrap() == content);
        started.elapsed()
    };
    (0..5).map(run).max().unwrap()
}
