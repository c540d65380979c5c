//! Several roots, each with the files below a folder.

use std::time::{Duration, Instant};

use crate::s3_server::{self, BUCKET, Server};
use crate::support::{Gateway, Place, program};

const GRANTS: &str = "
[[grant]]
path = \"{folder}/{owner}/{*file}\"
to = [\"owner\"]
";

/// Writes a configuration with `[[root]]` tables.
fn configure(place: &Place, roots: &[(&str, &str)], more: &str) {
    let table = |(path, location): &(&str, &str)| {
        let path = if path.is_empty() { String::new() } else { format!("path = {path:?}\n") };
        format!("[[root]]\n{path}location = {location:?}\n")
    };
    let roots: String = roots.iter().map(table).collect();
    place.write("private-media.toml", format!("{more}\n{roots}{GRANTS}"));
}

fn command(place: &Place, arguments: &[&str]) -> std::process::Command {
    let mut command = program();
    command.args(arguments).current_dir(place.path(""));
    let (key, secret) = s3_server::credentials();
    command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret);
    command
}

fn serve(place: &Place) -> Gateway {
    Gateway::spawn(command(place, &["serve", "--listen=127.0.0.1:0"]), place.path("gateway.log"))
}

/// Returns exit code and output of a command.
fn run(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(place, arguments).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn files_are_served_from_the_root_of_their_path() {
    let place = Place::new();
    for (file, text) in [
        ("private/archive/7/lost.jpg", "below a prefix in the wrong root"),
        ("archive/archive/7/old.jpg", "archived"),
        ("archive/cars/7/photo.jpg", "the wrong root"),
        ("oldest/archive/0/7/oldest.jpg", "oldest"),
    ] {
        place.write(file, text);
    }
    let roots = [("archive/", "archive"), ("", "private"), ("archive/0", "oldest")];
    // The folder of a state store would contain all of them.
    configure(&place, &roots, "state = \"memory\"");
    let gateway = serve(&place);
    for (path, body) in
        [("/private/cars/7/photo.jpg", "alice's photo"), ("/private/archive/7/old.jpg", "archived")]
    {
        let response = gateway.get(path, "alice");
        assert_eq!((response.status, &*response.body), (200, body.as_bytes()), "{path}");
        assert_eq!(gateway.get(path, "bob").status, 404, "{path}");
    }
    for path in ["/private/archive/7/lost.jpg", "/private/archive/0/7/none.jpg", "/private/archive"] {
        assert_eq!(gateway.get(path, "alice").status, 404, "{path}");
    }
    let (code, text) = run(&place, &["check", "alice", "archive/7/none.jpg"]);
    assert!(code == Some(0) && text.contains("no such file in archive ("), "{text}");
    let (code, text) = run(&place, &["config", "show"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("path = \"archive/0\"\nlocation = \"oldest\"\n"), "{text}");
    assert!(!text.contains("\nroot = "), "{text}");
    // What is shown has the same meaning.
    place.write("shown.toml", &text);
    let (_, again) = run(&place, &["config", "show", "--config=shown.toml"]);
    let without_origins = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(without_origins(&again), without_origins(&text));
    let (code, text) = run(&place, &["config", "systemd"]);
    let folder = place.path("oldest").display().to_string();
    assert!(code == Some(0) && text.contains(&folder), "{text}");
    let (_, text) = run(&place, &["doctor"]);
    assert!(text.contains("oldest"), "{text}");
    // A root that is not there is noticed, and the others are served.
    std::fs::rename(place.path("oldest"), place.path("unmounted")).unwrap();
    let begin = Instant::now();
    while gateway.get("/private/-/health", "nobody").status != 503 {
        assert!(begin.elapsed() < Duration::from_secs(30), "{}", gateway.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(gateway.get("/private/archive/7/old.jpg", "alice").status, 200);
    std::fs::rename(place.path("unmounted"), place.path("oldest")).unwrap();
    while gateway.get("/private/-/health", "nobody").status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(60), "{}", gateway.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_folder_and_a_bucket_are_one_site() {
    let Some(server) = Server::start() else { return };
    server.python(&format!(
        "
s3.put_object(Bucket={BUCKET:?}, Key='cold/archive/7/old.jpg', Body=b'archived')
s3.put_object(Bucket={BUCKET:?}, Key='cold/cars/7/photo.jpg', Body=b'the wrong root')
"
    ));
    let place = Place::new();
    let more = format!(
        "storage = {{ endpoint = \"http://127.0.0.1:{}\", allow_http = true }}\ncache = {{ path = \"cache\" }}",
        server.port
    );
    let location = format!("s3://{BUCKET}/cold");
    configure(&place, &[("", "private"), ("archive/", &location)], &more);
    let gateway = serve(&place);
    for _ in 0..2 {
        for (path, body) in
            [("/private/archive/7/old.jpg", "archived"), ("/private/cars/7/photo.jpg", "alice's photo")]
        {
            let response = gateway.get(path, "alice");
            assert_eq!((response.status, &*response.body), (200, body.as_bytes()), "{path}");
            assert_eq!(gateway.get(path, "bob").status, 404, "{path}");
        }
    }
    assert!(place.path("cache").is_dir(), "the bucket is cached");
    let (_, text) = run(&place, &["doctor"]);
    assert!(text.contains(&format!("{location} can be read")), "{text}");
    // Files keep their paths when they move to another root.
    place.write("private/archive/7/later.jpg", "later");
    let arguments = ["relocate", "private", "--to", &location, "--match", "archive/**"];
    let (code, text) = run(&place, &arguments);
    assert_eq!((code, text.lines().last()), (Some(0), Some("moved 1 files, 5 B")), "{text}");
    assert_eq!(&*gateway.get("/private/archive/7/later.jpg", "alice").body, b"later");
    // The bucket sends its own files, and the gateway those of the folder.
    let redirecting = Gateway::spawn(
        command(&place, &["serve", "--listen=127.0.0.1:0", "--mode=redirect", "--cache-path="]),
        place.path("redirecting.log"),
    );
    let response = redirecting.get("/private/archive/7/old.jpg", "alice");
    let location = response.header("location").unwrap_or_default();
    assert!(response.status == 307 && location.contains("/cold/archive/7/old.jpg?"), "{}", response.head);
    assert_eq!(redirecting.get("/private/cars/7/photo.jpg", "alice").status, 200);
}

/// The test files of the doctor are in the root without a path, and leave nothing in another.
#[test]
fn the_doctor_leaves_no_file() {
    let place = Place::new();
    place.write("archive/archive/7/old.jpg", "archived");
    place.write(
        "private-media.toml",
        "
[[root]]
location = \"private\"
[[root]]
path = \"archive/\"
location = \"archive\"
[[grant]]
path = \"archive/{owner}/{*file}\"
to = [\"owner\"]
",
    );
    let gateway = serve(&place);
    let names = || {
        let output = std::process::Command::new("find").arg(place.path("")).output().unwrap();
        let mut names: Vec<_> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        names.retain(|name| !name.contains("state.db"));
        names.sort();
        names
    };
    let before = names();
    let (_, text) = run(&place, &["doctor", &format!("--listen={}", gateway.address)]);
    assert!(text.contains("no account"), "{text}");
    assert_eq!(names(), before, "{text}");
    assert_eq!(gateway.get("/private/archive/7/old.jpg", "alice").status, 200);
}

#[test]
fn a_reload_changes_the_roots() {
    let place = Place::new();
    place.write("archive/archive/7/old.jpg", "archived");
    configure(&place, &[("", "private")], "");
    let gateway = serve(&place);
    assert_eq!(gateway.get("/private/archive/7/old.jpg", "alice").status, 404);
    let reload = |line: &str| {
        let count = || gateway.log().matches(line).count();
        let (before, begin) = (count(), Instant::now());
        gateway.signal(rustix::process::Signal::HUP);
        while count() == before {
            assert!(begin.elapsed() < Duration::from_secs(20), "{line}: {}", gateway.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    configure(&place, &[("", "private"), ("archive/", "archive")], "");
    reload("the configuration was reloaded");
    assert_eq!(gateway.get("/private/archive/7/old.jpg", "alice").status, 200);
    // A mistake keeps what is there.
    configure(&place, &[("", "private"), ("archive/", "private")], "");
    reload("files would have two paths");
    assert_eq!(gateway.get("/private/archive/7/old.jpg", "alice").status, 200);
}

#[test]
fn mistakes_are_errors_at_start() {
    let place = Place::new();
    for folder in ["archive", "private/inside", "public/archive"] {
        std::fs::create_dir_all(place.path(folder)).unwrap();
    }
    let main = ("", "private");
    for (roots, more, expected) in [
        (&[("archive/", "archive")][..], "", "one [[root]] table without path"),
        (&[main, ("", "archive")], "", "only one [[root]] table without path"),
        (&[main, ("archive/", "archive"), ("archive", "public")], "", "another table has the path"),
        (&[main, ("/archive/", "archive")], "", "path \"/archive/\""),
        (&[main, ("../archive", "archive")], "", "path \"../archive\""),
        (&[main, ("archive/", "none")], "", "\"none\": no such folder"),
        (&[main, ("archive/", "private")], "", "files would have two paths"),
        (&[main, ("archive/", "private/inside")], "", "it is inside the root \"private\""),
        (&[main, ("archive/", "")], "", "a text for location"),
        (&[main, ("archive/", ".")], "", "is inside"),
        (&[main, ("archive/", "public/archive")], "public = [\"public\"]", "inside the public folder"),
        (&[main, ("archive/", "archive")], "delivery = { mode = \"nginx\" }", "files of one root"),
        (&[main, ("archive/", "archive")], "delivery = { mode = \"redirect\" }", "the root is a folder"),
        (&[main, ("archive/", "archive")], "cache = { path = \"cache\" }", "the root is a folder"),
        (&[("", "s3://b/x"), ("archive/", "s3://b/x/y")], "", "files would have two paths"),
    ] {
        configure(&place, roots, more);
        let error = place.refusal(&["serve", "--listen=127.0.0.1:0"]);
        assert!(error.contains(expected), "{roots:?} {more}: {error}");
    }
    configure(&place, &[main, ("archive/", "archive")], "");
    let error = place.refusal(&["relocate", "public"]);
    assert!(error.contains("there are several roots; name one with --to"), "{error}");
    // A flag names the only root.
    let (code, text) = run(&place, &["config", "show", "--root=archive"]);
    assert!(code == Some(0) && text.contains("root = \"archive\"  # --root\n"), "{text}");
}
