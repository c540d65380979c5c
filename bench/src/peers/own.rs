//! Ours: the gateway with accounts and an owner's grant, alone and behind nginx, and the library in an axum application.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use private_media::Accounts;
use private_media::identity::accounts::{AccountsFile, AccountsOptions};
use serde_json::json;

use super::{RunningPeer, Server, Testbed, built, django, free_address, nginx, postgres};
use crate::result::Result;

const GRANT: &str = "cars/{owner}/{*file}=owner,staff";

/// The gateway sends by itself.
pub(crate) fn gateway(bed: &Testbed) -> Result<RunningPeer> {
    alone(bed, "gateway", &[])
}

/// The same, with a line in a file for each request.
pub(super) fn gateway_with_log(bed: &Testbed) -> Result<RunningPeer> {
    alone(bed, "gateway-log", &["--log", "info"])
}

fn alone(bed: &Testbed, name: &str, more: &[&str]) -> Result<RunningPeer> {
    let address = free_address()?;
    let server = serve(bed, name, address, more)?;
    Ok(RunningPeer::private(address, vec![server], ("Cookie", cookie(bed)?)))
}

/// The gateway beside a Django project whose sessions are in PostgreSQL.
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
    let server = serve(bed, "gateway-postgres", address, &["--identity", "django", "--database", &url])?;
    Ok(RunningPeer::private(address, vec![server, postgres], ("Cookie", cookie)))
}

/// nginx sends what the gateway permits, on what `private-media config nginx` prints.
pub(super) fn behind_nginx(bed: &Testbed) -> Result<RunningPeer> {
    let (address, front) = (free_address()?, free_address()?);
    let hand_off = ["--mode", "nginx"];
    let gateway = serve(bed, "gateway-nginx", address, &hand_off)?;
    let mut command = program(bed)?;
    command.args([
        "config",
        "nginx",
        "--root",
        "root",
        "--listen",
        &address.to_string(),
        "--front",
        &front.to_string(),
    ]);
    let printed = command.args(hand_off).output()?;
    if !printed.status.success() {
        return Err(String::from_utf8_lossy(&printed.stderr).into());
    }
    let server = nginx::start(bed, "nginx-front", front, &String::from_utf8(printed.stdout)?)?;
    Ok(RunningPeer::private(front, vec![gateway, server], ("Cookie", cookie(bed)?)))
}

/// The library in an application.
pub(super) fn axum(bed: &Testbed) -> Result<RunningPeer> {
    let (address, program) = (free_address()?, built("axum")?);
    let server = bed.start("axum", address, |command| {
        command.env("TOKIO_WORKER_THREADS", bed.workers().to_string());
        command.arg(program).arg(address.to_string()).arg(bed.root());
    })?;
    Ok(RunningPeer::private(address, vec![server], ("X-User", "7".into())))
}

/// A gateway with these grants beside the owner's, and where it listens.
pub(crate) fn started(bed: &Testbed, grants: &[&str]) -> Result<(SocketAddr, Server)> {
    let address = free_address()?;
    let grants = grants.iter().flat_map(|grant| ["--grant", grant]);
    let more: Vec<_> = ["--header-timeout", "10m"].into_iter().chain(grants).collect();
    Ok((address, serve(bed, "growth", address, &more)?))
}

/// So many accounts, of which the first is user 7, and a session of each.
pub(crate) fn cookies(bed: &Testbed, count: u32) -> Result<Vec<String>> {
    accounts(bed)?;
    let path = bed.path("accounts.toml");
    let text = std::fs::read_to_string(&path)?;
    let begin = text.find("[[account]]").ok_or("there is no account")?;
    let (head, first) = text.split_at(begin);
    // Alice's, and as many more like it; their passwords are hers, and nobody signs in with one.
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

fn serve(bed: &Testbed, name: &str, address: SocketAddr, more: &[&str]) -> Result<Server> {
    accounts(bed)?;
    let program = built("private-media")?;
    bed.start(name, address, |command| {
        command.arg(program).args(["serve", "--root", "root", "--grant", GRANT]);
        if !more.contains(&"--log") {
            command.args(["--log", "error"]);
        }
        command.args(["--workers", &bed.workers().to_string(), "--listen", &address.to_string()]).args(more);
    })
}

fn program(bed: &Testbed) -> Result<Command> {
    let mut command = Command::new(built("private-media")?);
    command.current_dir(bed.path(""));
    Ok(command)
}

/// Alice, whose id is 7.
fn accounts(bed: &Testbed) -> Result<()> {
    use std::io::Write;

    if bed.path("accounts.toml").exists() {
        return Ok(());
    }
    let mut command = program(bed)?;
    command.args(["account", "add", "alice", "--id", "7", "--password-stdin"]).stdout(Stdio::null());
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no stdin")?.write_all(b"roadster-for-alice\n")?;
    if child.wait()?.success() { Ok(()) } else { Err("no account could be made".into()) }
}

/// A session of alice, as a browser has it.
fn cookie(bed: &Testbed) -> Result<String> {
    let accounts = Accounts::new(AccountsFile::load(bed.path("accounts.toml"))?, AccountsOptions::default())?;
    let cookie = accounts.session_of("alice", Duration::from_secs(86_400)).ok_or("there is no alice")?;
    Ok(cookie.to_str()?.to_owned())
}
