//! Checks on this machine: folders, permissions, locations and free space.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use private_media::Accounts;
use private_media::identity::accounts::{AccountsFile, AccountsOptions};
use private_media_django::SecretKeys;

use super::report::{Finding, Findings, or_ok, quoted};
use crate::addresses::ListenAddr;
use crate::config::{AccountsConfig, Config, DjangoConfig, KeySource, Source};
use crate::folders::is_inside;
use crate::http_client::shown;
use crate::identity::check_key_file;
use crate::identity::forward::ForwardOptions;
use crate::identity::header::HeaderOptions;
use crate::peers::PeerRange;

/// Folders that web servers serve by default.
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
/// Names of folders that are served wherever they are.
const WEB_NAMES: [&str; 5] = ["public_html", "htdocs", "httpdocs", "wwwroot", "html"];

/// Checks that other users of this machine cannot read or write the root.
pub(super) fn root(config: &Config) -> Findings {
    let (root, quoted_root) = (config.root.display(), quoted(&config.root));
    let metadata = match std::fs::metadata(&config.root) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let fix = format!("mkdir -p -m 2750 {quoted_root}, or choose another with --root");
            return vec![Finding::problem(format!("{root}: no such folder"), fix)];
        }
        Err(error) => return vec![Finding::problem(format!("{root}: {error}"), run_as(&config.root))],
    };
    if !metadata.is_dir() {
        let fix = "set --root to the folder of the private files";
        return vec![Finding::problem(format!("{root}: not a folder"), fix)];
    }
    let mode = metadata.mode();
    let seen = format!("{root} has mode {:04o}", mode & 0o7777);
    let mut problems = Vec::new();
    if let Some(mount) = unmounted(config) {
        let mount = mount.display();
        let message = format!("{root} is on {mount}, which is in /etc/fstab and not mounted");
        problems.push(Finding::problem(message, format!("mount {mount}")));
    }
    if mode & 0o002 != 0 {
        let message = format!("{seen}: every user of this machine can write to it");
        problems.push(Finding::problem(message, format!("chmod o-rwx {quoted_root}")));
    } else if mode & 0o005 != 0 {
        let message = format!("{seen}: every user of this machine can enter it, without the gateway");
        problems.push(Finding::problem(message, format!("chmod o-rwx {quoted_root}")));
    }
    if mode & 0o020 != 0 && config.send_mode.is_by_front_server() && mode & 0o2000 == 0 {
        let group = group_name(metadata.gid());
        let message =
            format!("{seen}: group {group} can write to it, but the front server only needs to read");
        problems.push(Finding::problem(message, format!("chmod g-w,g+s {quoted_root}")));
    }
    or_ok(problems, seen)
}

/// Returns the mount point above the root if its file system is not mounted.
fn unmounted(config: &Config) -> Option<PathBuf> {
    let root = real(&config.root)?;
    let [fstab, mounts] = ["/etc/fstab", "/proc/self/mounts"].map(std::fs::read_to_string);
    mount_point_of(&root, &fstab.ok()?)
        .filter(|mount| !mount_points(&mounts.unwrap_or_default()).contains(mount))
}

/// Returns the nearest mount point above a path, from a table like `/etc/fstab`.
fn mount_point_of(path: &Path, table: &str) -> Option<PathBuf> {
    let above = mount_points(table).into_iter().filter(|mount| path.starts_with(mount));
    above.max_by_key(|mount| mount.components().count())
}

/// Returns the mount points of a table, without those that are only mounted on demand (fstab(5)).
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

/// Checks that clients cannot bypass a front server that sends the files.
pub(super) fn listen(config: &Config) -> Findings {
    let open = match &config.listen {
        ListenAddr::Unix(path) => {
            return vec![Finding::ok(format!(
                "{}, for the owner and the group of that socket",
                path.display()
            ))];
        }
        ListenAddr::Tcp(addresses) => addresses.iter().find(|address| !address.ip().is_loopback()),
    };
    match open {
        Some(address) if config.send_mode.is_by_front_server() => vec![Finding::problem(
            format!("the gateway listens on {address}, so clients can bypass the front server"),
            "listen = \"127.0.0.1:8000\", or close the port in a firewall",
        )],
        Some(address) => vec![Finding::ok(format!("{address}, reachable from other machines"))],
        None => vec![Finding::ok("reachable from this machine only")],
    }
}

/// Checks that the root is outside of folders that web servers serve by default.
pub(super) fn web_root(config: &Config) -> Findings {
    let places = [std::path::absolute(&config.root).ok(), real(&config.root)];
    let public = places.iter().flatten().find_map(|place| web_root_of(place));
    vec![match public {
        Some(public) => Finding::problem(
            format!(
                "the root {} is in {}, which web servers serve to everyone",
                config.root.display(),
                public.display()
            ),
            format!(
                "move it, for example to /srv/private-media, and set root; nothing in {} is private",
                public.display()
            ),
        ),
        None => {
            Finding::ok(format!("{} is outside the usual web roots (/var/www, …)", config.root.display()))
        }
    }]
}

/// Returns the folder above this one that is a usual web root.
fn web_root_of(place: &Path) -> Option<PathBuf> {
    let is_public = |folder: &&Path| {
        WEB_ROOTS.iter().any(|known| *folder == Path::new(known))
            || folder.file_name().is_some_and(|name| WEB_NAMES.iter().any(|known| name == *known))
    };
    place.ancestors().find(is_public).map(Path::to_path_buf)
}

/// Checks that the root and the folders of `public` do not overlap.
pub(super) fn public_folders(config: &Config) -> Findings {
    let folders = config.public_folders();
    if folders.is_empty() {
        return vec![Finding::ok("public is not set")];
    }
    let mut problems = Vec::new();
    for folder in &folders {
        let shown = folder.display();
        let mut problem = |message: String, fix: &str| problems.push(Finding::problem(message, fix));
        if !folder.is_dir() {
            problem(
                format!("{shown}: no such folder"),
                "set --public to the folders that the application serves",
            );
        }
        if is_inside(&config.root, folder) {
            problem(
                format!(
                    "the root {} is in {shown}, which the application serves to everyone",
                    config.root.display()
                ),
                "move the root, and set root",
            );
        } else if is_inside(folder, &config.root) {
            problem(
                format!("{shown} is in the private root, so private files may be served to everyone"),
                "move it, and set public",
            );
        }
    }
    let all: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
    or_ok(problems, format!("the root and {} do not overlap", all.join(", ")))
}

/// Checks the files of each identity source, and what it trusts.
pub(super) fn accounts(config: &Config) -> Findings {
    let sources = config.identity.iter().map(|source| match &source.source {
        Source::Accounts(accounts) => accounts_file(config, accounts),
        Source::Django(django) => secret_keys(config, django),
        Source::Jwt(jwt) => token_keys(config, &jwt.options.keys),
        Source::Forward(options) => asked_application(options),
        Source::Header(options) => trusted_peers(options),
    });
    sources.flatten().collect()
}

/// Checks that credentials do not travel to the application in clear text.
fn asked_application(options: &ForwardOptions) -> Findings {
    let url = shown(&options.url);
    let host = options.url.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_local = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    vec![if is_local || options.url.scheme_str() == Some("https") {
        Finding::ok(format!("the application is asked at {url}"))
    } else {
        Finding::warning(
            format!("cookies and tokens of clients are sent to {url} without encryption"),
            "use https, or make sure that nobody else can listen on that network",
        )
    }]
}

/// Checks that a header that names a user is trusted from few peers.
fn trusted_peers(options: &HeaderOptions) -> Findings {
    let peers: Vec<_> = options.from.iter().map(ToString::to_string).collect();
    let (header, peers) = (&options.header, peers.join(", "));
    vec![if options.from.iter().all(PeerRange::is_single) {
        Finding::ok(format!("{header} is trusted from {peers} only"))
    } else {
        Finding::warning(
            format!("every machine of {peers} can be any user, by sending {header}"),
            "list the addresses of the front servers in identity.from",
        )
    }]
}

/// Checks that the accounts file is private to its owner and holds a session secret.
fn accounts_file(config: &Config, accounts: &AccountsConfig) -> Findings {
    let path = &accounts.file.path;
    let shown = path.display();
    let mut problems = misplaced(config, path, "the accounts file");
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.mode() & 0o077 != 0 => {
            let message = format!(
                "{shown} has mode {:03o}: other users can read its hashes and its secret",
                metadata.mode() & 0o777
            );
            problems.push(Finding::problem(message, format!("chmod 600 {}", quoted(path))));
        }
        Ok(_) => {
            match AccountsFile::load(path).and_then(|file| Accounts::new(file, AccountsOptions::default())) {
                Ok(accounts) if !accounts.has_secret() => problems.push(Finding::problem(
                    format!("{shown} has no session secret, so all sessions end when the gateway stops"),
                    "add one with the next account: private-media account add NAME",
                )),
                Ok(_) => {}
                Err(error) => problems.push(Finding::problem(error.to_string(), run_as(path))),
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let message = format!("{shown}: no such file");
            problems.push(Finding::problem(message, "create it with: private-media account add NAME"));
        }
        Err(error) => problems.push(Finding::problem(format!("{shown}: {error}"), run_as(path))),
    }
    or_ok(problems, format!("{shown} is private to its owner and holds a session secret"))
}

/// Checks that Django's secret keys are private to their owner, and that they and the database cannot be downloaded.
fn secret_keys(config: &Config, django: &DjangoConfig) -> Findings {
    let path = &django.secret_file.path;
    let shown = path.display();
    let mut problems = misplaced(config, path, "the file of Django's secret keys");
    if let Some(database) = django.database.file() {
        problems.extend(misplaced(config, database, "Django's database"));
    }
    if let Err(error) = SecretKeys::load(path) {
        problems.push(Finding::problem(format!("{shown}: {error}"), run_as(path)));
    }
    or_ok(problems, format!("{shown} is private to its owner and holds Django's secret keys"))
}

/// Checks the file of the keys that verify tokens.
fn token_keys(config: &Config, keys: &KeySource) -> Findings {
    let file = match keys {
        KeySource::Url(url) => {
            return vec![Finding::ok(format!("tokens are verified by the keys of {}", shown(url)))];
        }
        KeySource::File(file) => file,
    };
    let shown = file.path.display();
    let mut problems = misplaced(config, &file.path, "the file of the keys");
    if let Err(error) = check_key_file(file) {
        problems.push(Finding::problem(format!("{shown}: {error}"), run_as(&file.path)));
    }
    or_ok(problems, format!("{shown} contains keys that verify tokens"))
}

/// Checks that the configuration file cannot be downloaded.
pub(super) fn config_file(config: &Config) -> Findings {
    match config.file() {
        Some(file) => {
            let ok = format!("{} is in no served folder", file.display());
            or_ok(misplaced(config, file, "the configuration"), ok)
        }
        None => vec![Finding::ok("no configuration file")],
    }
}

pub(super) fn misplaced(config: &Config, path: &Path, what: &str) -> Findings {
    let public = config.public_folders();
    let folders = std::iter::once((&config.root, "the private root, where a grant may expose it"))
        .chain(public.iter().map(|folder| (folder, "which the application serves to everyone")));
    let lies = folders.filter(|(folder, _)| is_inside(path, folder));
    lies.map(|(folder, why)| {
        let message = format!("{what} {} is in {}: {why}", path.display(), folder.display());
        Finding::problem(message, "move it, for example to /etc/private-media/")
    })
    .collect()
}

/// Checks that denied clients do not get the reason.
pub(super) fn debug(config: &Config) -> Findings {
    vec![if config.debug {
        Finding::problem(
            "debug is on: denied clients learn that the file exists, and the grants",
            "debug = false (or no --debug), and restart the gateway",
        )
    } else {
        Finding::ok("off")
    }]
}

/// Checks that there is free space for uploads.
pub(super) fn space(config: &Config) -> Findings {
    const MIN_FREE: u64 = 256 << 20;
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
    let is_short = free < MIN_FREE || space < 5 || inodes < 5;
    vec![if is_short {
        Finding::problem(
            seen,
            "free some space, or move the root to a larger file system; uploads fail when it is full",
        )
    } else {
        Finding::ok(seen)
    }]
}

/// Returns how to run the doctor as the owner of a file.
pub(super) fn run_as(path: &Path) -> String {
    let owner = std::fs::metadata(path).ok().map(|metadata| metadata.uid()).filter(|owner| *owner != 0);
    match owner {
        Some(owner) if owner == rustix::process::geteuid().as_raw() => {
            format!("give this user access to everything below it: chown -R {owner} {}", quoted(path))
        }
        Some(owner) => {
            let name = name_in("/etc/passwd", owner).unwrap_or_else(|| format!("'#{owner}'"));
            format!("run the doctor as the gateway's user: sudo -u {name} private-media doctor …")
        }
        None => "run the doctor as the gateway's user, or as root".into(),
    }
}

pub(super) fn group_name(id: u32) -> String {
    name_in("/etc/group", id).unwrap_or_else(|| id.to_string())
}

/// Returns the name of an id from a local table. Ids of other sources (LDAP) have no name here.
fn name_in(table: &str, id: u32) -> Option<String> {
    let table = std::fs::read_to_string(table).ok()?;
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

/// Returns the path of a folder without links, from the kernel.
pub(super) fn real(folder: &Path) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;

    let folder = std::fs::File::open(folder).ok()?;
    std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_web_roots_are_recognized() {
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
    fn the_nearest_mount_point_is_found() {
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
    fn ids_have_names_of_the_local_table() {
        assert_eq!(name_in("/etc/passwd", 0).as_deref(), Some("root"));
        assert_eq!(name_in("/nowhere", 0), None);
    }
}
