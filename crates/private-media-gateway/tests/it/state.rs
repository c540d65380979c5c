//! Sign-outs survive a restart, reach other gateways, and survive failures of the store.

use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor};

use crate::django::servers::Server;
use crate::support::{Gateway, PASSWORD, Place, Response, needs, program, refusal};

/// The tests of both databases.
macro_rules! tests {
    ($store:ident, $server:expr) => {
        mod $store {
            use super::*;

            #[test]
            fn a_sign_out_survives_a_restart() {
                with($server, survives_a_restart);
            }
            #[test]
            fn a_sign_out_reaches_every_gateway_within_the_cache_time() {
                with($server, reaches_every_gateway);
            }
            #[test]
            fn an_unstored_sign_out_is_reported_and_stored_later() {
                with($server, store_away);
            }
            #[test]
            fn concurrent_starts_migrate_once() {
                with($server, start_at_once);
            }
            #[test]
            fn a_newer_schema_is_rejected() {
                with($server, newer_schema);
            }
            #[test]
            fn account_commands_wait_for_every_running_gateway() {
                with($server, wait_for_gateways);
            }
        }
    };
}

tests!(sqlite, Some(Server::Sqlite));
tests!(postgres, Server::postgres());

fn with(server: Option<Server>, test: impl Fn(&mut Server)) {
    if let Some(mut server) = server {
        test(&mut server);
    }
}

fn serve(place: &Place, server: &Server, cache: &str) -> Gateway {
    place.serve(&["--state", &server.state_url(place), "--cache-ttl", cache])
}

fn sign_in(gateway: &Gateway, name: &str) -> String {
    let form = format!("name={name}&password={}", PASSWORD.replace(' ', "+"));
    let response = gateway.send("POST /private/-/sign-in", &[], form.as_bytes());
    assert_eq!(response.status, 303);
    response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

fn sign_out(gateway: &Gateway, cookie: &str) -> Response {
    gateway.send("POST /private/-/sign-out", &[("cookie", cookie)], b"next=/")
}

fn status(gateway: &Gateway, cookie: &str) -> u16 {
    gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", cookie)]).status
}

fn health(gateway: &Gateway) -> u16 {
    gateway.fetch("GET /private/-/health", &[]).status
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(30), "timeout: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn survives_a_restart(server: &mut Server) {
    let place = Place::new();
    let gateway = serve(&place, server, "5s");
    let (ended, other) = (sign_in(&gateway, "alice"), sign_in(&gateway, "alice"));
    assert_eq!(sign_out(&gateway, &ended).status, 303);
    // Killed immediately: a confirmed sign-out is stored.
    drop(gateway);
    let gateway = serve(&place, server, "5s");
    assert_eq!((status(&gateway, &ended), status(&gateway, &other)), (404, 200));
}

fn reaches_every_gateway(server: &mut Server) {
    let place = Place::new();
    let cache = Duration::from_secs(2);
    let (here, there) = (serve(&place, server, "2s"), serve(&place, server, "2s"));
    let cookie = sign_in(&here, "alice");
    assert_eq!((status(&here, &cookie), status(&there, &cookie)), (200, 200));
    assert_eq!(sign_out(&here, &cookie).status, 303);
    let begin = Instant::now();
    assert_eq!(status(&here, &cookie), 404);
    until("signed out on the other gateway", || status(&there, &cookie) == 404);
    assert!(begin.elapsed() < cache, "{:?}", begin.elapsed());
}

fn store_away(server: &mut Server) {
    let place = Place::new();
    let gateway = serve(&place, server, "200ms");
    let (cookie, other) = (sign_in(&gateway, "alice"), sign_in(&gateway, "alice"));
    assert_eq!(health(&gateway), 200);
    let lock = match server {
        Server::Sqlite => Some(SqliteLock::new(&place)),
        _ => None,
    };
    server.stop();
    let begin = Instant::now();
    let response = sign_out(&gateway, &cookie);
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    let text = String::from_utf8_lossy(&response.body).into_owned();
    assert_eq!(response.status, 503, "{text}");
    assert!(text.starts_with("You are signed out here, but this could not be stored"), "{text}");
    assert!(response.header("set-cookie").unwrap().contains("Max-Age=0"), "the browser deletes its cookie");
    assert_eq!(status(&gateway, &cookie), 404, "signed out in this process");
    assert_eq!(status(&gateway, &other), 200, "no request waits for the store");
    assert_eq!(health(&gateway), 503);
    assert!(gateway.log().contains("a sign-out could not be stored"), "{}", gateway.log());

    drop(lock);
    server.start_again();
    until("ready again", || health(&gateway) == 200);
    drop(gateway);
    let gateway = serve(&place, server, "200ms");
    assert_eq!((status(&gateway, &cookie), status(&gateway, &other)), (404, 200), "stored after all");
}

/// Another process that locks the database against reads and writes.
struct SqliteLock(tokio::runtime::Runtime, Option<sqlx::SqliteConnection>);

impl SqliteLock {
    fn new(place: &Place) -> Self {
        let runtime = runtime();
        let url = format!("sqlite:{}", place.path("state.db").display());
        let connection = runtime.block_on(async {
            let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
            connection.execute("PRAGMA busy_timeout = 20000").await.unwrap();
            connection.execute("BEGIN EXCLUSIVE").await.unwrap();
            connection
        });
        Self(runtime, Some(connection))
    }
}

impl Drop for SqliteLock {
    fn drop(&mut self) {
        let connection = self.1.take().unwrap();
        self.0.block_on(connection.close()).unwrap();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Executes a statement in the store.
fn execute(server: &Server, place: &Place, statement: &'static str) {
    let url = server.state_url(place);
    runtime().block_on(async {
        if let Server::Sqlite = server {
            let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
            connection.execute(statement).await.unwrap();
            connection.close().await.unwrap();
        } else {
            let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
            connection.execute(statement).await.unwrap();
            connection.close().await.unwrap();
        }
    });
}

fn start_at_once(server: &mut Server) {
    let (place, server) = (Place::new(), &*server);
    let gateways: Vec<_> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..4).map(|_| scope.spawn(|| serve(&place, server, "200ms"))).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    // This query fails if there is a second row.
    execute(
        server,
        &place,
        "CREATE UNIQUE INDEX one_version ON private_media_schema (version); DROP INDEX one_version",
    );
    let cookie = sign_in(&gateways[0], "alice");
    assert_eq!(sign_out(&gateways[3], &cookie).status, 303);
    for gateway in &gateways {
        until("signed out everywhere", || status(gateway, &cookie) == 404);
    }
}

fn newer_schema(server: &mut Server) {
    let place = Place::new();
    drop(serve(&place, server, "5s"));
    execute(server, &place, "INSERT INTO private_media_schema (version) VALUES (1000)");
    let url = server.state_url(&place);
    let line = place.refusal(&["serve", "--listen", "127.0.0.1:0", "--state", &url]);
    assert!(line.contains("--state") && line.contains("schema version is 1000"), "{line}");
    assert!(line.contains("update this program") && !line.contains("cil"), "no password: {line}");
}

fn wait_for_gateways(server: &mut Server) {
    let place = Place::new();
    let url = server.state_url(&place);
    let account = |arguments: &[&str]| place.run(&[arguments, &["--state", &url]].concat());
    let remove = |name: &str| account(&["account", "remove", name, "--wait", "--wait-timeout", "20s"]);
    let output = account(&["account", "remove", "bob", "--wait", "--wait-timeout", "300ms"]);
    let problem = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{problem}");
    assert!(problem.contains("was changed, but") && problem.contains("no running gateway"), "{problem}");

    let (here, there) = (serve(&place, server, "1s"), serve(&place, server, "1s"));
    assert_eq!(there.get("/private/cars/7/photo.jpg", "alice").status, 200);
    let output = remove("alice");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for gateway in [&here, &there] {
        assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 404, "at once");
    }
    // The command waits for a stopped gateway, and prints its name.
    there.signal(rustix::process::Signal::STOP);
    let output = account(&["account", "remove", "carol", "--wait", "--wait-timeout", "3s"]);
    let problem = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{problem}");
    assert!(problem.contains(&format!("process {}", there.child.id())), "{problem}");
    assert!(!problem.contains(&format!("process {} ", here.child.id())), "{problem}");
    there.signal(rustix::process::Signal::CONT);
}

#[test]
fn invalid_stores_are_rejected() {
    let place = Place::new();
    std::fs::create_dir(place.path("folder")).unwrap();
    place.write("garbage.db", [b'x'; 5000]);
    place.write("open.db", "");
    for (name, mode) in [("garbage.db", 0o600), ("open.db", 0o644)] {
        std::fs::set_permissions(place.path(name), std::os::unix::fs::PermissionsExt::from_mode(mode))
            .unwrap();
    }
    for (state, parts) in [
        ("redis://localhost", &["unknown kind of state store", "sqlite:PATH", "memory"][..]),
        ("sqlite:", &["missing file"]),
        ("sqlite:none/state.db", &["No such file", "write to"]),
        ("sqlite:folder", &["directory"]),
        ("sqlite:garbage.db", &["not a database", "restore it"]),
        ("sqlite:open.db", &["chmod 600"]),
        ("sqlite:private/state.db", &["is inside the root", "move it"]),
        ("postgres://shop:secret@127.0.0.1:9/x", &["shop:…@127.0.0.1", "refused"]),
    ] {
        let line = place.refusal(&["serve", "--listen", "127.0.0.1:0", "--state", state]);
        assert!(line.contains("--state") && parts.iter().all(|part| line.contains(part)), "{state}: {line}");
        assert!(!line.contains("secret"), "{line}");
    }
    assert!(!place.path("private/state.db").exists());
    // An invalid default names the setting, too.
    std::fs::create_dir(place.path("state.db")).unwrap();
    let line = place.refusal(&["serve", "--listen", "127.0.0.1:0"]);
    assert!(line.contains("sqlite:state.db") && line.contains("default; change it with --state"), "{line}");
}

#[test]
fn only_serve_creates_the_file_and_it_is_private() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    let file = place.path("state.db");
    for arguments in [
        &["check", "alice", "cars/7/photo.jpg"][..],
        &["account", "list"],
        &["config", "show"],
        &["account", "remove", "bob", "--wait", "--wait-timeout", "200ms"],
    ] {
        let output = place.run(arguments);
        assert!(output.status.code() != Some(2), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(!file.exists(), "{arguments:?}");
    }
    drop(place.serve(&["--state", "memory"]));
    assert!(!file.exists(), "state in memory creates no file");
    let gateway = place.serve(&[]);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let cookie = sign_in(&gateway, "alice");
    sign_out(&gateway, &cookie);
    // A copy of the file is a complete backup, because there is no write-ahead log.
    std::fs::copy(&file, place.path("copy.db")).unwrap();
    assert!(!place.path("state.db-wal").exists());
    drop(gateway);
    let gateway = place.serve(&["--state", "sqlite:copy.db"]);
    assert_eq!(status(&gateway, &cookie), 404);
}

#[test]
fn the_default_store_is_next_to_the_configuration() {
    let place = Place::new();
    place.write("elsewhere/x", "");
    let settings = "root = \"private\"\nlisten = \"127.0.0.1:0\"\n[[identity]]\nsource = \"accounts\"\naccounts = \"accounts.toml\"\n";
    place.write("private-media.toml", settings);
    drop(Gateway::start(&place.path("elsewhere"), &["serve", "--config", "../private-media.toml"]));
    assert!(place.path("state.db").exists() && !place.path("elsewhere/state.db").exists());
}

#[test]
fn state_in_memory_logs_a_warning() {
    let place = Place::new();
    let gateway = place.serve(&["--state", "memory"]);
    until("a warning", || gateway.log().contains("sign-outs are lost at a restart"));
    let cookie = sign_in(&gateway, "alice");
    assert_eq!(sign_out(&gateway, &cookie).status, 303);
    assert_eq!(status(&gateway, &cookie), 404);
    let line = place.refusal(&["account", "remove", "alice", "--wait", "--state", "memory"]);
    assert!(line.contains("--wait") && line.contains("memory"), "{line}");
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200, "nothing was changed");
}

/// Returns the number of sessions in the file, or 0 if it cannot be read at the moment.
fn stored(place: &Place) -> i64 {
    let url = format!("sqlite:{}", place.path("state.db").display());
    runtime().block_on(async {
        let Ok(mut connection) = sqlx::SqliteConnection::connect(&url).await else { return 0 };
        let count = "SELECT COUNT(*) FROM private_media_ended_session";
        sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap_or_default()
    })
}

#[test]
fn revocations_are_stored_again_in_a_replaced_file() {
    let place = Place::new();
    let gateway = place.serve(&["--cache-ttl", "200ms"]);
    let (before, after) = (sign_in(&gateway, "alice"), sign_in(&gateway, "alice"));
    let empty = std::fs::read(place.path("state.db")).unwrap();
    assert_eq!(sign_out(&gateway, &before).status, 303);
    std::fs::remove_file(place.path("state.db")).unwrap();
    let noticed = || gateway.log().matches("removed or replaced; storing the revocations").count();
    until("it is noticed", || noticed() == 1);
    until("stored again", || stored(&place) == 1);
    assert_eq!(sign_out(&gateway, &after).status, 303);
    // An earlier backup replaces the file.
    place.write("restored.db", empty);
    std::fs::set_permissions(place.path("restored.db"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    std::fs::rename(place.path("restored.db"), place.path("state.db")).unwrap();
    until("it is noticed again", || noticed() == 2);
    until("stored again", || stored(&place) == 2);
    until("ready", || health(&gateway) == 200);
    drop(gateway);
    let gateway = place.serve(&["--cache-ttl", "200ms"]);
    assert_eq!((status(&gateway, &before), status(&gateway, &after)), (404, 404));
}

#[test]
fn a_full_disk_is_reported_and_sign_outs_are_stored_later() {
    if !needs("root, who may mount", rustix::process::geteuid().is_root()) {
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.path("disk")).unwrap();
    let script = "mount -t tmpfs -o size=256k,mode=700 none disk; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", script, "sh"]).arg(program().get_program());
    command.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--grant",
        crate::support::GRANT,
        "--cache-ttl",
        "200ms",
    ]);
    command.args(["--state", "sqlite:disk/state.db"]).current_dir(place.path(""));
    let gateway = Gateway::spawn(command, place.path("gateway.log"));
    let cookie = sign_in(&gateway, "alice");
    // The mount is visible only in the gateway's namespace.
    let seen = format!("/proc/{}/root{}", gateway.child.id(), place.path("disk/filler").display());
    let _ = std::fs::write(&seen, vec![0; 1 << 20]).unwrap_err();
    let response = sign_out(&gateway, &cookie);
    assert_eq!(response.status, 503);
    assert_eq!(status(&gateway, &cookie), 404);
    assert_eq!(health(&gateway), 503);
    assert!(gateway.log().contains("disk is full"), "{}", gateway.log());
    std::fs::remove_file(&seen).unwrap();
    until("ready again", || health(&gateway) == 200);
    std::fs::copy(seen.replace("filler", "state.db"), place.path("state.db")).unwrap();
    drop(gateway);
    let gateway = place.serve(&[]);
    assert_eq!(status(&gateway, &cookie), 404, "stored after all");
}

/// Django has its own sessions, so a store is used only if it is configured.
#[test]
fn django_needs_no_store() {
    let place = Place::new();
    place.write("secret.key", "a secret");
    std::fs::set_permissions(place.path("secret.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let output = place.run(&["account", "remove", "alice", "--wait", "--identity", "django"]);
    let line = refusal(&output);
    assert!(line.contains("identity") && line.contains("source = \"accounts\""), "{line}");
    // A default state file would be inside the root.
    let line = place.refusal(&["serve", "--identity", "django", "--database", "sqlite:none.db"]);
    assert!(line.contains("--database"), "{line}");
    assert!(!place.path("state.db").exists());
}

/// A gateway without a secret signs sessions with a key of its process.
#[test]
fn accounts_without_a_secret_can_sign_out() {
    let place = Place::new();
    let accounts = std::fs::read_to_string(place.path("accounts.toml")).unwrap();
    let without: Vec<_> = accounts.lines().filter(|line| !line.starts_with("secret")).collect();
    place.write("accounts.toml", without.join("\n"));
    let gateway = place.serve(&[]);
    let cookie = sign_in(&gateway, "alice");
    assert_eq!(status(&gateway, &cookie), 200);
    assert_eq!(sign_out(&gateway, &cookie).status, 303);
    assert_eq!(status(&gateway, &cookie), 404);
}
