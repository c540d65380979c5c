//! Commands whose standard output or standard error cannot be written.

use std::fs::OpenOptions;
use std::process::Stdio;

use crate::support::{GRANT, Place, program};

/// Commands that print something and exit.
const COMMANDS: [&[&str]; 9] = [
    &["account", "list"],
    &["account", "remove", "alice"],
    &["account", "remove", "nobody-of-that-name"],
    &["check", "bob", "cars/7/photo.jpg", "--grant", GRANT],
    &["config", "show"],
    &["config", "nginx"],
    &["doctor", "--grant", GRANT],
    &["--help"],
    &["--unknown"],
];

fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn no_command_panics_when_its_output_cannot_be_written() {
    for arguments in COMMANDS {
        let codes = [closed, full].map(|stdout| {
            let place = Place::new();
            let mut command = program();
            command.args(arguments).current_dir(place.path("")).stdin(Stdio::null());
            let output = command.stdout(stdout()).stderr(Stdio::piped()).output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert!(!error.contains("panicked") && !error.contains("panic:"), "{arguments:?}: {error}");
            output.status.code().unwrap()
        });
        let place = Place::new();
        let expected = place.run(arguments).status.code().unwrap();
        assert_eq!(codes[0], expected, "{arguments:?}: a closed pipe is no error");
        assert!(codes[1] == expected || codes[1] == 2, "{arguments:?}: {codes:?}");
    }
}

#[test]
fn no_command_panics_when_its_errors_cannot_be_written() {
    for arguments in COMMANDS {
        for stderr in [closed, full] {
            let place = Place::new();
            let expected = place.run(arguments).status.code();
            let place = Place::new();
            let mut command = program();
            command.args(arguments).current_dir(place.path("")).stdin(Stdio::null());
            let status = command.stdout(Stdio::null()).stderr(stderr()).status().unwrap();
            assert_eq!(status.code(), expected, "{arguments:?}");
        }
    }
}

/// An incomplete configuration must not be mistaken for a complete one.
#[test]
fn a_full_disk_is_an_error() {
    for arguments in [&["config", "show"][..], &["config", "nginx"], &["account", "list"]] {
        let place = Place::new();
        let mut command = program();
        command.args(arguments).current_dir(place.path("")).stdin(Stdio::null());
        let output = command.stdout(full()).stderr(Stdio::piped()).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains("cannot write to standard output: No space left"), "{error}");
    }
}
