//! PostgreSQL, for sessions.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Place, Server, free_address};
use crate::Result;

/// Whose files its files are where the benchmark runs as root, which PostgreSQL refuses to.
const NOBODY: u32 = 65534;

/// A database of its own, for whoever connects from this machine.
pub(super) fn start(place: &Place) -> Result<(SocketAddr, Server)> {
    let (address, data) = (free_address()?, place.path("postgres"));
    let programs = programs()?;
    let made = data.exists();
    if !made {
        std::fs::create_dir(&data)?;
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&data, Some(NOBODY), Some(NOBODY))?;
        }
        let mut initdb = unprivileged(&programs.join("initdb"));
        initdb
            .args(["--username=shop", "--auth=trust", "--no-sync", "--encoding=UTF8", "--pgdata"])
            .arg(&data);
        let output = initdb.current_dir(&data).output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into());
        }
    }
    let server = place.start("postgres", address, |command| {
        let postgres = unprivileged(&programs.join("postgres"));
        command.arg(postgres.get_program()).args(postgres.get_args()).arg("-D").arg(&data);
        command.args(["-h", "127.0.0.1", "-k", "", "-F", "-p", &address.port().to_string()]);
    })?;
    Ok((address, server))
}

fn programs() -> Result<PathBuf> {
    let folders =
        std::fs::read_dir("/usr/lib/postgresql")?.flatten().map(|version| version.path().join("bin"));
    Ok(folders.filter(|folder| folder.join("initdb").exists()).max().ok_or("PostgreSQL is not there")?)
}

fn unprivileged(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program);
    command
}
