//! The limit of open files determines how many connections the gateway serves.

use std::io::{Read, Write};
use std::process::{Command, Output, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::support::{GRANT, Gateway, Place, credentials};

/// Returns a command that serves with this soft and hard limit of open files.
fn limited(place: &Place, limit: u64, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]);
    command.args([env!("CARGO_BIN_EXE_private-media"), "serve", "--listen", "127.0.0.1:0", "--grant", GRANT]);
    command.args(arguments).current_dir(place.path(""));
    // The gateway warns about unknown variables, and an error must be the only line.
    command.env_remove("PRIVATE_MEDIA_TEST_ALL");
    command
}

/// Returns the log line with the number of connections.
fn logged_limit(gateway: &Gateway) -> serde_json::Value {
    assert!(gateway.logs("connections at a time"), "{}", gateway.log());
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("connections at a time")).unwrap();
    serde_json::from_str(line).unwrap()
}

#[test]
fn the_logged_number_of_connections_is_served() {
    const LEN: usize = 32 << 20;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let place = Place::new();
    let (name, value) = credentials("alice")[0];
    for (workers, limit) in [(1, 110), (1, 256), (2, 128), (8, 256), (16, 1024), (64, 640), (64, 1024)] {
        let arguments = ["--workers", &workers.to_string(), "--header-timeout", "60s", "--log", "debug"];
        let gateway = Gateway::spawn(limited(&place, limit, &arguments), place.path("gateway.log"));
        let connections = logged_limit(&gateway)["connections"].as_u64().unwrap();
        assert!(connections >= 4 && connections < limit / 2, "{workers} {limit}: {connections}");
        // Each client gets another file, so that no two share a handle.
        let downloads: Vec<_> = (0..connections)
            .map(|n| {
                let file = format!("cars/7/big-{n}.bin");
                place.write(&format!("private/{file}"), "");
                let path = place.path(&format!("private/{file}"));
                std::fs::File::options().write(true).open(path).unwrap().set_len(LEN as u64).unwrap();
                let mut stream = gateway.connect();
                write!(stream, "GET /private/{file} HTTP/1.1\r\nhost: x\r\n{name}: {value}\r\n\r\n").unwrap();
                stream
            })
            .collect();
        let started = downloads.into_iter().map(|mut stream| {
            let mut beginning = [0; 15];
            stream.read_exact(&mut beginning).unwrap();
            assert_eq!(&beginning, b"HTTP/1.1 200 OK", "{workers} {limit}");
            stream
        });
        let started: Vec<_> = started.collect();
        let open = std::fs::read_dir(format!("/proc/{}/fd", gateway.child.id())).unwrap().count() as u64;
        assert!(open >= 2 * connections, "{open} open files");
        // A closed connection makes room for the next client.
        drop(started.into_iter().next());
        assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
        let log = gateway.log();
        assert!(!log.contains("cannot accept connections") && !log.contains("Too many open"), "{log}");
    }
}

#[test]
fn too_few_open_files_is_an_error_with_a_fix() {
    let place = Place::new();
    for (workers, limit) in [("64", 300), ("2", 64), ("1", 30)] {
        let mut command = limited(&place, limit, &["--workers", workers]);
        let output: Output = command.stdin(Stdio::null()).output().unwrap();
        let error = crate::support::refusal(&output);
        for part in [
            &format!("{workers} workers"),
            "limits.max_connections",
            &format!("limit is {limit}"),
            "ulimit -n",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[test]
fn only_a_configured_limit_causes_a_warning() {
    let place = Place::new();
    for (arguments, level) in [(&["--log", "debug"][..], "DEBUG"), (&["--max-connections", "10000"], "WARN")]
    {
        let gateway = Gateway::spawn(limited(&place, 256, arguments), place.path("gateway.log"));
        assert_eq!(logged_limit(&gateway)["level"], level, "{}", gateway.log());
    }
    for arguments in [&[][..], &["--max-connections", "10"]] {
        let gateway = Gateway::spawn(limited(&place, 256, arguments), place.path("gateway.log"));
        assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
        assert!(gateway.logs("photo.jpg") && !gateway.log().contains("at a time"), "{}", gateway.log());
    }
}
