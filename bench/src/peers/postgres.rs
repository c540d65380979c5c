//! PostgreSQL, for sessions.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::result::Result;
use crate::testbed::{Server, Testbed, free_address};

/// The user of the database when the benchmark runs as root, which PostgreSQL refuses.
const NOBODY: u32 = 65534;

/// Starts a new database, open to every client on this machine.
pub(super) fn start(bed: &Testbed) -> Result<(SocketAddr, Server)> {
    let (address, data) = (free_address()?, bed.path("postgres"));
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
    let server = bed.start("postgres", address, |command| {
        let postgres = unprivileged(&programs.join("postgres"));
        command.arg(postgres.get_program()).args(postgres.get_args()).arg("-D").arg(&data);
        command.args(["-h", "127.0.0.1", "-k", "", "-F", "-p", &address.port().to_string()]);
    })?;
    Ok((address, server))
}

fn programs() -> Result<PathBuf> {
    let folders =
        std::fs::read_dir("/usr/lib/postgresql")?.flatten().map(|version| version.path().join("bin"));
    Ok(folders.filter(|folder| folder.join("initdb").exists()).max().ok_or("PostgreSQL is not installed")?)
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
