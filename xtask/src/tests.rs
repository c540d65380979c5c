//! Everything that is tested, in the order in which it fails fastest.

use std::process::Command;
use std::time::Instant;

use crate::advisories::{self, Advisories};
use crate::bench;
use crate::django;
use crate::fuzz;
use crate::links;
use crate::machine::{self, cargo, exists, step};
use crate::pages::script_of;
use crate::python;
use crate::soak;

/// What tests run beside the toolchain, by its name or whole path, and the Debian package that has it: those of the Python package,
pub(crate) const FRONTS: [(&str, &str); 3] = [
    ("/usr/lib/apache2/modules/mod_xsendfile.so", "libapache2-mod-xsendfile"),
    ("apache2ctl", "apache2"),
    ("nginx", "nginx"),
];
/// and all the others.
const PROGRAMS: [(&str, &str); 13] = [
    ("/usr/lib/lighttpd/mod_deflate.so", "lighttpd-mod-deflate"),
    ("caddy", "caddy"),
    ("chromium", "chromium"),
    ("curl", "curl"),
    ("faketime", "faketime"),
    ("fincore", "util-linux-extra"),
    ("ip", "iproute2"),
    ("lighttpd", "lighttpd"),
    ("mkfifo", "coreutils"),
    ("openssl", "openssl"),
    ("python3", "python3"),
    ("strace", "strace"),
    ("unshare", "util-linux"),
];
/// What cargo installs itself.
const CARGO_TOOLS: [&str; 2] = ["cargo-nextest", "cargo-deny"];

/// Installs and runs all.
pub(crate) fn run() -> Result<(), String> {
    let begin = Instant::now();
    machine::install(&[&FRONTS[..], &PROGRAMS].concat())?;
    for tool in CARGO_TOOLS.iter().filter(|tool| !exists(tool)) {
        cargo(&["install", "--locked", tool])?;
    }
    django::install()?;
    python::build()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])?;
    links::check()?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo(&["deny", "check", "bans", "licenses", "sources"])?;
    let advisories = advisories::check()?;
    step(Command::new("cargo").args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    // The program as its users have it: the browser and the documentation's commands run it.
    cargo(&["build", "--release", "--package", "private-media-gateway"])?;
    step(
        Command::new("cargo")
            .args(["nextest", "run", "--workspace", "--no-fail-fast"])
            .env("PRIVATE_MEDIA_TEST_ALL", "1"),
    )?;
    cargo(&["test", "--workspace", "--doc"])?;
    fuzz::test()?;
    bench::test()?;
    soak::test()?;
    commands_of("docs/tutorial.md")?;
    for front in ["nginx", "apache", "lighttpd", "caddy"] {
        commands_of_root(&format!("docs/how-to/{front}.md"))?;
    }
    django::vectors()?;
    python::test()?;
    commands_of_project("docs/how-to/django-production.md", python::TOOLS)?;
    browser()?;
    let seconds = begin.elapsed().as_secs();
    match advisories {
        Advisories::Checked => println!("all of it passed in {seconds} s"),
        Advisories::Skipped => {
            println!("all of it passed in {seconds} s; advisories were NOT CHECKED, see above");
        }
    }
    Ok(())
}

/// Runs the shell blocks of a page that are marked as tests, in one shell, in a folder of their own.
fn commands_of(page: &str) -> Result<(), String> {
    run_script(&mut Command::new("sh"), &script_of(page)?)
}

/// What begins a script that sees a machine of its own, whose disk, network and processes go with it. It has no lists of
/// packages: what is installed is then the newest that apt knows of, and nothing is downloaded.
const MACHINE: &str = "mount -t tmpfs none /mnt
    own() {
        mkdir -p /mnt$1/upper /mnt$1/work
        mount -t overlay overlay -o lowerdir=$1,upperdir=/mnt$1/upper,workdir=/mnt$1/work $1
    }
    for folder in /etc /srv /var /run; do own $folder; done
    rm -rf /var/lib/apt/lists
    mkdir /mnt/bin
    PATH=/mnt/bin:$PATH
    ip link set lo up";

/// The same for a page whose commands change the machine.
fn commands_of_root(page: &str) -> Result<(), String> {
    let commands = script_of(page)?;
    check_brief(page, &commands)?;
    run_as_root(&format!("cp \"$(command -v private-media)\" /mnt/bin\n{commands}"))
}

/// The same for a page about a project whose virtual environment this is.
fn commands_of_project(page: &str, venv: &str) -> Result<(), String> {
    let venv = std::path::absolute(venv).map_err(|error| format!("{venv}: {error}"))?;
    // Other users get to it, and to an interpreter that is in somebody's home.
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
    run_script(Command::new("unshare").args(isolated), &format!("{MACHINE}\n{script}"))
}

/// What stands before the first look at the file takes less than ten commands.
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
        Err(format!("{page}: it takes {count} commands, and less than 10 are promised"))
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

fn browser() -> Result<(), String> {
    let python = machine::venv("target/venv", "tests/browser/requirements.txt")?;
    let program =
        std::env::current_dir().map_err(|error| error.to_string())?.join("target/release/private-media");
    let mut tests = Command::new(&python);
    tests.args(["-m", "pytest", "tests/browser"]).env("PRIVATE_MEDIA_BIN", program);
    step(tests.env("PRIVATE_MEDIA_PYTHON", python::with_the_wheel()?))
}
