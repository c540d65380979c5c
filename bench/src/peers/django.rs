//! Django on gunicorn with a session in a database: django-private-storage behind nginx or Apache, `FileResponse`, and private-media.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::{apache, nginx};
use crate::result::Result;
use crate::running_peer::RunningPeer;
use crate::testbed::{Server, Testbed, free_address};

/// Starts django-private-storage behind nginx, which sends by X-Accel-Redirect.
pub(super) fn behind_nginx(bed: &Testbed) -> Result<RunningPeer> {
    let (address, front) = (free_address()?, free_address()?);
    let cookie = prepare(bed)?;
    let gunicorn = gunicorn(bed, "gunicorn-nginx", address, "nginx")?;
    let root = bed.root().display().to_string();
    let server = nginx::start(
        bed,
        "nginx-django",
        front,
        &format!(
            "server {{\n listen {front} backlog=4096;\n location / {{ proxy_pass http://{address}; proxy_set_header Host $http_host; }}\n \
             location /private-x-accel-redirect/ {{ internal; alias {root}/; }}\n}}\n"
        ),
    )?;
    let running = RunningPeer::private(front, vec![gunicorn, server], ("Cookie", cookie));
    Ok(RunningPeer { denied_status: 403, prefix: "/private-storage/", ..running })
}

/// Starts django-private-storage behind Apache, which sends by X-Sendfile.
pub(super) fn behind_apache(bed: &Testbed) -> Result<RunningPeer> {
    let (address, front) = (free_address()?, free_address()?);
    let cookie = prepare(bed)?;
    let gunicorn = gunicorn(bed, "gunicorn-apache", address, "apache")?;
    let server = apache::start(bed, front, address)?;
    let running = RunningPeer::private(front, vec![gunicorn, server], ("Cookie", cookie));
    Ok(RunningPeer { denied_status: 403, prefix: "/private-storage/", ..running })
}

/// Starts the gateway in a process of the same site, with the same sessions.
pub(super) fn serve_private_media(bed: &Testbed) -> Result<RunningPeer> {
    let address = free_address()?;
    let cookie = prepare(bed)?;
    let python = python("python")?;
    let server = bed.start("serve_private_media", address, |command| {
        command.arg(python).args(["-c", "import bench_site; bench_site.manage()"]);
        command.args(["serve_private_media", "--log", "error"]);
        command.args(["--workers", &bed.workers().to_string(), "--bind", &address.to_string()]);
        environment(command, bed, "django");
    })?;
    Ok(RunningPeer::private(address, vec![server], ("Cookie", cookie)))
}

/// Starts Django's own `FileResponse` on gunicorn, with the same permission check.
pub(super) fn file_response(bed: &Testbed) -> Result<RunningPeer> {
    let address = free_address()?;
    let cookie = prepare(bed)?;
    let server = gunicorn(bed, "gunicorn", address, "django")?;
    let running = RunningPeer::private(address, vec![server], ("Cookie", cookie));
    // `FileResponse` ignores ranges and preconditions.
    Ok(RunningPeer {
        denied_status: 404,
        prefix: "/file-response/",
        only: Some(&["1 KiB", "10 KiB", "100 KiB", "1 MiB", "1 GiB", "denied"]),
        ..running
    })
}

/// Starts private-media on gunicorn, with the same session.
pub(super) fn default_server(bed: &Testbed) -> Result<RunningPeer> {
    let address = free_address()?;
    let cookie = prepare(bed)?;
    let server = gunicorn(bed, "gunicorn-own", address, "django")?;
    Ok(RunningPeer::private(address, vec![server], ("Cookie", cookie)))
}

fn gunicorn(bed: &Testbed, name: &str, address: SocketAddr, delivery: &str) -> Result<Server> {
    let program = python("gunicorn")?;
    bed.start(name, address, |command| {
        command.arg(program).args([
            "--workers",
            &(2 * bed.workers() + 1).to_string(),
            "--bind",
            &address.to_string(),
        ]);
        command.arg("bench_site:application");
        environment(command, bed, delivery);
    })
}

fn environment(command: &mut Command, bed: &Testbed, delivery: &str) {
    let name = bed.path("db.sqlite3").display().to_string();
    command
        .env("PYTHONPATH", site())
        .env("BENCH_ROOT", bed.root())
        .env("BENCH_DATABASE", json!({ "ENGINE": "django.db.backends.sqlite3", "NAME": name }).to_string())
        .env("BENCH_DELIVERY", delivery);
}

/// Creates the database with a session of user 7, and returns the cookie.
fn prepare(bed: &Testbed) -> Result<String> {
    let made = bed.path("cookie");
    if !made.exists() {
        std::fs::write(&made, prepare_in(bed, |_| ())?)?;
    }
    Ok(std::fs::read_to_string(made)?)
}

/// Like [`prepare`], with another database.
pub(super) fn prepare_in(bed: &Testbed, configure: impl FnOnce(&mut Command)) -> Result<String> {
    let mut command = Command::new(python("python")?);
    command.args(["-c", "import bench_site; bench_site.prepare()"]);
    environment(&mut command, bed, "django");
    configure(&mut command);
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Returns the folder of the site.
fn site() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("django")
}

/// Returns a program of the virtual environment of `cargo xtask bench`.
fn python(name: &str) -> Result<PathBuf> {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench-venv/bin").join(name);
    if program.exists() {
        Ok(program)
    } else {
        Err(format!("{} does not exist; run cargo xtask bench", program.display()).into())
    }
}
