//! The root is renamed, unmounted or replaced while the gateway runs.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::support::{Gateway, Place, Response, needs, program};

const PHOTO: &str = "/private/cars/7/photo.jpg";

fn health(gateway: &Gateway) -> u16 {
    gateway.get("/private/-/health", "nobody").status
}

/// Waits for a condition that a check of the root causes. Checks are up to ten seconds apart.
fn wait(gateway: &Gateway, what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}: {}", gateway.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts a gateway, and requests the photo, so that it is in the cache.
fn serve(place: &Place, arguments: &[&str]) -> Gateway {
    let gateway = place.serve(arguments);
    assert_eq!(gateway.get(PHOTO, "alice").status, 200);
    gateway
}

fn rename(place: &Place, from: &str, to: &str) {
    std::fs::rename(place.path(from), place.path(to)).unwrap();
}

/// Checks that the photo is not served, and that other users get the usual denial.
fn assert_not_served(gateway: &Gateway, stranger: &Response) {
    for path in [PHOTO, "/private/cars/7/large.bin", "/private/cars/7/none.jpg"] {
        let response = gateway.get(path, "alice");
        assert_eq!((response.status, &*response.body), (500, &b"the file cannot be read\n"[..]), "{path}");
        for user in ["bob", "nobody"] {
            assert_eq!(gateway.get(path, user).normalized(), stranger.normalized(), "{path} as {user}");
        }
    }
}

#[test]
fn a_moved_root_is_not_served_until_it_is_back() {
    // If files are cached for an hour, checks are ten seconds apart.
    for arguments in
        [&["--revalidate-after", "0s"][..], &[], &["--revalidate-after", "1h"], &["--mode", "nginx"]]
    {
        let place = Place::new();
        place.write("private/cars/7/large.bin", vec![b'x'; 1 << 20]);
        let gateway = serve(&place, arguments);
        assert_eq!(gateway.get("/private/cars/7/large.bin", "alice").status, 200);
        let stranger = gateway.get(PHOTO, "bob");
        rename(&place, "private", "moved");
        wait(&gateway, "not ready", || health(&gateway) == 503);
        assert_not_served(&gateway, &stranger);
        rename(&place, "moved", "private");
        wait(&gateway, "ready", || health(&gateway) == 200);
        assert_eq!(gateway.get(PHOTO, "alice").status, 200);
        // Lines are written later than responses are sent, but in order.
        assert!(gateway.logs("recovered"), "{}", gateway.log());
        let log = gateway.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("not ready")).collect();
        assert!(lines.len() == 1 && lines[0].contains("private does not exist"), "{arguments:?}: {lines:?}");
        assert!(lines[0].contains("\"root\""), "{lines:?}");
        assert!(!log.contains("replaced"), "the same root: {log}");
    }
}

type Change = fn(&Place);

#[test]
fn a_replaced_root_is_served() {
    let changes: [(&str, Change); 4] = [
        ("a folder", |place| rename(place, "new", "private")),
        ("a link", |place| symlink("new", place.path("private")).unwrap()),
        ("a link by its whole path", |place| symlink(place.path("new"), place.path("private")).unwrap()),
        ("a folder, later", |place| {
            std::thread::sleep(Duration::from_secs(3));
            rename(place, "new", "private");
        }),
    ];
    for (what, change) in changes {
        for arguments in [&[][..], &["--revalidate-after", "0s"], &["--mode", "apache"]] {
            let place = Place::new();
            place.write("private/cars/7/old.jpg", "in the old root only");
            place.write("new/cars/7/photo.jpg", "the new photo");
            let gateway = serve(&place, arguments);
            assert_eq!(gateway.get("/private/cars/7/old.jpg", "alice").status, 200);
            rename(&place, "private", "moved");
            change(&place);
            let is_new = || {
                let response = gateway.get(PHOTO, "alice");
                // The front server gets a path, and opens the file itself.
                let by_path = || arguments == ["--mode", "apache"] && response.header("x-sendfile").is_some();
                response.body == b"the new photo" || by_path()
            };
            wait(&gateway, what, is_new);
            // The old root is no longer served.
            for _ in 0..50 {
                assert!(is_new(), "{what} {arguments:?}");
                assert_eq!(
                    gateway.get("/private/cars/7/old.jpg", "alice").status,
                    404,
                    "{what} {arguments:?}"
                );
            }
            wait(&gateway, "ready", || health(&gateway) == 200);
            assert!(gateway.logs("the root was replaced"), "{what}: {}", gateway.log());
            assert_eq!(
                gateway.log().matches("the root was replaced").count(),
                1,
                "{what}: {}",
                gateway.log()
            );
        }
    }
}

#[test]
fn a_root_that_is_not_a_folder_is_not_ready() {
    let changes: [(&str, Change, &str); 4] = [
        ("a file", |place| place.write("private", "x"), "is not a folder"),
        (
            "a link to a file",
            |place| symlink("accounts.toml", place.path("private")).unwrap(),
            "is not a folder",
        ),
        ("a link to nothing", |place| symlink("none", place.path("private")).unwrap(), "does not exist"),
        (
            "a FIFO",
            |place| {
                let mode = rustix::fs::Mode::RWXU;
                rustix::fs::mkfifoat(CWD, place.path("private"), mode).unwrap();
            },
            "is not a folder",
        ),
    ];
    for (what, change, reason) in changes {
        let place = Place::new();
        let gateway = serve(&place, &[]);
        let stranger = gateway.get(PHOTO, "bob");
        rename(&place, "private", "moved");
        change(&place);
        wait(&gateway, what, || health(&gateway) == 503);
        wait(&gateway, what, || gateway.log().contains(reason));
        assert_not_served(&gateway, &stranger);
        std::fs::remove_file(place.path("private")).unwrap();
        rename(&place, "moved", "private");
        wait(&gateway, what, || gateway.get(PHOTO, "alice").status == 200);
    }
}

/// A running gateway rejects the same roots as a start.
#[test]
fn an_invalid_replacement_of_the_root_is_not_served() {
    let changes: [(&str, Change, &str); 2] = [
        (
            "a folder that contains the accounts",
            |place| symlink(place.path(""), place.path("private")).unwrap(),
            "is inside the root",
        ),
        (
            "a folder below a public one",
            |place| symlink("public/private", place.path("private")).unwrap(),
            "the root is inside the public folder",
        ),
    ];
    for (what, change, reason) in changes {
        let place = Place::new();
        place.write("public/private/cars/7/photo.jpg", "public");
        place.write("cars/7/photo.jpg", "beside the accounts");
        let gateway = serve(&place, &["--grant", "{*file}=staff", "--public", "public"]);
        rename(&place, "private", "moved");
        change(&place);
        wait(&gateway, what, || gateway.log().contains(reason));
        wait(&gateway, what, || health(&gateway) == 503);
        for path in ["accounts.toml", "cars/7/photo.jpg"] {
            let response = gateway.get(&format!("/private/{path}"), "carol");
            assert_eq!(response.status, 500, "{what}: {path}");
        }
    }
}

/// A front server opens files by path. While the path leads to another root than the open one, it gets no path.
#[test]
fn a_front_server_gets_no_path_of_another_root() {
    for server in ["nginx", "apache"] {
        let place = Place::new();
        place.write("other/cars/7/photo.jpg", "that of another root");
        let gateway = place.serve(&["--mode", server, "--revalidate-after", "1h"]);
        let handed_off = |response: &Response| {
            response.header("x-accel-redirect").or(response.header("x-sendfile")).map(str::to_owned)
        };
        assert!(handed_off(&gateway.get(PHOTO, "alice")).is_some());
        // In one step, so that no check finds no root.
        let (root, other) = (place.path("private"), place.path("other"));
        renameat_with(CWD, &root, CWD, &other, RenameFlags::EXCHANGE).unwrap();
        // Until a check detects the change, the gateway itself sends the open file.
        let response = gateway.get(PHOTO, "alice");
        let is_sent = handed_off(&response).is_none() && response.body == b"alice's photo";
        assert!(is_sent || gateway.logs("the root was replaced"), "{response:?}");
        wait(&gateway, server, || gateway.log().contains("the root was replaced"));
        assert!(handed_off(&gateway.get(PHOTO, "alice")).is_some());
    }
}

/// A gateway in a separate mount namespace, with a separate file system as its root.
struct Mounted {
    place: Place,
    gateway: Gateway,
}

impl Mounted {
    fn start() -> Self {
        let place = Place::new();
        let mount = "mount -t tmpfs -o mode=750 none private; mkdir -p private/cars/7; \
                     echo mounted > private/cars/7/photo.jpg; exec \"$@\"";
        let serve = ["serve", "--listen", "127.0.0.1:0", "--grant", crate::support::GRANT];
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-euc", mount, "sh"]).arg(program().get_program()).args(serve);
        command.current_dir(place.path(""));
        let gateway = Gateway::spawn(command, place.path("gateway.log"));
        Self { place, gateway }
    }

    /// Runs a script in the gateway's namespace.
    fn run(&self, script: &str) {
        let id = self.gateway.child.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &id, "--mount", "sh", "-euc"]);
        // The namespace decides what the path of the folder leads to.
        command.arg(format!("cd '{}'; {script}", self.place.path("").display()));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn body(&self) -> (u16, Vec<u8>) {
        let response = self.gateway.get(PHOTO, "alice");
        (response.status, response.body)
    }
}

#[test]
fn an_unmounted_root_is_served_again_after_a_remount() {
    if !needs("root, who may mount", rustix::process::geteuid().is_root()) {
        return;
    }
    let mounted = Mounted::start();
    let gateway = &mounted.gateway;
    assert_eq!(mounted.body(), (200, b"mounted\n".to_vec()));
    // The mount point's folder has a photo, too.
    assert!(mounted.place.path("private/cars/7/photo.jpg").exists());
    mounted.run("umount --lazy private");
    wait(gateway, "unmounted", || health(gateway) == 503);
    wait(gateway, "why", || gateway.log().contains("is now the mount point of an unmounted file system"));
    assert_eq!(mounted.body().0, 500);
    let output = doctor(&mounted);
    assert!(output.contains("problem  gateway: ") && output.contains("is not ready"), "{output}");
    let again = "mount -t tmpfs -o mode=750 none private; mkdir -p private/cars/7; echo again > private/cars/7/photo.jpg";
    mounted.run(again);
    wait(gateway, "mounted again", || mounted.body() == (200, b"again\n".to_vec()));
    wait(gateway, "ready", || health(gateway) == 200);
    // The gateway has no open handle on the unmounted file system.
    let id = gateway.child.id();
    let handles = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().flatten();
    let roots = handles.filter_map(|handle| {
        let path =
            std::fs::metadata(handle.path()).ok()?.is_dir().then(|| std::fs::read_link(handle.path()))?;
        path.ok().filter(|path| path != Path::new("/"))
    });
    assert_eq!(roots.count(), 1);
}

fn doctor(mounted: &Mounted) -> String {
    let (place, gateway) = (&mounted.place, &mounted.gateway);
    let (listen, url) = (gateway.address.to_string(), format!("http://{}", gateway.address));
    let output = place.run(&["doctor", "--grant", crate::support::GRANT, "--listen", &listen, "--url", &url]);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stdout).unwrap()
}

/// The same for an application that runs the gateway as a library.
#[test]
fn an_embedded_gateway_checks_its_root() {
    let example = std::env::current_exe().unwrap().with_file_name("../examples/beside");
    if !needs("the example beside", example.exists()) {
        return;
    }
    let place = Place::new();
    let mut command = Command::new(example);
    command.args(["127.0.0.1:0", "private"]).current_dir(place.path(""));
    let gateway = Gateway::spawn(command, place.path("example.log"));
    let photo = || gateway.fetch(&format!("GET {PHOTO}"), &[("cookie", "user=7")]).status;
    assert_eq!((health(&gateway), photo()), (200, 200));
    rename(&place, "private", "moved");
    wait(&gateway, "not ready", || health(&gateway) == 503);
    assert_eq!(photo(), 500);
    rename(&place, "moved", "private");
    wait(&gateway, "ready", || health(&gateway) == 200);
    assert_eq!(photo(), 200);
}
