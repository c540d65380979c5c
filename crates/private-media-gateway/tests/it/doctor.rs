//! The doctor finds each problem, reports no others, and leaves no files behind.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{GRANT, Gateway, Place, credentials, needs, program, refusal};

/// Returns a root with correct permissions.
fn place() -> Place {
    let place = Place::new();
    mode(&place, "private", 0o750);
    std::fs::create_dir(place.path("media")).unwrap();
    place
}

fn mode(place: &Place, name: &str, mode: u32) {
    std::fs::set_permissions(place.path(name), PermissionsExt::from_mode(mode)).unwrap();
}

/// Runs the doctor, and returns the exit code and the lines. The check of the free space is omitted, because it depends on this machine.
fn doctor(place: &Place, arguments: &[&str]) -> (Option<i32>, Vec<String>) {
    let output = place.run(&[&["doctor", "--grant", GRANT], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|line| !line.contains(" space: ")).map(str::to_owned).collect();
    (output.status.code(), lines)
}

/// Runs the doctor for this front server and gateway, and returns its problems, each with the line of its fix.
fn problems(place: &Place, gateway: &Gateway, front: SocketAddr) -> Vec<String> {
    let listen = gateway.address.to_string();
    let url = format!("http://{front}");
    let (code, lines) = doctor(place, &["--listen", &listen, "--url", &url]);
    let problems: Vec<_> =
        lines.iter().filter(|line| line.starts_with("problem") || line.starts_with("fix")).cloned().collect();
    assert_eq!(code, Some(i32::from(!problems.is_empty())), "{lines:#?}");
    assert_eq!(files(place), ["private/cars/7/photo.jpg"], "the test files are removed");
    problems
}

/// Returns all files below the root.
fn files(place: &Place) -> Vec<String> {
    let output = std::process::Command::new("find")
        .args([
            "private",
            "-mindepth",
            "1",
            "-not",
            "-path",
            "private/cars",
            "-not",
            "-path",
            "private/cars/7",
        ])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_correct_deployment_has_no_problem() {
    let place = place();
    let gateway = place.serve(&[]);
    let (listen, url) = (gateway.address.to_string(), format!("http://{}/private/", gateway.address));
    let (code, lines) = doctor(&place, &["--listen", &listen, "--url", &url, "--public", "media"]);
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with("ok       ")), "{lines:#?}");
    let text = lines.join("\n");
    for check in [
        "root",
        "links",
        "web-root",
        "public-folders",
        "accounts",
        "config-file",
        "debug",
        "clock",
        "gateway",
    ] {
        assert!(text.contains(&format!(" {check}: ")), "{check}: {text}");
    }
    for check in [
        "front",
        "front-clock",
        "cache",
        "denied",
        "denied-user",
        "read",
        "encoding",
        "headers",
        "headers-404",
        "protocol",
        "spelling",
        "exposed",
        "own-files",
        "listing",
        "spoofed-headers",
        "hand-off",
    ] {
        assert!(text.contains(&format!(" {check}: ")), "{check}: {text}");
    }
    assert_eq!(files(&place), ["private/cars/7/photo.jpg"]);
}

#[test]
fn without_a_url_nothing_is_checked_from_outside() {
    let place = place();
    let gateway = place.serve(&[]);
    let listen = gateway.address.to_string();
    let (code, lines) = doctor(&place, &["--listen", &listen]);
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("note     outside: nothing was checked from outside")));
    assert!(lines.iter().any(|line| line.starts_with("ok       read: ")), "the gateway itself was checked");
    let (_, lines) = doctor(&place, &["--listen", &listen, "--mode", "nginx"]);
    assert!(lines.iter().any(|line| line.starts_with("ok       gateway: ")), "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains(" read: ")), "{lines:#?}");
}

#[test]
fn mistakes_on_this_machine_are_found() {
    type Mistake = fn(&Place);
    let nothing: Mistake = |_| ();
    for (make, arguments, problem, fix) in [
        (
            (|place| mode(place, "private", 0o755)) as Mistake,
            &[][..],
            "root: private has mode 0755",
            "chmod o-rwx private",
        ),
        (|place| mode(place, "private", 0o773), &[], "root: private has mode 0773", "chmod o-rwx private"),
        (nothing, &["--root", "none"], "root: none: no such folder", "mkdir -p -m 2750 none"),
        (nothing, &["--root", "accounts.toml"], "root: accounts.toml: not a folder", "--root"),
        (nothing, &["--debug"], "debug: debug is on", "debug = false"),
        (
            |place| mode(place, "accounts.toml", 0o644),
            &[],
            "accounts: accounts.toml has mode 644",
            "chmod 600 accounts.toml",
        ),
        (nothing, &["--accounts", "none.toml"], "accounts: none.toml: no such file", "account add"),
        (
            |place| drop(std::fs::rename(place.path("accounts.toml"), place.path("media/accounts.toml"))),
            &["--public", "media", "--accounts", "media/accounts.toml"],
            "accounts: the accounts file media/accounts.toml is in media",
            "move it, for example to",
        ),
        (
            |place| drop(std::fs::rename(place.path("accounts.toml"), place.path("private/accounts.toml"))),
            &["--accounts", "private/accounts.toml"],
            "accounts: the accounts file private/accounts.toml is in private",
            "move it, for example to",
        ),
        (
            |place| place.write("private/it.toml", ""),
            &["--config", "private/it.toml"],
            "config-file: the configuration private/it.toml is in private",
            "move it, for example to",
        ),
        (
            |place| drop(std::fs::create_dir(place.path("media/private"))),
            &["--public", "media", "--root", "media/private"],
            "public-folders: the root media/private is in media",
            "move the root, and set root",
        ),
        (
            |place| drop(std::fs::create_dir(place.path("private/media"))),
            &["--public", "private/media"],
            "public-folders: private/media is in the private root",
            "move it, and set public",
        ),
        (nothing, &["--public", "none"], "public-folders: none: no such folder", "--public"),
        (
            |place| drop(std::fs::create_dir_all(place.path("public_html/private"))),
            &["--root", "public_html/private"],
            "web-root: the root public_html/private is in ",
            "move it, for example to",
        ),
        (
            |place| {
                let text = std::fs::read_to_string(place.path("accounts.toml")).unwrap();
                let lines = text.lines().filter(|line| !line.starts_with("secret"));
                place.write("accounts.toml", lines.collect::<Vec<_>>().join("\n"));
            },
            &[],
            "accounts: accounts.toml has no session secret",
            "account add",
        ),
    ] {
        let place = place();
        make(&place);
        let (code, lines) = doctor(&place, &[&["--listen", "127.0.0.1:1"], arguments].concat());
        let at = lines.iter().position(|line| line.starts_with(&format!("problem  {problem}")));
        let found = at
            .and_then(|at| lines.get(at + 1))
            .is_some_and(|line| line.starts_with("fix") && line.contains(fix));
        assert!(code == Some(1) && found, "{problem}: {lines:#?}");
        assert!(!files(&place).iter().any(|file| file.contains("doctor")));
    }
}

#[test]
fn links_are_listed() {
    use std::os::unix::fs::symlink;

    let place = place();
    place.write("private/cars/8/secret.jpg", "bob's");
    for n in 10..22 {
        symlink("../8/secret.jpg", place.path(&format!("private/cars/7/{n}.jpg"))).unwrap();
    }
    symlink("/etc/passwd", place.path("private/cars/7/out.jpg")).unwrap();
    std::fs::hard_link(place.path("private/cars/8/secret.jpg"), place.path("private/cars/9.jpg")).unwrap();
    for (argument, expected) in [
        (
            "--follow-links=false",
            [
                "13 symbolic links below the root, which the gateway does not follow: cars/7/10.jpg, cars/7/11.jpg,",
                "cars/7/19.jpg, and 3 more",
                "storage.follow_links = true",
            ],
        ),
        (
            "--follow-links",
            [
                "storage.follow_links is on, and 13 symbolic links below the root",
                "cars/7/10.jpg -> ../8/secret.jpg, cars/7/11.jpg -> ../8/secret.jpg,",
                "storage.follow_links = false",
            ],
        ),
    ] {
        let arguments = ["doctor", "--json", "--grant", GRANT, "--listen", "127.0.0.1:1", argument];
        let output = place.run(&arguments);
        let lines: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
        let lines: Vec<_> = lines.iter().filter(|line| line["check"] == "links").collect();
        assert!(lines.len() == 2 && lines.iter().all(|line| line["status"] == "warning"), "{lines:?}");
        let [symbolic, hard] =
            [lines[0], lines[1]].map(|line| format!("{} {}", line["message"], line["fix"]));
        assert!(expected.iter().all(|part| symbolic.contains(part)), "{argument}: {symbolic}");
        assert!(hard.contains(
            "2 files below the root with more than one name (hard links): cars/8/secret.jpg, cars/9.jpg"
        ));
        assert!(hard.contains("-samefile private/cars/8/secret.jpg"), "{hard}");
    }
    // Warnings do not fail it.
    for name in ["cars/8/secret.jpg", "cars/9.jpg"] {
        std::fs::remove_file(place.path(&format!("private/{name}"))).unwrap();
    }
    let gateway = place.serve(&[]);
    let (code, lines) = doctor(&place, &["--listen", &gateway.address.to_string()]);
    assert!(code == Some(0) && lines.iter().any(|line| line.starts_with("warning  links: 13")), "{lines:#?}");
}

#[test]
fn json_output_is_one_array() {
    let place = place();
    let gateway = place.serve(&["--debug"]);
    let (listen, url) = (gateway.address.to_string(), format!("http://{}", gateway.address));
    let output =
        place.run(&["doctor", "--json", "--debug", "--grant", GRANT, "--listen", &listen, "--url", &url]);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    for line in &lines {
        let object = line.as_object().unwrap();
        let keys: Vec<_> = object.keys().map(String::as_str).collect();
        assert_eq!(keys, ["check", "fix", "message", "status"], "{line}");
        assert!(["ok", "problem", "warning", "note"].contains(&line["status"].as_str().unwrap()), "{line}");
        let has_fix = line["status"] == "problem" || line["status"] == "warning";
        assert_eq!(line["fix"].is_string(), has_fix, "{line}");
    }
    let problems: Vec<_> =
        lines.iter().filter(|line| line["status"] == "problem").map(|line| &line["check"]).collect();
    assert_eq!(problems.iter().filter(|check| **check == "debug").count(), 1, "{lines:#?}");
    assert!(problems.iter().any(|check| *check == "denied"), "{lines:#?}");
}

/// Returns a server that accepts connections and never responds.
fn silence() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn an_interrupted_or_killed_doctor_leaves_no_files() {
    for (signal, leaves) in [(Signal::TERM, false), (Signal::INT, false), (Signal::KILL, true)] {
        let place = place();
        std::fs::remove_dir_all(place.path("private/cars")).unwrap();
        let silence = silence();
        let url = format!("http://{}", silence.local_addr().unwrap());
        let mut command = program();
        command.args(["doctor", "--grant", GRANT, "--listen", "127.0.0.1:1", "--url", &url]);
        command.current_dir(place.path("")).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The doctor sent a request, so its files exist.
        let _connection = silence.accept().unwrap();
        assert!(files(&place).len() > 5);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), if leaves { None } else { Some(130) });
        assert_eq!(files(&place).is_empty(), !leaves, "{:?}", files(&place));
        assert_eq!(place.path("private/cars").exists(), leaves, "folders that it made are removed, too");
        if leaves {
            doctor(&place, &["--listen", "127.0.0.1:1"]);
            assert_eq!(files(&place), [""; 0], "the next doctor removes them");
            assert!(!place.path("private/cars").exists());
        }
    }
}

#[test]
fn invalid_urls_are_errors() {
    let place = place();
    for (arguments, parts) in [
        (
            &["--url", "http://example.org/other/"][..],
            &["--url \"http://example.org/other/\"", "/private/"][..],
        ),
        (&["--url", "www.example.org"], &["--url \"www.example.org\"", "write scheme and host"]),
        (&["--url", "ftp://example.org"], &["--url \"ftp://example.org\"", "write scheme and host"]),
        (&["--url", "/private/"], &["--url \"/private/\"", "write scheme and host"]),
        (&["--private-url", "private"], &["\"private\" for --private-url", "slash on both sides"]),
        (&["--private-url", "/p/", "--url", "http://example.org/private/"], &["/p/", "--private-url"]),
        (&["--listen", "nowhere"], &["\"nowhere\" for --listen"]),
    ] {
        let line = place.refusal(&[&["doctor"], arguments].concat());
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    let mut command = program();
    command.arg("doctor").current_dir(place.path("")).env("PRIVATE_MEDIA_URL", "nonsense");
    let line = refusal(&command.output().unwrap());
    assert!(line.contains("invalid value \"nonsense\" for PRIVATE_MEDIA_URL"), "{line}");
}

#[test]
fn a_front_server_that_does_not_run_is_a_problem() {
    let place = place();
    let gateway = place.serve(&[]);
    let gone = silence().local_addr().unwrap();
    let problems = problems(&place, &gateway, gone);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems[0].contains("front: ") && problems[0].contains("does not respond"), "{problems:#?}");
}

/// Starts a front server that changes requests to the gateway, or its responses.
fn front(
    gateway: &Gateway,
    change: impl Fn(&str, &dyn Fn(&str) -> Vec<u8>) -> Vec<u8> + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, gateway) = (listener.local_addr().unwrap(), gateway.address);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            let fetch = |head: &str| {
                let mut stream = TcpStream::connect(gateway).unwrap();
                stream.write_all(head.as_bytes()).unwrap();
                let mut response = Vec::new();
                stream.read_to_end(&mut response).unwrap();
                response
            };
            let response = change(&String::from_utf8(head).unwrap(), &fetch);
            let _ = stream.write_all(&response);
        }
    });
    address
}

/// Removes lines by their beginning.
fn without(text: &str, name: &str) -> String {
    let lines = text.split_inclusive('\n').filter(|line| !line.to_ascii_lowercase().starts_with(name));
    lines.collect()
}

/// Turns each byte into a character; `bytes` is the inverse.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// Each mistake, with a part of each problem and fix that the doctor prints.
#[test]
fn misconfigured_front_servers_are_found() {
    type Change = fn(&str, &dyn Fn(&str) -> Vec<u8>) -> Vec<u8>;
    let changes: [(&str, Change, &[&str]); 9] = [
        ("nothing", |head, fetch| fetch(head), &[]),
        ("no cookie", |head, fetch| fetch(&without(head, "cookie:")), &["read: ", "Cookie"]),
        (
            "no nosniff",
            |head, fetch| bytes(&without(&text(&fetch(head)), "x-content-type-options:")),
            &["headers: X-Content-Type-Options", "let X-Content-Type-Options pass", "headers-404", "let X-"],
        ),
        ("slashes", |head, fetch| fetch(&head.replace("7//", "7/")), &["spelling: ", "path unchanged"]),
        (
            "all to https",
            |_, _| {
                b"HTTP/1.1 301 Moved\r\nlocation: https://example.org/x\r\ncontent-length: 0\r\n\r\n".to_vec()
            },
            &["front: ", "if that site is yours"],
        ),
        (
            "all to https of its own",
            |_, _| {
                b"HTTP/1.1 301 Moved\r\nlocation: https://127.0.0.1/x\r\ncontent-length: 0\r\n\r\n".to_vec()
            },
            &["front: ", "--url https://127.0.0.1"],
        ),
        (
            "other bytes",
            |head, fetch| bytes(&text(&fetch(head)).replace("doctor: ", "nurse:  ")),
            &["read: ", "change nothing"],
        ),
        (
            "a hand-off",
            |head, fetch| bytes(&text(&fetch(head)).replacen("\r\n", "\r\nx-sendfile: /srv/x\r\n", 1)),
            &["hand-off: clients get the path", "direct"],
        ),
        (
            "a forged user header",
            |head, fetch| {
                let (name, value) = credentials("alice")[0];
                fetch(&head.replace("x-forwarded-user: alice", &format!("{name}: {value}")))
            },
            &["spoofed-headers: ", "remove x-forwarded-user"],
        ),
    ];
    for (name, change, expected) in changes {
        let place = place();
        let gateway = place.serve(&[]);
        let problems = problems(&place, &gateway, front(&gateway, change));
        assert_eq!(problems.len(), expected.len(), "{name}: {problems:#?}");
        for (line, part) in problems.iter().zip(expected) {
            assert!(line.contains(part), "{name}, {part}: {problems:#?}");
        }
    }
}

/// A shared cache whose key is only the URL gives a client without permission the file.
#[test]
fn a_shared_cache_is_found() {
    let place = place();
    let gateway = place.serve(&[]);
    let copies = Arc::new(Mutex::new(std::collections::HashMap::<String, Vec<u8>>::new()));
    let cache = front(&gateway, move |head, fetch| {
        let line = head.lines().next().unwrap().to_owned();
        if let Some(copy) = copies.lock().unwrap().get(&line) {
            return copy.clone();
        }
        let response = fetch(head);
        if response.starts_with(b"HTTP/1.1 200") {
            copies.lock().unwrap().insert(line, response.clone());
        }
        response
    });
    let problems = problems(&place, &gateway, cache);
    assert!(problems[0].starts_with("problem  cache: "), "{problems:#?}");
    assert!(problems[0].contains("a client that is not signed in the copy"), "{problems:#?}");
}

/// The front server also serves the folder above the root.
#[test]
fn a_root_below_a_public_folder_is_found() {
    let place = place();
    let gateway = place.serve(&[]);
    let above = place.path("");
    let public = format!("/{}/", above.file_name().unwrap().to_str().unwrap());
    let prefix = public.clone();
    let leaky = front(&gateway, move |head, fetch| {
        let path = head.split(' ').nth(1).unwrap();
        let file = path.strip_prefix(&*prefix).and_then(|file| std::fs::read(above.join(file)).ok());
        match file {
            Some(content) => [b"HTTP/1.1 200 OK\r\n\r\n", content.as_slice()].concat(),
            None => fetch(head),
        }
    });
    let problems = problems(&place, &gateway, leaky);
    assert_eq!(problems.len(), 4, "{problems:#?}");
    assert!(problems[0].starts_with(&format!("problem  exposed: {public}private/cars/7/")), "{problems:#?}");
    assert!(problems[1].contains("move the root"), "{problems:#?}");
    assert!(problems[2].starts_with(&format!("problem  own-files: {public}accounts.toml")), "{problems:#?}");
    assert!(problems[3].contains("secret"), "{problems:#?}");
}

/// A full or read-only file system is reported, and no file is left in it.
#[test]
fn a_full_or_read_only_root_is_a_problem() {
    if !needs("root, who may mount", rustix::process::geteuid().is_root()) {
        return;
    }
    for (make, problem, fix) in [
        ("head -c 70000 /dev/zero > private/fill || true", "No space left on device", "free some space"),
        ("mount -o remount,ro private", "Read-only file system", "mount its file system"),
    ] {
        let place = place();
        let gateway = place.serve(&[]);
        let script = format!(
            "mount -t tmpfs -o size=64k,mode=750 none private; {make}
            {} doctor --grant '{GRANT}' --url http://{1} --listen {1} || true; find private -name '*doctor*'",
            env!("CARGO_BIN_EXE_private-media"),
            gateway.address
        );
        let mut command = std::process::Command::new("unshare");
        let output =
            command.args(["--mount", "sh", "-euc", &script]).current_dir(place.path("")).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let at = lines.iter().position(|line| line.starts_with("problem  root: ") && line.contains(problem));
        assert!(at.is_some_and(|at| lines[at + 1].contains(fix)), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("private/")), "{text}");
    }
}

/// Journals that another user puts into the root, for a doctor that runs as root.
#[test]
fn planted_journals_are_ignored() {
    use std::os::unix::fs::{chown, symlink};

    if !needs("root, who may give files away", rustix::process::geteuid().is_root()) {
        return;
    }
    let place = place();
    let journal = |n: u32| place.path(&format!("private/.private-media-doctor-{n:016x}"));
    let canary = "cars/7/private-media-doctor-0000000000000001.jpg";
    let content = "private-media doctor: 0123456789abcdef0123456789abcdef .jpg\n";
    let empty = place.path("private/cars/8");
    std::fs::create_dir(&empty).unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(&empty).unwrap());
    let lines =
        format!("file {canary}\nfile cars/7/photo.jpg\ncars/7/photo.jpg\ncars/8\nfolder {inode} cars/8\n");
    place.write(&format!("private/{canary}"), content);
    // A journal of another user, one with a second name, a link to one, a FIFO, a folder, and a huge file.
    std::fs::write(journal(1), &lines).unwrap();
    chown(journal(1), Some(23_456), None).unwrap();
    std::fs::write(journal(2), &lines).unwrap();
    std::fs::hard_link(journal(2), place.path("private/second-name")).unwrap();
    place.write("journal", &lines);
    symlink("../journal", journal(3)).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, journal(4), rustix::fs::Mode::RWXU).unwrap();
    std::fs::create_dir(journal(5)).unwrap();
    std::fs::File::create(journal(6)).unwrap().set_len(1 << 40).unwrap();
    let before = files(&place);
    assert!(before.len() > 8);
    let start = std::time::Instant::now();
    let (code, lines) = doctor(&place, &["--listen", "127.0.0.1:1"]);
    assert!(code == Some(1) && start.elapsed().as_secs() < 60, "{lines:#?}");
    assert_eq!(files(&place), before);
}

/// With a hand-off, clients must not reach the gateway without the front server.
#[test]
fn a_gateway_that_clients_can_reach_is_a_problem_with_a_hand_off() {
    for (arguments, begin) in [
        (&["--mode", "nginx", "--listen", "0.0.0.0:1"][..], "problem  listen: "),
        (&["--mode", "apache", "--listen", "[::]:1"], "problem  listen: "),
        (&["--listen", "0.0.0.0:1"], "ok       listen: "),
        (&["--mode", "nginx", "--listen", "127.0.0.1:1"], "ok       listen: "),
    ] {
        let (_, lines) = doctor(&place(), arguments);
        assert!(lines.iter().any(|line| line.starts_with(begin)), "{arguments:?}: {lines:#?}");
    }
}
