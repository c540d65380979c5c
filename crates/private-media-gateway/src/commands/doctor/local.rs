//! What can be seen on this machine: folders, modes, places, time and space.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use private_media::Accounts;
use private_media::identity::accounts::{AccountsFile, AccountsOptions};
use private_media_django::SecretKeys;

use super::report::{Finding, Findings, quoted, unless_ok};
use crate::config::{Config, Django, Source};
use crate::folders::is_inside;
use crate::send_mode::SendMode;

/// Folders that a server shows to everybody as they come.
const WEB_ROOTS: [&str; 9] = [
    "/var/www",
    "/usr/share/nginx",
    "/usr/share/caddy",
    "/usr/local/www",
    "/usr/local/nginx/html",
    "/usr/local/apache2/htdocs",
    "/srv/http",
    "/srv/www",
    "/opt/lampp/htdocs",
];
/// Names of folders that are shown to everybody wherever they are.
const WEB_NAMES: [&str; 5] = ["public_html", "htdocs", "httpdocs", "wwwroot", "html"];

/// The root is a folder that nobody reads or writes past the gateway.
pub(super) fn root(config: &Config) -> Findings {
    let (root, quoted_root) = (config.root.display(), quoted(&config.root));
    let metadata = match std::fs::metadata(&config.root) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let fix = format!("mkdir -p -m 2750 {quoted_root}, or name another with --root");
            return vec![Finding::problem(format!("{root}: there is no such folder"), fix)];
        }
        Err(error) => return vec![Finding::problem(format!("{root}: {error}"), run_as(&config.root))],
    };
    if !metadata.is_dir() {
        let fix = "name the folder that holds the private files with --root";
        return vec![Finding::problem(format!("{root}: it is not a folder"), fix)];
    }
    let mode = metadata.mode();
    let seen = format!("{root} has the mode {:04o}", mode & 0o7777);
    let mut problems = Vec::new();
    if let Some(mount) = unmounted(config) {
        let mount = mount.display();
        let message = format!("{root} lies on {mount}, which /etc/fstab mounts and which is not mounted");
        problems.push(Finding::problem(message, format!("mount {mount}")));
    }
    if mode & 0o002 != 0 {
        let message = format!("{seen}: every user of this machine can put files into it");
        problems.push(Finding::problem(message, format!("chmod o-rwx {quoted_root}")));
    } else if mode & 0o005 != 0 {
        let message = format!("{seen}: every user of this machine can go into it, past the gateway");
        problems.push(Finding::problem(message, format!("chmod o-rwx {quoted_root}")));
    }
    if mode & 0o020 != 0 && config.send_mode != SendMode::Direct && mode & 0o2000 == 0 {
        let group = group_name(metadata.gid());
        let message =
            format!("{seen}: the group {group} can write in it, and the front server needs to read only");
        problems.push(Finding::problem(message, format!("chmod g-w,g+s {quoted_root}")));
    }
    unless_ok(problems, seen)
}

/// The file system that the root should lie on, if it is not mounted: the root is then what lies below the mount point.
fn unmounted(config: &Config) -> Option<PathBuf> {
    let root = real(&config.root)?;
    let [fstab, mounts] = ["/etc/fstab", "/proc/self/mounts"].map(std::fs::read_to_string);
    mount_point_of(&root, &fstab.ok()?)
        .filter(|mount| !mount_points(&mounts.unwrap_or_default()).contains(mount))
}

/// The mount point in a table like `/etc/fstab` that is the nearest above a path.
fn mount_point_of(path: &Path, table: &str) -> Option<PathBuf> {
    let above = mount_points(table).into_iter().filter(|mount| path.starts_with(mount));
    above.max_by_key(|mount| mount.components().count())
}

/// The mount points of a table, without those that are mounted on demand only (fstab(5)).
fn mount_points(table: &str) -> Vec<PathBuf> {
    let lines = table.lines().filter(|line| !line.trim_start().starts_with('#'));
    let points = lines.filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (point, options) = (fields.next()?, fields.nth(1).unwrap_or_default());
        let is_mounted = point.starts_with('/') && !options.split(',').any(|option| option == "noauto");
        is_mounted
            .then(|| PathBuf::from(point.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")))
    });
    points.collect()
}

/// Nobody gets past the front server that files are handed off to.
pub(super) fn listen(config: &Config) -> Findings {
    let open: Vec<_> = config.listen.iter().filter(|address| !address.ip().is_loopback()).collect();
    match open.first() {
        Some(address) if config.send_mode != SendMode::Direct => vec![Finding::problem(
            format!("the gateway listens on {address}, where others reach it past the front server"),
            "listen = \"127.0.0.1:8000\", or let a firewall close the port",
        )],
        Some(address) => vec![Finding::ok(format!("{address}, where others reach it, too"))],
        None => vec![Finding::ok("this machine only")],
    }
}

/// The root is in no folder that is known to be shown to everybody.
pub(super) fn web_root(config: &Config) -> Findings {
    let places = [std::path::absolute(&config.root).ok(), real(&config.root)];
    let public = places.iter().flatten().find_map(|place| web_root_of(place));
    vec![match public {
        Some(public) => Finding::problem(
            format!(
                "the root {} lies in {}, which servers show to everybody",
                config.root.display(),
                public.display()
            ),
            format!(
                "move it out of there, such as to /srv/private-media, and set root; nothing in {} is private",
                public.display()
            ),
        ),
        None => {
            Finding::ok(format!("{} lies in no folder that servers show as a rule", config.root.display()))
        }
    }]
}

/// The folder above this one that is known to be public.
fn web_root_of(place: &Path) -> Option<PathBuf> {
    let is_public = |folder: &&Path| {
        WEB_ROOTS.iter().any(|known| *folder == Path::new(known))
            || folder.file_name().is_some_and(|name| WEB_NAMES.iter().any(|known| name == *known))
    };
    place.ancestors().find(is_public).map(Path::to_path_buf)
}

/// Nothing private lies in a folder that the application shows to everybody.
pub(super) fn public_folders(config: &Config) -> Findings {
    let folders = config.public_folders();
    if folders.is_empty() {
        return vec![Finding::ok("no folder is named as public")];
    }
    let mut problems = Vec::new();
    for folder in &folders {
        let shown = folder.display();
        let mut problem = |message: String, fix: &str| problems.push(Finding::problem(message, fix));
        if !folder.is_dir() {
            problem(
                format!("{shown}: there is no such folder"),
                "name the application's folders with --public",
            );
        }
        if is_inside(&config.root, folder) {
            problem(
                format!(
                    "the root {} lies in {shown}, which the application serves to everybody",
                    config.root.display()
                ),
                "move the root out of there, and set root",
            );
        } else if is_inside(folder, &config.root) {
            problem(
                format!("{shown} lies in the private root, so what is private may be served to everybody"),
                "move it out of there, and set public",
            );
        }
    }
    let all: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    unless_ok(problems, format!("the root and {} do not overlap", all.join(", ")))
}

/// The accounts are read by their owner alone, and signs sessions that last.
pub(super) fn accounts(config: &Config) -> Findings {
    if let Source::Django(django) = &config.source {
        return secret_keys(config, django);
    }
    let path = &config.accounts;
    let shown = path.display();
    let mut problems = misplaced(config, path, "the accounts file");
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.mode() & 0o077 != 0 => {
            let message = format!(
                "{shown} has the mode {:03o}: others can read its hashes and its secret",
                metadata.mode() & 0o777
            );
            problems.push(Finding::problem(message, format!("chmod 600 {}", quoted(path))));
        }
        Ok(_) => {
            match AccountsFile::load(path).and_then(|file| Accounts::new(file, AccountsOptions::default())) {
                Ok(accounts) if !accounts.has_secret() => problems.push(Finding::problem(
                    format!("{shown} has no secret, so every sign-in ends when the gateway stops"),
                    "private-media account add NAME writes one, with the next account",
                )),
                Ok(_) => {}
                Err(error) => problems.push(Finding::problem(error.to_string(), run_as(path))),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("{shown}: there is no such file");
            problems.push(Finding::problem(message, "make it with: private-media account add NAME"));
        }
        Err(error) => problems.push(Finding::problem(format!("{shown}: {error}"), run_as(path))),
    }
    unless_ok(problems, format!("{shown} is its owner's alone, and holds the secret that signs sessions"))
}

/// Django's secret keys are read by their owner alone, and neither they nor the database can be downloaded.
fn secret_keys(config: &Config, django: &Django) -> Findings {
    let path = &django.secret_file;
    let shown = path.display();
    let mut problems = misplaced(config, path, "the file of Django's secret keys");
    if let Some(database) = django.database.file() {
        problems.extend(misplaced(config, database, "Django's database"));
    }
    if let Err(error) = SecretKeys::load(path) {
        problems.push(Finding::problem(format!("{shown}: {error}"), run_as(path)));
    }
    unless_ok(problems, format!("{shown} is its owner's alone, and holds Django's secret keys"))
}

/// The configuration is nowhere where it could be downloaded.
pub(super) fn config_file(config: &Config) -> Findings {
    match config.file() {
        Some(file) => {
            let ok = format!("{} lies in no folder that is served", file.display());
            unless_ok(misplaced(config, file, "the configuration"), ok)
        }
        None => vec![Finding::ok("there is no configuration file")],
    }
}

fn misplaced(config: &Config, path: &Path, what: &str) -> Findings {
    let public = config.public_folders();
    let folders = std::iter::once((&config.root, "the private root, where a grant could give it away"))
        .chain(public.iter().map(|folder| (folder, "what the application serves to everybody")));
    let lies = folders.filter(|(folder, _)| is_inside(path, folder));
    lies.map(|(folder, why)| {
        let message = format!("{what} {} lies in {}: {why}", path.display(), folder.display());
        Finding::problem(message, "move it out of there, such as to /etc/private-media/")
    })
    .collect()
}

/// Strangers learn nothing of the rules.
pub(super) fn debug(config: &Config) -> Findings {
    vec![if config.debug {
        Finding::problem(
            "debug is on: who is denied learns that the file is there, and which grants there are",
            "debug = false (or no --debug), and start the gateway anew",
        )
    } else {
        Finding::ok("off")
    }]
}

/// There is room for uploads.
pub(super) fn space(config: &Config) -> Findings {
    const LEAST: u64 = 256 << 20;
    let root = config.root.display();
    let device = match rustix::fs::statvfs(&config.root) {
        Ok(device) => device,
        Err(error) => return vec![Finding::note(format!("the file system of {root}: {error}"))],
    };
    let free = device.f_bavail.saturating_mul(device.f_frsize);
    let share = |part: u64, whole: u64| part.saturating_mul(100).checked_div(whole);
    let space = share(device.f_bavail, device.f_blocks).unwrap_or(100);
    let inodes = share(device.f_favail, device.f_files).unwrap_or(100);
    let seen = format!("{} MiB ({space} %) and {inodes} % of the inodes are free below {root}", free >> 20);
    let is_short = free < LEAST || space < 5 || inodes < 5;
    vec![if is_short {
        Finding::problem(
            seen,
            "make room, or move the root to a larger file system; uploads fail when it is full",
        )
    } else {
        Finding::ok(seen)
    }]
}

/// Says how to run this as the owner of a file.
pub(super) fn run_as(path: &Path) -> String {
    let owner = std::fs::metadata(path).ok().map(|metadata| metadata.uid()).filter(|owner| *owner != 0);
    match owner {
        Some(owner) if owner == rustix::process::geteuid().as_raw() => {
            format!("let this user read and write all below it: chown -R {owner} {}", quoted(path))
        }
        Some(owner) => {
            let name = name_in("/etc/passwd", owner).unwrap_or_else(|| format!("'#{owner}'"));
            format!("run it as the gateway's user: sudo -u {name} private-media doctor …")
        }
        None => "run it as the gateway's user, or as root".into(),
    }
}

pub(super) fn group_name(id: u32) -> String {
    name_in("/etc/group", id).unwrap_or_else(|| id.to_string())
}

/// The name of an id, in the local tables: what comes from elsewhere keeps its number.
fn name_in(table: &str, id: u32) -> Option<String> {
    let table = std::fs::read_to_string(table).ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

/// Where a folder really is, as the kernel says of the open one.
pub(super) fn real(folder: &Path) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;

    let folder = std::fs::File::open(folder).ok()?;
    std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_roots() {
        for (place, public) in [
            ("/var/www/site/private", Some("/var/www")),
            ("/var/www", Some("/var/www")),
            ("/home/site/public_html/private", Some("/home/site/public_html")),
            ("/opt/site/htdocs/x/y", Some("/opt/site/htdocs")),
            ("/usr/share/nginx/html/private", Some("/usr/share/nginx/html")),
            ("/var/www2/private", None),
            ("/srv/site/media/private", None),
            ("/srv/private", None),
        ] {
            assert_eq!(web_root_of(Path::new(place)).as_deref(), public.map(Path::new), "{place}");
        }
    }

    #[test]
    fn mount_points_above_a_root() {
        const FSTAB: &str = "# a comment /srv ext4\n\
            UUID=1 / ext4 defaults 0 1\n\
            UUID=2 none swap sw 0 0\n\
            /dev/sdb1 /srv/media ext4 defaults,nofail 0 2\n\
            /dev/sdc1 /srv/my\\040media xfs\n\
            /dev/sdd1 /srv/usb vfat noauto,user 0 0\n\
            short\n";
        for (root, mount) in [
            ("/srv/media/private", Some("/srv/media")),
            ("/srv/media", Some("/srv/media")),
            ("/srv/media2/private", Some("/")),
            ("/srv/my media/private", Some("/srv/my media")),
            ("/srv/usb/private", Some("/")),
            ("relative", None),
        ] {
            assert_eq!(mount_point_of(Path::new(root), FSTAB).as_deref(), mount.map(Path::new), "{root}");
        }
    }

    #[test]
    fn names_of_ids() {
        assert_eq!(name_in("/etc/passwd", 0).as_deref(), Some("root"));
        assert_eq!(name_in("/nowhere", 0), None);
    }
}
