//! Runs the commands of documentation pages, as a reader would.

use std::process::Command;

use crate::links;
use crate::machine::{self, Program, run_tests, step};
use crate::outcome::Outcome;
use crate::pages::script_of;
use crate::python;

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

/// Checks the links of all pages, and runs the commands of the tested ones.
pub(crate) fn test(outcome: &mut Outcome) -> Result<(), String> {
    links::check()?;
    how_to_pages(outcome)?;
    for page in [
        "docs/tutorial.md",
        "docs/how-to/cors.md",
        "docs/how-to/identity-jwt.md",
        "docs/how-to/lookups.md",
        "docs/how-to/test-permissions.md",
    ] {
        commands_of(page)?;
    }
    for front in ["nginx", "apache", "lighttpd", "caddy"] {
        commands_of_root(&format!("docs/how-to/{front}.md"))?;
    }
    for source in ["forward", "header"] {
        commands_of_root(&format!("docs/how-to/identity-{source}.md"))?;
    }
    for page in ["backup", "store-files", "upgrade"] {
        commands_of_root(&format!("docs/how-to/{page}.md"))?;
    }
    commands_of_project("docs/how-to/django-production.md", python::TOOLS)
}

/// Runs the tests that compare how-to pages with what happens.
fn how_to_pages(outcome: &mut Outcome) -> Result<(), String> {
    let python = machine::venv("target/howto-venv", "tests/howto/requirements.txt")?;
    let program = std::path::absolute("target/release/private-media").map_err(|error| error.to_string())?;
    let mut tests = Command::new(python);
    tests.args(["-m", "pytest", "tests/howto"]).env("PRIVATE_MEDIA_PROGRAM", program);
    run_tests(&mut tests, outcome)
}

/// Runs the commands of a page in one shell and an empty folder.
fn commands_of(page: &str) -> Result<(), String> {
    run_script(&mut Command::new("sh"), &script_of(page)?)
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

/// Runs the commands of a page that changes the machine, in separate namespaces.
fn commands_of_root(page: &str) -> Result<(), String> {
    let commands = script_of(page)?;
    check_brief(page, &commands)?;
    run_as_root(&format!("cp \"$(command -v private-media)\" /mnt/bin\n{commands}"))
}

/// Like [`commands_of_root`], for a page about a project with this virtual environment.
fn commands_of_project(page: &str, venv: &str) -> Result<(), String> {
    let venv = std::path::absolute(venv).map_err(|error| format!("{venv}: {error}"))?;
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
    run_as_root(&format!("{python}\n{}", script_of(page)?))
}

fn run_as_root(script: &str) -> Result<(), String> {
    let isolated = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh"];
    run_script(Command::new("unshare").args(isolated), &format!("{NAMESPACES}\n{script}"))
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

fn run_script(shell: &mut Command, script: &str) -> Result<(), String> {
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let folder = root.join("target/commands");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path =
        std::env::join_paths([root.join("target/release")].into_iter().chain(std::env::split_paths(&path)));
    let path = path.map_err(|error| error.to_string())?;
    step(shell.args(["-eu", "-c", script]).current_dir(folder).env("PATH", path))
}
