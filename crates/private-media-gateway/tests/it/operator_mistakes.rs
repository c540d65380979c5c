//! Mistakes of operators: each has a clear message, and service goes on where it can. Those with a longer story are in other files;
//! docs/how-to/operate.md lists all.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{GRANT, Gateway, Place, needs, program, refusal};

fn until(gateway: &Gateway, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "timeout: {}", gateway.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_and_the_first_program_serves_on() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let address = gateway.address.to_string();
    place.write("second.toml", format!("listen = \"{address}\"\nroot = \"private\"\n"));
    for (arguments, name) in [
        (&["--listen", &*address][..], format!("--listen \"{address}\"")),
        (&["--config", "second.toml"], format!("second.toml: listen = \"{address}\"")),
    ] {
        let line = place.refusal(&[&["serve"], arguments].concat());
        assert!(line.contains(&name) && line.contains("address already in use"), "{line}");
        assert!(line.contains("use another address, or port 0"), "{line}");
        assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    }
}

/// Two gateways with the same root, accounts and state serve both, and a sign-out at one ends the session at the other.
#[test]
fn two_instances_share_the_state() {
    let place = Place::new();
    let [first, second] = [(); 2].map(|()| place.serve(&["--cache-ttl", "500ms"]));
    let form = format!("name=alice&password={}&next=", crate::support::PASSWORD.replace(' ', "+"));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let signed_in = first.send("POST /private/-/sign-in", &headers, form.as_bytes());
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let status =
        |gateway: &Gateway| gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", &cookie)]).status;
    assert_eq!((status(&first), status(&second)), (200, 200));
    assert_eq!(first.send("POST /private/-/sign-out", &[("cookie", &cookie)], b"next=").status, 303);
    until(&second, || status(&second) == 404);
    for gateway in [&first, &second] {
        assert_eq!(gateway.fetch("GET /private/-/health", &[]).status, 200);
        assert!(!gateway.log().contains("\"ERROR\""), "{}", gateway.log());
    }
}

/// Files are served from a disk that is read-only. Sign-outs cannot be stored there, so a state on it is an error at start.
#[test]
fn a_read_only_disk_serves_files_and_holds_no_state() {
    if !needs("root, who may mount", rustix::process::geteuid().is_root()) {
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.path("disk")).unwrap();
    let serve = |state: &str| {
        let script = "mount -t tmpfs none disk; cp -r private disk; mount -o remount,ro disk; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["--mount", "sh", "-euc", script, "sh"]).arg(program().get_program());
        command.args(["serve", "--listen", "127.0.0.1:0", "--root", "disk/private", "--grant", GRANT]);
        command.args(["--state", state]).current_dir(place.path(""));
        command
    };
    let line = refusal(&serve("sqlite:disk/state.db").stdin(Stdio::null()).output().unwrap());
    assert!(
        line.contains("--state \"sqlite:disk/state.db\"") && line.contains("Read-only file system"),
        "{line}"
    );
    assert!(line.contains("name a file in a folder that this user can write to"), "{line}");
    let gateway = Gateway::spawn(serve("sqlite:state.db"), place.path("gateway.log"));
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    assert_eq!(gateway.fetch("GET /private/-/health", &[]).status, 200);
}

/// Files that another user owns: the error names the setting or the file, and the fix.
#[test]
fn files_of_another_owner_are_an_error_with_the_fix() {
    if !needs("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let place = Place::new();
    let open = || {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(place.path(""), mode).unwrap();
    };
    open();
    let serve = || {
        let mut command = Command::new("setpriv");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["--reuid", "12345", "--regid", "12345", "--clear-groups"]).arg(program().get_program());
        command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(place.path("")).stdin(Stdio::null());
        refusal(&command.output().unwrap())
    };
    let own = |path: &str| std::os::unix::fs::chown(place.path(path), Some(12_345), Some(12_345)).unwrap();
    let line = serve();
    assert!(line.contains("accounts.toml") && line.contains("Permission denied"), "{line}");
    own("accounts.toml");
    let line = serve();
    assert!(line.contains("state \"sqlite:state.db\"") && line.contains("this user can write to"), "{line}");
    std::fs::set_permissions(place.path("private"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .unwrap();
    let line = serve();
    assert!(line.contains("root \"private\"") && line.contains("give this user read access to it"), "{line}");
}

#[test]
fn a_missing_folder_is_an_error_with_the_command_that_makes_it() {
    let place = Place::new();
    place.write("private-media.toml", "root = \"uploads\"\n");
    let line = place.refusal(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(line.contains("private-media.toml: root = \"uploads\": no such folder"), "{line}");
    let command = line.split("create it with: ").nth(1).unwrap().split(',').next().unwrap();
    let made = Command::new("sh").args(["-c", command]).current_dir(place.path("")).status().unwrap();
    assert!(made.success(), "{line}");
    let gateway = Gateway::start(&place.path(""), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(gateway.fetch("GET /private/-/health", &[]).status, 200);
}

/// The page for operators names a test for each mistake, and each of these tests exists.
#[test]
fn the_page_for_operators_names_existing_tests() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/how-to/operate.md")).unwrap();
    let table = page.split("\n## Twelve mistakes").nth(1).unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() >= 12, "{rows:?}");
    for row in rows {
        let test = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for name in test.split(", ") {
            let (file, name) = name.trim_matches('`').split_once("::").unwrap_or_else(|| panic!("{row}"));
            let source = root.join("crates/private-media-gateway/tests/it").join(file);
            let source = std::fs::read_to_string(&source).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(source.contains(&format!("fn {name}(")), "{row}: no test {name} in {file}");
        }
    }
}
