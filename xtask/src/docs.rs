//! Runs the commands of documentation pages, as a reader would.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::links::{self, read};
use crate::machine::{self, Program, run_tests, show};
use crate::outcome::Outcome;
use crate::pages::{script_beside, script_of};
use crate::tested_pages::{Environment, GARAGE, PAGES, SCRIPTS};
use crate::{axum_page, blocks, book, python};

/// The programs that the pages install or use.
pub(crate) const PROGRAMS: [Program; 17] = [
    ("/usr/lib/apache2/modules/mod_xsendfile.so", "libapache2-mod-xsendfile"),
    ("/usr/lib/lighttpd/mod_deflate.so", "lighttpd-mod-deflate"),
    ("apache2ctl", "apache2"),
    ("caddy", "caddy"),
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("lighttpd", "lighttpd"),
    ("nginx", "nginx"),
    ("node", "nodejs"),
    ("openssl", "openssl"),
    ("php", "php-cli"),
    ("python3", "python3"),
    ("rsync", "rsync"),
    ("ruby", "ruby"),
    ("setpriv", "util-linux"),
    ("sqlite3", "sqlite3"),
    ("unshare", "util-linux"),
];

const RELEASE: &str = "target/release";

/// Checks the links and code blocks of all pages, builds the book, and runs the commands of the tested pages.
pub(crate) fn test(outcome: &mut Outcome) -> Result<(), String> {
    links::check()?;
    blocks::check()?;
    book::build()?;
    how_to_pages(outcome)?;
    for (page, section, script) in SCRIPTS {
        let before = read(Path::new("tests/docs/reader.sh"))?;
        let commands = script_beside(page, *section, script)?;
        run_script(&mut Command::new("sh"), &format!("{before}{commands}"), &[RELEASE])?;
    }
    axum_page::test()?;
    for (page, environment) in PAGES {
        let commands = script_of(page)?;
        match environment {
            Environment::Folder => run_script(&mut Command::new("sh"), &commands, &[RELEASE])?,
            Environment::Root => {
                check_brief(page, &commands)?;
                run_as_root(&commands)?;
            }
            Environment::Project => run_in_project(&commands)?,
        }
    }
    Ok(())
}

/// Runs the commands of the page about Garage, with the programs in these folders.
pub(crate) fn garage_page(folders: &[&str]) -> Result<(), String> {
    run_script(&mut isolated(), &as_root(&script_of(GARAGE)?), folders)
}

/// Runs the tests that compare how-to pages with what happens.
fn how_to_pages(outcome: &mut Outcome) -> Result<(), String> {
    let python = machine::venv("target/howto-venv", "tests/howto/requirements.txt")?;
    let program = std::path::absolute("target/release/private-media").map_err(|error| error.to_string())?;
    let mut tests = Command::new(python);
    tests.args(["-m", "pytest", "tests/howto"]).env("PRIVATE_MEDIA_PROGRAM", program);
    run_tests(&mut tests, outcome)
}

/// The beginning of a script in separate namespaces for mounts, network and processes, so that no change remains. Without package
/// lists, apt considers the installed packages up to date and downloads nothing.
const NAMESPACES: &str = "mount -t tmpfs none /mnt
    own() {
        mkdir -p /mnt$1/upper /mnt$1/work
        mount -t overlay overlay -o lowerdir=$1,upperdir=/mnt$1/upper,workdir=/mnt$1/work $1
    }
    for folder in /etc /srv /var /run; do own $folder; done
    rm -rf /var/lib/apt/lists
    mkdir /mnt/bin
    PATH=/mnt/bin:$PATH
    ip link set lo up";

/// Like [`run_as_root`], with the virtual environment of the package's tests.
fn run_in_project(commands: &str) -> Result<(), String> {
    let venv = std::path::absolute(python::TOOLS).map_err(|error| format!("{}: {error}", python::TOOLS))?;
    // Other users need access to the environment, and to an interpreter in a home directory.
    let python = format!(
        "mkdir /mnt/python
        mount --bind '{}' /mnt/python
        PATH=/mnt/python/bin:$PATH
        if ! runuser -u www-data -- python -c '' 2> /dev/null; then
            home=/$(readlink -f /mnt/python/bin/python | cut -d / -f 2)
            own $home
            chmod a+x $home
        fi",
        venv.display()
    );
    run_as_root(&format!("{python}\n{commands}"))
}

/// Runs commands that change the machine, in separate namespaces.
fn run_as_root(script: &str) -> Result<(), String> {
    run_script(&mut isolated(), &as_root(script), &[RELEASE])
}

/// Returns a shell in separate namespaces.
fn isolated() -> Command {
    let mut shell = Command::new("unshare");
    shell.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"]);
    shell
}

/// Returns a script for such a shell.
fn as_root(script: &str) -> String {
    format!(
        "{NAMESPACES}
cp \"$(command -v private-media)\" /mnt/bin
{script}"
    )
}

/// Checks that a page needs fewer than ten commands before the first request.
fn check_brief(page: &str, commands: &str) -> Result<(), String> {
    let mut here_document = false;
    let count = commands
        .lines()
        .take_while(|line| !line.starts_with("curl "))
        .filter(|line| {
            let was_inside = here_document;
            here_document = if was_inside { *line != "END" } else { line.ends_with("<<'END'") };
            !was_inside && !line.is_empty() && !line.starts_with(' ')
        })
        .count();
    if count < 10 {
        Ok(())
    } else {
        Err(format!("{page}: {count} commands before the first request; the page promises fewer than 10"))
    }
}

/// Runs a script in an empty folder, with the programs in these folders.
fn run_script(shell: &mut Command, script: &str, folders: &[&str]) -> Result<(), String> {
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let folder = root.join("target/commands");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(
        folders.iter().map(|folder| root.join(folder)).chain(std::env::split_paths(&path)),
    );
    let path = path.map_err(|error| error.to_string())?;
    shell.args(["-eu", "-c", script]).current_dir(folder).env("PATH", path);
    run_group(shell)
}

/// Runs a script in a process group of its own, and ends what is left of the group: a failed script does not stop its servers.
fn run_group(shell: &mut Command) -> Result<(), String> {
    let shown = show(shell);
    let failed = |error| format!("{shown}: {error}");
    let mut child = shell.process_group(0).spawn().map_err(failed)?;
    let group = format!("-{}", child.id());
    let status = child.wait();
    // It fails if the group is empty, as it should be.
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    let status = status.map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_script_leaves_no_process() {
        let file = std::env::temp_dir().join(format!("private-media-group-{}", std::process::id()));
        let mut script = Command::new("sh");
        script.args(["-c", "sleep 600 & echo $! > \"$0\"; exit 3"]).arg(&file);
        assert!(run_group(&mut script).unwrap_err().ends_with("exit status: 3"));
        let id = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let ended = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            let state = std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
            // A killed process may wait for init to collect it.
            state.map_or(true, |stat| stat.contains(") Z "))
        });
        assert!(ended, "sleep {id} is still running");
    }
}
