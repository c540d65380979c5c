//! Installs the gateway in a bare Debian, as README says, and tests the Debian package.

use std::process::Command;

use crate::container;
use crate::dist;
use crate::links::read;
use crate::machine::{Program, cargo, install, output, step};
use crate::outcome::Outcome;
use crate::root;

pub(crate) const PROGRAMS: [Program; 12] = [
    ("curl", "curl"),
    ("debootstrap", "debootstrap"),
    ("dpkg-deb", "dpkg"),
    ("git", "git"),
    ("lintian", "lintian"),
    ("nginx", "nginx"),
    ("openssl", "openssl"),
    ("pgrep", "procps"),
    ("python3", "python3"),
    ("strace", "strace"),
    ("systemd-analyze", "systemd"),
    ("unshare", "util-linux"),
];

/// The ways of README's section "Install".
const WAYS: [Way; 3] = [
    // The compiler is newer than Debian's, so it is that of this machine.
    Way {
        heading: "### With cargo",
        prepare: "apt-get install --quiet --yes --no-install-recommends gcc libc6-dev > /dev/null",
        needs_rust: true,
    },
    // The wheel of the other tests, in the place of that of a release.
    Way {
        heading: "### With pip",
        prepare: "apt-get install --quiet --yes --no-install-recommends python3-venv > /dev/null
            python3 -m venv ~/venv
            . ~/venv/bin/activate
            rm -rf target/wheels
            mkdir target/wheels
            cp target/python/wheels/*.whl target/wheels",
        needs_rust: false,
    },
    Way { heading: "### On Debian", prepare: ":", needs_rust: false },
];

struct Way {
    heading: &'static str,
    /// What the machine of a reader has already.
    prepare: &'static str,
    needs_rust: bool,
}

pub(crate) fn test(outcome: &mut Outcome) -> Result<(), String> {
    dist::prepare("target")?;
    let package = dist::deb("target", dist::FOLDER)?;
    dist::lint(&package)?;
    check_unit()?;
    container::check()?;
    if !root::is_possible() {
        outcome.not_required.push("installations in a bare Debian (no device files can be made here)".into());
        return Ok(());
    }
    root::install()?;
    service()?;
    let readme = read("README.md")?;
    let mut headings = section(&readme, "## Install").filter(|line| line.starts_with("### "));
    if let Some(untested) = headings.find(|heading| WAYS.iter().all(|way| way.heading != *heading)) {
        return Err(format!("README.md: {untested}: not tested; add it to xtask/src/install.rs"));
    }
    for way in WAYS {
        first_photo(&readme, &way)?;
        outcome
            .closing
            .push(format!("{}: 1 passed in a bare Debian", way.heading.trim_start_matches("### ")));
    }
    Ok(())
}

/// Checks the sandbox of the unit. Its exposure is between 0 and 10; below 2 is good.
fn check_unit() -> Result<(), String> {
    let unit = "packaging/deb/private-media.service";
    let limit = ["security", "--offline=yes", "--threshold=20", "--no-pager", unit];
    step(Command::new("systemd-analyze").args(limit))?;
    step(Command::new("sh").args(["-eu", "tests/install/system-calls.sh"]))
}

/// Installs, configures, starts, upgrades, removes and purges the package, with the commands of the page.
fn service() -> Result<(), String> {
    let commands = commands(&read("docs/how-to/install.md")?, "## Debian")?;
    root::run(&script("tests/install/service.sh", ":", &commands)?, &[])
}

/// `cargo xtask boot`: builds the package, and boots a Debian with it.
pub(crate) fn boot_package() -> Result<(), String> {
    if !root::is_possible() || !root::can_boot() {
        return Err("cannot boot a Debian here: this needs root, device files and control groups".into());
    }
    install(&PROGRAMS)?;
    cargo(&["build", "--release", "--package", "private-media-gateway"])?;
    dist::prepare("target")?;
    dist::deb("target", dist::FOLDER)?;
    root::install()?;
    boot()
}

/// Boots a Debian with the package, where systemd runs the units that the package installs and that `config systemd` prints.
fn boot() -> Result<(), String> {
    let certificate = "mkdir -p target/install/tls
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \\
            -addext subjectAltName=DNS:localhost -keyout target/install/tls/key.pem -out target/install/tls/cert.pem 2> /dev/null";
    step(Command::new("sh").args(["-eu", "-c", certificate]))?;
    let commands = commands(&read("docs/how-to/install.md")?, "## Debian")?;
    root::boot(&script("tests/install/boot.sh", ":", &commands)?)
}

/// Runs README's commands up to the first photo, which its owner gets and nobody else.
fn first_photo(readme: &str, way: &Way) -> Result<(), String> {
    const SERVE: &str = "\nprivate-media serve ";
    let commands = commands(readme, way.heading)? + &commands(readme, "## A private photo in three minutes")?;
    if !commands.contains(SERVE) {
        return Err("README.md: no command private-media serve".into());
    }
    // The shell of a reader waits for the gateway; the script does not.
    let commands = commands.replace(SERVE, "\nserve ");
    let script = script("tests/install/first-photo.sh", way.prepare, &commands)?;
    if !way.needs_rust {
        return root::run(&script, &[]);
    }
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let [_, cargo_home] = dist::own_folders()?;
    // Other parts test the optimized build, which takes twice as long.
    let quick = "CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1";
    let path =
        format!("export PATH={sysroot}/bin:$PATH:{cargo_home}/bin CARGO_HOME={cargo_home} {quick}\n{script}");
    root::run(&path, &[sysroot, cargo_home])
}

/// Returns a test with the commands of a page in it.
fn script(test: &str, prepare: &str, commands: &str) -> Result<String, String> {
    let test = read("tests/install/functions.sh")? + &read(test)?;
    Ok(test.replace("# WHAT THE READER HAS", prepare).replace("# COMMANDS OF THE PAGE", commands))
}

/// Returns the shell commands of a section.
fn commands(page: &str, heading: &str) -> Result<String, String> {
    let (mut commands, mut is_shell) = (String::new(), false);
    for line in section(page, heading) {
        match line.strip_prefix("```") {
            Some(language) => is_shell = language.starts_with("sh"),
            None if is_shell => {
                commands.push_str(line);
                commands.push('\n');
            }
            None => {}
        }
    }
    if commands.is_empty() {
        Err(format!("no shell command in the section {heading:?}"))
    } else {
        Ok(commands)
    }
}

/// Returns the lines of a section without its heading, up to the next one of its level or a higher one.
fn section<'a>(page: &'a str, heading: &'a str) -> impl Iterator<Item = &'a str> {
    let level = |line: &str| line.find(|character| character != '#').filter(|level| *level > 0);
    let mut is_code = false;
    let lines = page.lines().skip_while(move |line| *line != heading).skip(1);
    lines.take_while(move |line| {
        is_code ^= line.starts_with("```");
        is_code || level(line).is_none_or(|found| Some(found) > level(heading))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A\n## B\n```sh fragment\nrun b\n```\n### C\n```sh\n# a comment\nrun c\n```\n```text\nno\n```\n\
                        ## D\n```sh\nrun d\n```\n";

    #[test]
    fn sections_end_at_the_next_heading() {
        for (heading, expected) in
            [("## B", "run b\n# a comment\nrun c\n"), ("### C", "# a comment\nrun c\n"), ("## D", "run d\n")]
        {
            assert_eq!(commands(PAGE, heading).unwrap(), expected, "{heading}");
        }
        assert!(commands(PAGE, "## E").is_err());
    }
}
