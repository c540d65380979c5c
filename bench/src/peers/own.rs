//! private-media: the gateway with accounts and an owner's grant, alone and behind nginx, and the library in an axum application.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use private_media::Accounts;
use private_media::identity::accounts::{AccountsFile, AccountsOptions};
use serde_json::json;

use super::{django, nginx, postgres};
use crate::result::Result;
use crate::running_peer::RunningPeer;
use crate::testbed::{Server, Testbed, built, free_address};
use crate::tls;
use crate::work::OF_TLS;

/// The flags of a gateway whose files nginx sends.
pub(super) const HAND_OFF: [&str; 2] = ["--mode", "nginx"];
const GRANT: &str = "cars/{owner}/{*file}=owner,staff";

/// Starts a gateway that sends files itself.
pub(super) fn gateway(bed: &Testbed) -> Result<RunningPeer> {
    alone(&current()?, bed, "gateway", &[])
}

pub(super) fn old_gateway(bed: &Testbed) -> Result<RunningPeer> {
    alone(old(bed)?, bed, "gateway-old", &[])
}

/// Starts a gateway with an access log in a file.
pub(super) fn gateway_with_log(bed: &Testbed) -> Result<RunningPeer> {
    alone(&current()?, bed, "gateway-log", &["--log", "info"])
}

/// Starts a gateway with TLS. wrk offers no protocol, so it gets HTTP/1.1.
pub(super) fn gateway_with_tls(bed: &Testbed) -> Result<RunningPeer> {
    tls::make_certificate(&bed.path(""))?;
    let flags = ["--tls-certificate", "cert.pem", "--tls-key", "key.pem"];
    let peer = alone(&current()?, bed, "gateway-tls", &flags)?;
    Ok(RunningPeer { certificate: Some(bed.path("cert.pem")), only: Some(OF_TLS), ..peer })
}

/// Starts a gateway with TLS, and returns its address.
pub(crate) fn with_https(bed: &Testbed) -> Result<(SocketAddr, Server)> {
    let RunningPeer { address, servers, .. } = gateway_with_tls(bed)?;
    Ok((address, servers.into_iter().next().ok_or("there is no server")?))
}

pub(super) fn old_gateway_with_log(bed: &Testbed) -> Result<RunningPeer> {
    alone(old(bed)?, bed, "gateway-log-old", &["--log", "info"])
}

/// Starts a gateway that records each request.
pub(super) fn gateway_with_audit(bed: &Testbed) -> Result<RunningPeer> {
    alone(&current()?, bed, "gateway-audit", &["--audit-path", "audit.jsonl"])
}

/// Starts a gateway that counts each request.
pub(super) fn gateway_with_metrics(bed: &Testbed) -> Result<RunningPeer> {
    alone(&current()?, bed, "gateway-metrics", &["--admin-listen", "unix:admin.sock"])
}

fn alone(program: &Path, bed: &Testbed, name: &str, more: &[&str]) -> Result<RunningPeer> {
    let address = free_address()?;
    let server = serve(program, bed, name, address, more)?;
    Ok(RunningPeer::private(address, vec![server], ("Cookie", cookie(bed)?)))
}

/// Starts a gateway for a Django project with sessions in PostgreSQL.
pub(super) fn with_postgres(bed: &Testbed) -> Result<RunningPeer> {
    let (address, (database, postgres)) = (free_address()?, postgres::start(bed)?);
    let cookie = django::prepare_in(bed, |command| {
        let settings = json!({
            "ENGINE": "django.db.backends.postgresql", "NAME": "postgres", "USER": "shop",
            "HOST": database.ip().to_string(), "PORT": database.port(),
        });
        command.env("BENCH_DATABASE", settings.to_string());
    })?;
    let secret = bed.path("secret.key");
    std::fs::write(&secret, "a secret of nobody's")?;
    std::fs::set_permissions(secret, PermissionsExt::from_mode(0o600))?;
    let url = format!("postgres://shop@{database}/postgres");
    let server =
        serve(&current()?, bed, "gateway-postgres", address, &["--identity", "django", "--database", &url])?;
    Ok(RunningPeer::private(address, vec![server, postgres], ("Cookie", cookie)))
}

/// Starts nginx, which sends the files that a gateway permits, with the block that `private-media config nginx` prints.
pub(super) fn behind_nginx(bed: &Testbed) -> Result<RunningPeer> {
    handing_off(&current()?, bed, "")
}

pub(super) fn old_behind_nginx(bed: &Testbed) -> Result<RunningPeer> {
    handing_off(old(bed)?, bed, "-old")
}

fn handing_off(program: &Path, bed: &Testbed, suffix: &str) -> Result<RunningPeer> {
    let (address, front) = (free_address()?, free_address()?);
    let gateway = serve(program, bed, &format!("gateway-nginx{suffix}"), address, &HAND_OFF)?;
    let block = nginx_block(program, bed, None, (address, front))?;
    let server = nginx::start(bed, &format!("nginx-front{suffix}"), front, &block)?;
    Ok(RunningPeer::private(front, vec![gateway, server], ("Cookie", cookie(bed)?)))
}

/// Returns the configuration that a gateway prints for nginx in front of it.
pub(super) fn nginx_block(
    program: &Path,
    bed: &Testbed,
    store: Option<SocketAddr>,
    (gateway, front): (SocketAddr, SocketAddr),
) -> Result<String> {
    let mut command = Command::new(program);
    command.args(["config", "nginx"]).args(root(store)).args(HAND_OFF).current_dir(bed.path(""));
    command.arg(format!("--listen={gateway}")).arg(format!("--front={front}"));
    let printed = command.output()?;
    if !printed.status.success() {
        return Err(String::from_utf8_lossy(&printed.stderr).into());
    }
    Ok(String::from_utf8(printed.stdout)?)
}

/// Returns the flags of the root: the folder of the files, or a bucket at this address.
fn root(store: Option<SocketAddr>) -> Vec<String> {
    match store {
        None => vec!["--root=root".into()],
        Some(store) => vec![
            "--root=s3://uploads/media".into(),
            format!("--storage-endpoint=http://{store}"),
            "--storage-allow-http".into(),
        ],
    }
}

/// Starts the upper limit of a hand-off: the printed block, with an upstream in the same nginx that always responds with the same
/// `X-Accel-Redirect`. It serves one file only.
pub(super) fn constant_redirect(bed: &Testbed) -> Result<RunningPeer> {
    let (upstream, front) = (free_address()?, free_address()?);
    let block = nginx_block(&current()?, bed, None, (upstream, front))?;
    // The headers of the gateway's response.
    let fields: String = [
        ("Cache-Control", "private, no-cache"),
        ("Content-Disposition", "inline"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Referrer-Policy", "no-referrer"),
        ("Vary", "cookie, authorization"),
        ("X-Accel-Redirect", "/private-media-internal/cars/7/1k.jpg"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Request-Id", "5bb199edb61e5cbe"),
    ]
    .iter()
    .map(|(name, value)| format!("add_header {name} '{value}';"))
    .collect();
    let upstream = format!(
        "server {{ listen {upstream} backlog=4096; keepalive_requests 1000000; \
         location / {{ types {{}} default_type image/jpeg; {fields} return 200; }} }}\n"
    );
    let server = nginx::start(bed, "nginx-constant", front, &format!("{block}{upstream}"))?;
    let only = Some(&["1 KiB", "1 KiB, 1 client", "1 KiB, 1000 clients"][..]);
    Ok(RunningPeer { only, ..RunningPeer::public(front, vec![server]) })
}

/// Starts the library in an axum application.
pub(super) fn axum(bed: &Testbed) -> Result<RunningPeer> {
    let (address, program) = (free_address()?, built("axum")?);
    let server = bed.start("axum", address, |command| {
        command.env("TOKIO_WORKER_THREADS", bed.workers().to_string());
        command.arg(program).arg(address.to_string()).arg(bed.root());
    })?;
    Ok(RunningPeer::private(address, vec![server], ("Cookie", "user=7".into())))
}

/// Starts a gateway with more grants than the owner's, and returns its address.
pub(crate) fn started(bed: &Testbed, grants: &[&str]) -> Result<(SocketAddr, Server)> {
    let address = free_address()?;
    let grants = grants.iter().flat_map(|grant| ["--grant", grant]);
    let more: Vec<_> = ["--header-timeout", "10m"].into_iter().chain(grants).collect();
    Ok((address, serve(&current()?, bed, "growth", address, &more)?))
}

/// Writes this many accounts, of which the first is user 7, and returns a session cookie of each.
pub(crate) fn cookies(bed: &Testbed, count: u32) -> Result<Vec<String>> {
    accounts(bed)?;
    let path = bed.path("accounts.toml");
    let text = std::fs::read_to_string(&path)?;
    let begin = text.find("[[account]]").ok_or("there is no account")?;
    let (head, first) = text.split_at(begin);
    // Copies of Alice's account, with her password: nobody signs in with one.
    let first = first.split_once("\n[[account]]").map_or(first, |(first, _)| first).trim_end();
    let one = |number: u32| match number {
        0 => format!("{first}\n"),
        _ => format!(
            "\n{}\n",
            first
                .replace("\"alice\"", &format!("\"user{number}\""))
                .replace("\"7\"", &format!("\"{}\"", number + 7))
        ),
    };
    std::fs::write(&path, (0..count).fold(head.to_owned(), |text, number| text + &one(number)))?;
    let accounts = Accounts::new(AccountsFile::load(&path)?, AccountsOptions::default())?;
    let names = (0..count).map(|number| if number == 0 { "alice".into() } else { format!("user{number}") });
    names
        .map(|name| {
            let cookie = accounts.session_of(&name, Duration::from_secs(86_400));
            Ok(cookie.ok_or_else(|| format!("there is no {name}"))?.to_str()?.to_owned())
        })
        .collect()
}

pub(super) fn serve(
    program: &Path,
    bed: &Testbed,
    name: &str,
    address: SocketAddr,
    more: &[&str],
) -> Result<Server> {
    serve_root(program, bed, name, (address, None), more)
}

/// Starts a gateway whose files are in a bucket, if there is one.
pub(super) fn serve_root(
    program: &Path,
    bed: &Testbed,
    name: &str,
    (address, store): (SocketAddr, Option<SocketAddr>),
    more: &[&str],
) -> Result<Server> {
    accounts(bed)?;
    bed.start(name, address, |command| {
        command.arg(program).arg("serve").args(root(store)).args(["--grant", GRANT]);
        if store.is_some() {
            command.env("AWS_ACCESS_KEY_ID", "bench").env("AWS_SECRET_ACCESS_KEY", "bench");
        }
        if !more.contains(&"--log") {
            command.args(["--log", "error"]);
        }
        let state = format!("sqlite:{name}.db");
        command.args(["--workers", &bed.workers().to_string(), "--listen", &address.to_string()]);
        command.args(["--state", &state]).args(more);
    })
}

/// Returns the program of this build.
pub(super) fn current() -> Result<PathBuf> {
    built("private-media")
}

/// Returns the program that `--old` names.
fn old(bed: &Testbed) -> Result<&Path> {
    Ok(bed.old.as_deref().ok_or("--old is missing")?)
}

/// Creates the account of Alice, whose id is 7.
fn accounts(bed: &Testbed) -> Result<()> {
    use std::io::Write;

    if bed.path("accounts.toml").exists() {
        return Ok(());
    }
    let mut command = Command::new(current()?);
    command.current_dir(bed.path(""));
    command.args(["account", "add", "alice", "--id", "7", "--password-stdin"]).stdout(Stdio::null());
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no stdin")?.write_all(b"roadster-for-alice\n")?;
    if child.wait()?.success() { Ok(()) } else { Err("could not create an account".into()) }
}

/// Returns a session cookie of alice.
pub(super) fn cookie(bed: &Testbed) -> Result<String> {
    let accounts = Accounts::new(AccountsFile::load(bed.path("accounts.toml"))?, AccountsOptions::default())?;
    let cookie = accounts.session_of("alice", Duration::from_secs(86_400)).ok_or("there is no alice")?;
    Ok(cookie.to_str()?.to_owned())
}
