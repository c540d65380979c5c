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

/// Mounts a copy of the bare Debian at `/mnt/root`, with copies of some folders of this machine. `$1` is the base, `$2` a script, and the others are the
/// folders, of which the first is the checkout. Then `own FROM TO` mounts a copy.
const MOUNT: &str = "base=$1 script=$2
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
    for folder in \"$@\"; do own \"$folder\" \"/mnt/root$folder\"; done";

/// Runs the script.
const RUN: &str = "cd /
    exec chroot /mnt/root sh -eu -c \"cd '$checkout'
$script\"";

/// Mounts control groups for a service manager: the unified hierarchy, or one of its own.
const CONTROL_GROUPS: &str = "mount_control_groups() {
        if test -e /sys/fs/cgroup/cgroup.controllers; then
            mount -t cgroup2 none \"$1\"
        else
            mount -t tmpfs none \"$1\"
            mkdir \"$1/systemd\"
            mount -t cgroup -o none,name=systemd none \"$1/systemd\"
        fi
    }";

/// Runs the script, and then systemd as the first process, with a network of its own.
const BOOT: &str = "mount -t sysfs none /mnt/root/sys
    mount_control_groups /mnt/root/sys/fs/cgroup
    touch /mnt/root/output
    mount --bind \"$checkout/target/install/boot.log\" /mnt/root/output
    cd /mnt/root
    mkdir old
    pivot_root . old
    chroot . sh -eu -c \"cd '$checkout'
$script\"
    exec chroot . sh -eu -c 'umount -l /old
        rmdir /old
        mount -t tmpfs none /run
        exec env -i container=test unshare --net /lib/systemd/systemd --show-status=no'";

/// Runs a script in a copy of the bare Debian, in the checkout of this repository. All changes are discarded.
///
/// `folders` are folders of this machine that the script sees, as copies too.
pub(crate) fn run(script: &str, folders: &[String]) -> Result<(), String> {
    step(&mut isolated(&format!("{MOUNT}\n{RUN}"), script, folders)?)
}

/// Returns whether systemd can be the first process of a PID namespace: this needs a hierarchy of control groups.
pub(crate) fn can_boot() -> bool {
    let mount = format!("{CONTROL_GROUPS}\nmount_control_groups /mnt");
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--cgroup", "sh", "-eu", "-c", &mount]).stderr(Stdio::null());
    unshare.status().is_ok_and(|status| status.success())
}

/// Like [`run`], and then boots the copy. A unit that the script enables ends it, and writes to `/output`.
pub(crate) fn boot(script: &str) -> Result<(), String> {
    const OUTPUT: &str = "target/install/boot.log";
    std::fs::write(OUTPUT, "").map_err(|error| format!("{OUTPUT}: {error}"))?;
    let booted = step(&mut isolated(&format!("{MOUNT}\n{CONTROL_GROUPS}\n{BOOT}"), script, &[])?);
    print!("{}", std::fs::read_to_string(OUTPUT).unwrap_or_default());
    booted
}

/// Returns a command that runs `enter` in namespaces of its own.
fn isolated(enter: &str, script: &str, folders: &[String]) -> Result<Command, String> {
    let checkout = std::env::current_dir().map_err(|error| error.to_string())?.display().to_string();
    let base = format!("{checkout}/{BASE}");
    let namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--ipc", "--uts"];
    let mut command = Command::new("unshare");
    command
        .args(namespaces)
        .args(["sh", "-eu", "-c", enter, "enter", &base, script, &checkout])
        .args(folders);
    // As after a sign-in: no variable of this machine, but those that find registries.
    command.env_clear();
    command.envs(std::env::vars().filter(|(name, _)| name.starts_with("PIP_") || name.ends_with("_proxy")));
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("HOME", "/root").env("LANG", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}
