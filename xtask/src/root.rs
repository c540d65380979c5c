//! A bare Debian in a folder, and scripts that run in a copy of it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::machine::{output, step};

const BASE: &str = "target/install/base";
/// Written last, so that an interrupted installation is repeated.
const COMPLETE: &str = "target/install/base/complete";
/// What a reader has who follows a page: a client, and the certificates of registries.
const INCLUDE: &str = "--include=ca-certificates,curl";

/// Returns whether this machine can hold a bare Debian: some containers allow no device files, not even root.
pub(crate) fn is_possible() -> bool {
    let make = "rm -f target/null && mknod target/null c 1 3 && echo test > target/null && rm target/null";
    Command::new("sh").args(["-c", make]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Installs Debian's minimal system from the archive of this machine, and copies what it needs to reach archives and registries.
pub(crate) fn install() -> Result<(), String> {
    if Path::new(COMPLETE).exists() {
        return Ok(());
    }
    let _ = std::fs::remove_dir_all(BASE);
    std::fs::create_dir_all(BASE).map_err(|error| format!("{BASE}: {error}"))?;
    let (archive, suite) = archive()?;
    // The address of an archive may contain a password: it is not printed.
    let bootstrap =
        "debootstrap --variant=minbase \"$1\" \"$2\" \"$3\" \"$4\" > target/install/debootstrap.log 2>&1 || {
            tail -n 20 target/install/debootstrap.log
            exit 1
        }
        cd \"$3\"
        for path in etc/apt/auth.conf.d etc/hosts etc/resolv.conf etc/ssl/certs/ca-certificates.crt; do
            if test -e \"/$path\"; then
                rm -rf \"$path\"
                cp -rL \"/$path\" \"$path\"
            fi
        done
        touch complete";
    let arguments = ["-eu", "-c", bootstrap, "debootstrap", INCLUDE, &suite, BASE, &archive];
    step(Command::new("sh").args(arguments))
}

/// Returns the archive and the suite that this machine is installed from.
fn archive() -> Result<(String, String), String> {
    let format = ["indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"];
    let targets = output(Command::new("apt-get").args(format))?;
    let codename =
        output(Command::new("sh").args(["-c", ". /etc/os-release && echo \"$VERSION_CODENAME\""]))?;
    let found = targets.lines().filter_map(|line| line.split_once(' ')).find(|(_, suite)| *suite == codename);
    let (archive, suite) = found
        .ok_or_else(|| format!("apt has no source of {codename}; add one to /etc/apt/sources.list.d"))?;
    Ok((archive.to_owned(), suite.to_owned()))
}

/// Runs a script in a copy of the bare Debian, in the checkout of this repository. All changes are discarded.
///
/// `folders` are folders of this machine that the script sees, as copies too.
pub(crate) fn run(script: &str, folders: &[String]) -> Result<(), String> {
    let checkout = std::env::current_dir().map_err(|error| error.to_string())?.display().to_string();
    let enter = "base=$1 script=$2
        shift 2
        checkout=$1
        mount -t tmpfs none /mnt
        count=0
        own() {
            count=$((count + 1))
            mkdir -p /mnt/upper$count /mnt/work$count \"$2\"
            mount -t overlay overlay -o \"lowerdir=$1,upperdir=/mnt/upper$count,workdir=/mnt/work$count\" \"$2\"
        }
        own \"$base\" /mnt/root
        mount -t proc none /mnt/root/proc
        mount --rbind /dev /mnt/root/dev
        for folder in \"$@\"; do own \"$folder\" \"/mnt/root$folder\"; done
        cd /
        exec chroot /mnt/root sh -eu -c \"cd '$checkout'
$script\"";
    let base = format!("{checkout}/{BASE}");
    let isolated = ["--mount", "--pid", "--fork", "--kill-child", "sh", "-eu", "-c", enter, "enter"];
    let mut command = Command::new("unshare");
    command.args(isolated).args([&base, script, &checkout]).args(folders);
    // As after a sign-in: no variable of this machine, but those that find registries.
    command.env_clear();
    command.envs(std::env::vars().filter(|(name, _)| name.starts_with("PIP_") || name.ends_with("_proxy")));
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    step(command.env("HOME", "/root").env("LANG", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive"))
}
