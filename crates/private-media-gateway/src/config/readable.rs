//! Whether the user of a service can read a file, and with which groups.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Returns the groups with which a user can read a file; `None` if no group is enough. Membership in the group of root is never enough.
pub(super) fn groups_to_read(path: &Path, user: Option<u32>) -> Option<Vec<u32>> {
    #[expect(clippy::disallowed_methods, reason = "only modes are read, and the name is not used afterwards")]
    let path = path.canonicalize().ok()?;
    let mut groups = Vec::new();
    for folder in path.ancestors().skip(1) {
        groups.extend(group_for(&folder.metadata().ok()?, 0o1, user)?);
    }
    groups.extend(group_for(&path.metadata().ok()?, 0o4, user)?);
    groups.sort_unstable();
    groups.dedup();
    Some(groups)
}

/// Returns the group that a user needs for a right, if any; `None` if no group is enough.
fn group_for(file: &Metadata, right: u32, user: Option<u32>) -> Option<Vec<u32>> {
    let (mode, group) = (file.mode(), file.gid());
    if Some(file.uid()) == user {
        return (mode & (right << 6) != 0).then(Vec::new);
    }
    if mode & right != 0 {
        return Some(vec![]);
    }
    (group != 0 && mode & (right << 3) != 0).then(|| vec![group])
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_mode_of_each_folder_counts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.pem");
        std::fs::write(&file, "").unwrap();
        let (owner, group) = (file.metadata().unwrap().uid(), file.metadata().unwrap().gid());
        let set = |folder_mode, mode| {
            std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(folder_mode)).unwrap();
            std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        };
        let (own, other) = (Some(owner), Some(owner + 1));
        // The group of root gives no access.
        let by_group = (group != 0).then(|| vec![group]);
        for (modes, user, expected) in [
            ((0o700, 0o600), own, Some(vec![])),
            ((0o700, 0o644), other, None),
            ((0o755, 0o644), other, Some(vec![])),
            ((0o755, 0o600), other, None),
            ((0o755, 0o600), None, None),
            ((0o755, 0o640), other, by_group.clone()),
            ((0o750, 0o640), None, by_group),
            ((0o755, 0o044), own, None),
        ] {
            set(modes.0, modes.1);
            assert_eq!(groups_to_read(&file, user), expected, "{modes:?} {user:?}");
        }
        set(0o700, 0o600);
        assert_eq!(groups_to_read(&folder.path().join("none"), own), None);
    }
}
