//! What Django people run: gunicorn, a session in a database, and django-private-storage, with nginx in front. And what they can run.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use super::{Place, Running, Server, apache, free_address, nginx};
use crate::Result;

/// nginx sends, by X-Accel-Redirect.
pub(super) fn behind_nginx(place: &Place) -> Result<Running> {
    let (address, front) = (free_address()?, free_address()?);
    let cookie = prepare(place)?;
    let gunicorn = gunicorn(place, "gunicorn-nginx", address, "nginx")?;
    let root = place.root().display().to_string();
    let server = nginx::start(
        place,
        "nginx-django",
        front,
        &format!(
            "server {{\n listen {front} backlog=4096;\n location / {{ proxy_pass http://{address}; proxy_set_header Host $http_host; }}\n \
             location /private-x-accel-redirect/ {{ internal; alias {root}/; }}\n}}\n"
        ),
    )?;
    let running = Running::private(front, vec![gunicorn, server], ("Cookie", cookie));
    Ok(Running { denied_status: 403, prefix: "/private-storage/", ..running })
}

/// Apache sends, by X-Sendfile.
pub(super) fn behind_apache(place: &Place) -> Result<Running> {
    let (address, front) = (free_address()?, free_address()?);
    let cookie = prepare(place)?;
    let gunicorn = gunicorn(place, "gunicorn-apache", address, "apache")?;
    let server = apache::start(place, front, address)?;
    let running = Running::private(front, vec![gunicorn, server], ("Cookie", cookie));
    Ok(Running { denied_status: 403, prefix: "/private-storage/", ..running })
}

/// Our gateway in a process of the same site, with the same sessions.
pub(super) fn serve_private_media(place: &Place) -> Result<Running> {
    let address = free_address()?;
    let cookie = prepare(place)?;
    let python = python("python")?;
    let server = place.start("serve_private_media", address, |command| {
        command.arg(python).args(["-c", "import bench_site; bench_site.manage()"]);
        command.args(["serve_private_media", "--log", "error"]);
        command.args(["--workers", &place.workers().to_string(), "--bind", &address.to_string()]);
        environment(command, place, "django");
    })?;
    Ok(Running::private(address, vec![server], ("Cookie", cookie)))
}

/// Django's own `FileResponse` under gunicorn, behind the same question.
pub(super) fn file_response(place: &Place) -> Result<Running> {
    let address = free_address()?;
    let cookie = prepare(place)?;
    let server = gunicorn(place, "gunicorn", address, "django")?;
    let running = Running::private(address, vec![server], ("Cookie", cookie));
    // It knows no ranges and no conditions.
    Ok(Running {
        denied_status: 404,
        prefix: "/file-response/",
        only: Some(&["1 KiB", "10 KiB", "100 KiB", "1 MiB", "1 GiB", "denied"]),
        ..running
    })
}

/// Ours under gunicorn, with the same session.
pub(super) fn default_server(place: &Place) -> Result<Running> {
    let address = free_address()?;
    let cookie = prepare(place)?;
    let server = gunicorn(place, "gunicorn-own", address, "django")?;
    Ok(Running::private(address, vec![server], ("Cookie", cookie)))
}

fn gunicorn(place: &Place, name: &str, address: SocketAddr, delivery: &str) -> Result<Server> {
    let program = python("gunicorn")?;
    place.start(name, address, |command| {
        command.arg(program).args([
            "--workers",
            &(2 * place.workers() + 1).to_string(),
            "--bind",
            &address.to_string(),
        ]);
        command.arg("bench_site:application");
        environment(command, place, delivery);
    })
}

fn environment(command: &mut Command, place: &Place, delivery: &str) {
    let name = place.path("db.sqlite3").display().to_string();
    command
        .env("PYTHONPATH", site())
        .env("BENCH_ROOT", place.root())
        .env("BENCH_DATABASE", json!({ "ENGINE": "django.db.backends.sqlite3", "NAME": name }).to_string())
        .env("BENCH_DELIVERY", delivery);
}

/// Makes the database and a session of user 7; the answer is the cookie.
fn prepare(place: &Place) -> Result<String> {
    let made = place.path("cookie");
    if !made.exists() {
        std::fs::write(&made, prepare_in(place, |_| ())?)?;
    }
    Ok(std::fs::read_to_string(made)?)
}

/// The same in another database.
pub(super) fn prepare_in(place: &Place, configure: impl FnOnce(&mut Command)) -> Result<String> {
    let mut command = Command::new(python("python")?);
    command.args(["-c", "import bench_site; bench_site.prepare()"]);
    environment(&mut command, place, "django");
    configure(&mut command);
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Where the site is.
fn site() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("django")
}

/// A program of the virtual environment that `cargo xtask bench` makes.
fn python(name: &str) -> Result<PathBuf> {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench-venv/bin").join(name);
    if program.exists() { Ok(program) } else { Err(format!("{} is not there", program.display()).into()) }
}
