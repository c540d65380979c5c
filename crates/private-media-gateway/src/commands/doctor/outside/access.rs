//! Checks whether the front server's user can read the root.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::super::canary::Canary;
use super::super::local::group_name;
use super::super::report::quoted;
use super::front::{Front, absolute_root};
use super::probe::Probe;

/// The user and groups of a server process.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ServerUser {
    program: String,
    user: u32,
    groups: Vec<u32>,
}

/// Returns what keeps the front server's user from reading a canary, and the fix; `None` if nothing does or no process is found.
pub(super) fn barrier(probe: &Probe<'_>, canary: &Canary) -> Option<(String, String)> {
    let server = server_user(probe.kind)?;
    let root = absolute_root(probe.config);
    let whole = format!("{root}/{}", canary.path);
    let mut above: Vec<_> = Path::new(&whole).ancestors().collect();
    above.reverse();
    let closed =
        above.into_iter().find(|path| !server.may(path, if *path == Path::new(&whole) { 4 } else { 1 }))?;
    let metadata = std::fs::metadata(closed).ok()?;
    let group = group_name(*server.groups.first()?);
    let mode = metadata.mode() & 0o7777;
    let seen = format!(
        "the user of {} (group {group}) cannot enter {}, which has group {} and mode {mode:04o}",
        server.program,
        closed.display(),
        group_name(metadata.gid())
    );
    let fix = if closed.starts_with(&root) {
        let root = quoted(&root);
        format!(
            "chgrp -R {group} {root} && chmod -R g+rX {root} && find {root} -type d -exec chmod g+s {{}} +"
        )
    } else {
        format!("chmod o+x {}, or move the root", quoted(closed))
    };
    Some((seen, fix))
}

impl ServerUser {
    /// Returns whether the mode grants this user a bit: read (4) or search (1).
    fn may(&self, path: &Path, bit: u32) -> bool {
        let Ok(metadata) = std::fs::metadata(path) else { return true };
        let shift = match (metadata.uid() == self.user, self.groups.contains(&metadata.gid())) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        self.user == 0 || metadata.mode() >> shift & bit != 0
    }
}

/// Finds the user of a front server in /proc; a worker's before that of the master, which is root.
fn server_user(front: Front) -> Option<ServerUser> {
    let programs: &[&str] = match front {
        Front::Nginx => &["nginx", "openresty"],
        Front::Apache => &["apache2", "httpd"],
        Front::Lighttpd => &["lighttpd"],
        Front::Caddy => &["caddy"],
        Front::Other => &[],
    };
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let users = processes.filter_map(|process| {
        let status = std::fs::read_to_string(process.path().join("status")).ok()?;
        user_of(&status).filter(|user| programs.contains(&&*user.program))
    });
    users.max_by_key(|user| user.user != 0)
}

/// Parses /proc/PID/status.
fn user_of(status: &str) -> Option<ServerUser> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>())
    };
    // The fields are the real, effective, saved and file system id.
    let effective = |name: &str| field(name)?.get(1)?.parse::<u32>().ok();
    let more = field("Groups").unwrap_or_default();
    let groups = std::iter::once(effective("Gid")?).chain(more.iter().filter_map(|group| group.parse().ok()));
    Some(ServerUser {
        program: (*field("Name")?.first()?).to_owned(),
        user: effective("Uid")?,
        groups: groups.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_process_is_parsed() {
        let status =
            "Name:\tnginx\nUmask:\t0022\nUid:\t33\t33\t33\t33\nGid:\t33\t34\t33\t33\nGroups:\t33 1005 \n";
        let user = ServerUser { program: "nginx".into(), user: 33, groups: vec![34, 33, 1005] };
        assert_eq!(user_of(status), Some(user));
        assert_eq!(user_of("Name:\tkthreadd\n"), None);
    }

    #[test]
    fn modes_decide_by_owner_group_and_others() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let metadata = std::fs::metadata(folder.path()).unwrap();
        for (mode, is_owner, is_group, may) in [
            (0o700, true, false, true),
            (0o700, false, true, false),
            (0o710, false, true, true),
            (0o750, false, false, false),
            (0o701, false, false, true),
            // The owner's own bits decide for the owner.
            (0o071, true, true, false),
        ] {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            // An unused id; root would be allowed everything.
            let user = if is_owner { metadata.uid() } else { 4_000_000 };
            let groups = vec![if is_group { metadata.gid() } else { 4_000_000 }];
            let user = ServerUser { program: String::new(), user, groups };
            if user.user != 0 {
                assert_eq!(user.may(folder.path(), 1), may, "{mode:o} {is_owner} {is_group}");
            }
        }
    }
}
