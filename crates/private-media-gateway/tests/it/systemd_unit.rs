//! The unit that `config systemd` prints.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{GRANT, Gateway, Place, needs};

/// Returns the printed unit.
fn print(place: &Place, arguments: &[&str]) -> String {
    let output = place.run(&[&["config", "systemd"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn value<'a>(unit: &'a str, name: &str) -> &'a str {
    let line = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {name}: {unit}"))
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    needs(program, found.is_ok_and(|status| status.success()))
}

const SETTINGS: &str = "listen = \"unix:/run/cars/media.sock\"\nlimits.max_connections = 500\nlimits.shutdown_timeout = \"1m\"\n";

#[test]
fn the_unit_has_the_paths_and_limits_of_the_configuration() {
    let place = Place::new();
    place.write("private-media.toml", SETTINGS);
    let folder = place.path("");
    let unit = print(&place, &["--grant", "cars/{owner}/{*file}=owner", "--debug"]);
    let folder = folder.display().to_string();
    let command = value(&unit, "ExecStart");
    for part in [
        &format!("serve --config {}/private-media.toml", folder.trim_end_matches('/')),
        "\"--grant=cars/{owner}/{*file}=owner\"",
        "--debug=true",
    ] {
        assert!(command.contains(part), "{part}: {command}");
    }
    for (name, expected) in [
        ("RuntimeDirectory", "cars"),
        ("LimitNOFILE", "2024"),
        ("TimeoutStopSec", "70"),
        ("Type", "notify"),
        ("PrivateTmp", "false"),
        ("ReadWritePaths", folder.trim_end_matches('/')),
    ] {
        assert_eq!(value(&unit, name), expected, "{name}");
    }
    // A password does not get into a file that everybody can read.
    let line = place.refusal(&["config", "systemd", "--state", "postgres://media:secret@db/media"]);
    assert!(line.contains("--state") && line.contains("write it into the configuration file"), "{line}");
    assert!(!line.contains("secret"), "{line}");
}

/// Gives the files of a place to the user 12345, as those of a service, and lets others into its folder.
fn give(place: &Place, files: &[&str]) {
    std::fs::set_permissions(place.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    for file in files {
        chown(place.path(file), Some(12_345), Some(12_345)).unwrap();
    }
}

const TLS: &str = "listen.address = \"127.0.0.1:443\"\nlisten.tls.certificate = \"cert.pem\"\nlisten.tls.key = \"a key.pem\"\n";

/// The user of the service reads the key with its group, or gets a copy of one that only root can read.
#[test]
fn the_user_of_the_service_can_read_the_key() {
    if !needs("root, who may give files away", rustix::process::geteuid().is_root()) {
        return;
    }
    let place = Place::new();
    place.write("private-media.toml", TLS);
    place.write("cert.pem", "");
    place.write("a key.pem", "");
    give(&place, &["", "private", "accounts.toml"]);
    let (key, folder) = (place.path("a key.pem"), place.path(""));
    let folder = folder.to_str().unwrap().trim_end_matches('/');
    for (owner, mode, groups, is_copied) in [
        ((12_345, 12_345), 0o600, None, false),
        ((0, 54_321), 0o640, Some("54321"), false),
        ((0, 0), 0o600, None, true),
        ((0, 0), 0o640, None, true),
    ] {
        chown(&key, Some(owner.0), Some(owner.1)).unwrap();
        std::fs::set_permissions(&key, PermissionsExt::from_mode(mode)).unwrap();
        // A flag of a copied file is replaced.
        let unit = print(&place, &["--tls-key", key.to_str().unwrap()]);
        assert_eq!(value(&unit, "User"), "12345");
        let find = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name));
        assert_eq!(find("SupplementaryGroups="), groups, "{owner:?} {mode:o}");
        let command = value(&unit, "ExecStart");
        assert_eq!(command.matches("--tls-key=").count(), 1, "{command}");
        let copies = [format!("tls-certificate:{folder}/cert.pem"), format!("tls-key:{folder}/a key.pem")];
        let found: Vec<_> = unit.lines().filter_map(|line| line.strip_prefix("LoadCredential=")).collect();
        let expected: Vec<&str> =
            if is_copied { copies.iter().map(String::as_str).collect() } else { vec![] };
        assert_eq!(found, expected, "{owner:?} {mode:o}");
        let of_copies = "--tls-certificate=%d/tls-certificate --tls-key=%d/tls-key";
        assert_eq!(command.ends_with(of_copies), is_copied, "{command}");
    }
}

/// systemd accepts the unit without a warning, and rates its sandbox as good.
#[test]
fn systemd_accepts_the_unit() {
    if !has("systemd-analyze") {
        return;
    }
    let place = Place::new();
    place.write("cert.pem", "");
    place.write("a key.pem", "");
    std::fs::set_permissions(place.path("a key.pem"), PermissionsExt::from_mode(0o600)).unwrap();
    let audit = "audit.path = \"/var/log/cars/audit.jsonl\"\naudit.key_file = \"key\"\n";
    let admin = "admin.listen = \"unix:/run/cars-admin/admin.sock\"\n";
    let redirect = format!("{TLS}listen.redirect_http = \"127.0.0.1:80\"\n");
    let own_folder = "audit.path = \"audit.jsonl\"\nadmin.listen = \"unix:admin.sock\"\n";
    for (name, settings, arguments, lines) in [
        ("cars", SETTINGS, &[][..], &["RuntimeDirectory=cars", "CapabilityBoundingSet="][..]),
        (
            "low",
            SETTINGS,
            &["--listen", "127.0.0.1:443", "--grant", "{*file}=user:a b"],
            &["AmbientCapabilities=CAP_NET_BIND_SERVICE"],
        ),
        ("audit", &format!("{SETTINGS}{audit}"), &[], &["LogsDirectory=cars", "LogsDirectoryMode=0750"]),
        ("admin", &format!("{SETTINGS}{admin}"), &[], &["RuntimeDirectory=cars cars-admin"]),
        ("own", own_folder, &[], &["ProtectSystem=strict"]),
        ("tls", &redirect, &[], &["AmbientCapabilities=CAP_NET_BIND_SERVICE"]),
        ("accounts", "", &["--accounts", "accounts.toml"], &["ProtectSystem=strict"]),
    ] {
        place.write("private-media.toml", settings);
        let (path, unit) = (place.path(&format!("{name}.service")), print(&place, arguments));
        for line in lines {
            assert!(unit.lines().any(|own| own == *line), "{line}: {unit}");
        }
        std::fs::write(&path, &unit).unwrap();
        for command in
            [&["verify", "--man=no"][..], &["security", "--offline=yes", "--threshold=20", "--no-pager"]]
        {
            let output = Command::new("systemd-analyze").args(command).arg(&path).output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned()
                + &String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{name} {command:?}: {text}");
            let is_about_it = |line: &&str| {
                line.contains(&format!("{name}.service")) && line.contains(':') && command[0] == "verify"
            };
            assert_eq!(text.lines().filter(is_about_it).count(), 0, "{text}");
        }
    }
}

/// The gateway serves, stores sign-outs and is upgraded with what the sandbox leaves: a file system that is read-only but for the
/// writable paths, no devices, no capabilities, and no new privileges. tests/install/boot.sh does the same with systemd.
#[test]
fn the_gateway_runs_in_the_sandbox_of_the_unit() {
    if !needs("root, who may mount", rustix::process::geteuid().is_root()) || !has("setpriv") {
        return;
    }
    let place = Place::new();
    place.write("private-media.toml", "root = \"private\"\nstate = \"sqlite:state/state.db\"\n");
    std::fs::create_dir(place.path("state")).unwrap();
    for path in ["", "state", "private", "accounts.toml"] {
        chown(place.path(path), Some(12_345), Some(12_345)).unwrap();
    }
    let unit = print(&place, &[]);
    assert_eq!(value(&unit, "User"), "12345");
    let writable = value(&unit, "ReadWritePaths").replace('"', "");
    assert!(writable.ends_with("/private") || writable.ends_with("/state"), "{writable}");
    let script = format!(
        "mount --make-rprivate /
         mount -t tmpfs none /dev/shm
         for path in {writable}; do mount --bind \"$path\" \"$path\"; done
         mount -o remount,bind,ro /
         for mounted in $(awk '{{ print $5 }}' /proc/self/mountinfo | sort -u); do
             case \" {writable} /proc /dev/shm \" in *\" $mounted \"*) ;; *) mount -o remount,bind,ro \"$mounted\" 2>/dev/null || true ;; esac
         done
         exec setpriv --reuid=12345 --regid=12345 --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", &script, "sh", env!("CARGO_BIN_EXE_private-media")]);
    command.args(["serve", "--listen", "127.0.0.1:0", "--grant", GRANT]).current_dir(place.path(""));
    let gateway = Gateway::spawn(command, place.path("gateway.log"));
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    let form = format!("name=alice&password={}&next=", crate::support::PASSWORD.replace(' ', "+"));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let signed_in = gateway.send("POST /private/-/sign-in", &headers, form.as_bytes());
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(gateway.send("POST /private/-/sign-out", &[("cookie", &cookie)], b"next=").status, 303);
    // It cannot write anywhere else.
    let root = format!("/proc/{}/root", gateway.child.id());
    for folder in [place.path(""), "/var/tmp".into(), "/etc".into()] {
        let file = Path::new(&root).join(folder.strip_prefix("/").unwrap()).join("private-media-test");
        let error = std::fs::write(&file, "").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{}", file.display());
    }
}
