//! Finds symbolic links below the root, and files that have more than one name.

use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use private_media::LocalStorage;

use super::report::{Finding, Findings, or_ok, quoted};
use crate::config::Config;

/// How many names are read, and for how long.
const MAX_NAMES: usize = 500_000;
const MAX_TIME: Duration = Duration::from_secs(5);
/// How many names a message lists.
const SHOWN: usize = 10;

/// Lists symbolic and hard links below the root: each gives a file a second path, and permission is decided by path.
pub(super) fn links(config: &Config) -> Findings {
    let found = Found::below(&config.root, MAX_NAMES, MAX_TIME);
    let mut findings = Vec::new();
    if !found.symbolic.is_empty() {
        findings.push(symbolic(config, &found.symbolic));
    }
    if !found.hard.is_empty() {
        findings.push(hard(config, &found.hard));
    }
    if found.unreadable > 0 {
        let message =
            format!("{} below the root cannot be read by this user", count(found.unreadable, "folder"));
        findings.push(Finding::note(message));
    }
    if found.is_cut {
        let names = count(found.names, "name");
        findings
            .push(Finding::note(format!("the search for links stopped after {names}; there may be more")));
    }
    or_ok(findings, "there is no link below the root")
}

fn symbolic(config: &Config, links: &[PathBuf]) -> Finding {
    let all = count(links.len(), "symbolic link");
    if config.follow_links {
        let storage = LocalStorage::open_root(&config.root).ok().map(|storage| storage.follow_links(true));
        let names = listed(links, |link| shown_with_target(storage.as_ref(), &config.root, link));
        Finding::warning(
            format!(
                "storage.follow_links is on, and {all} below the root may give files a second path: {names}"
            ),
            "check who may read each of these paths, or set storage.follow_links = false",
        )
    } else {
        let names = listed(links, |link| link.display().to_string());
        Finding::warning(
            format!("{all} below the root, which the gateway does not follow: {names}"),
            "move the files themselves there, use a bind mount, or set storage.follow_links = true",
        )
    }
}

fn hard(config: &Config, files: &[PathBuf]) -> Finding {
    let names = listed(files, |file| file.display().to_string());
    let first = files.first().map(|file| config.root.join(file)).unwrap_or_default();
    Finding::warning(
        format!(
            "{} below the root with more than one name (hard links): {names}",
            count(files.len(), "file")
        ),
        format!(
            "find the other names with find / -xdev -samefile {}, and copy the file if they have other readers",
            quoted(first)
        ),
    )
}

/// Shows a link and its target, and whether the storage refuses it: the target is missing, outside the root, or absolute.
fn shown_with_target(storage: Option<&LocalStorage>, root: &Path, link: &Path) -> String {
    let target = std::fs::read_link(root.join(link)).unwrap_or_default();
    let is_served = storage.is_some_and(|storage| storage.trusted_stat(link).is_ok());
    let note = if is_served { "" } else { " (not served)" };
    format!("{} -> {}{note}", link.display(), target.display())
}

/// Joins the first few, and counts the rest.
fn listed(paths: &[PathBuf], show: impl Fn(&Path) -> String) -> String {
    let shown: Vec<_> = paths.iter().take(SHOWN).map(|path| show(path)).collect();
    match paths.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{}, and {more} more", shown.join(", ")),
    }
}

fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// The links below a root, sorted by name.
#[derive(Debug, Default)]
struct Found {
    symbolic: Vec<PathBuf>,
    /// Regular files with more than one name.
    hard: Vec<PathBuf>,
    names: usize,
    unreadable: usize,
    /// Whether a limit ended the search.
    is_cut: bool,
}

impl Found {
    /// Reads all names below a root without following links. Hidden names are skipped, because they are never served.
    fn below(root: &Path, max_names: usize, max_time: Duration) -> Self {
        let (mut found, start) = (Self::default(), Instant::now());
        let mut folders = VecDeque::from([PathBuf::new()]);
        while let Some(folder) = folders.pop_front() {
            let Ok(entries) = std::fs::read_dir(root.join(&folder)) else {
                found.unreadable += 1;
                continue;
            };
            for entry in entries.flatten() {
                if found.names == max_names || start.elapsed() > max_time {
                    found.is_cut = true;
                    folders.clear();
                    break;
                }
                found.names += 1;
                let name = entry.file_name();
                let (Ok(kind), false) = (entry.file_type(), name.as_encoded_bytes().starts_with(b".")) else {
                    continue;
                };
                let path = folder.join(name);
                if kind.is_symlink() {
                    found.symbolic.push(path);
                } else if kind.is_dir() {
                    folders.push_back(path);
                } else if kind.is_file() && entry.metadata().is_ok_and(|metadata| metadata.nlink() > 1) {
                    found.hard.push(path);
                }
            }
        }
        found.symbolic.sort();
        found.hard.sort();
        found
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for folder in ["users/alice", "shared", ".hidden"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join("users/alice/secret"), "secret").unwrap();
        std::fs::write(root.path().join("one"), "one").unwrap();
        for (link, target) in [
            ("shared/x", "../users/alice/secret"),
            ("shared/folder", "../users"),
            ("shared/out", "/etc/passwd"),
            ("shared/absolute", root.path().join("one").to_str().unwrap()),
            ("dangling", "none"),
            ("self", "self"),
            (".hidden/link", "../one"),
            (".link", "one"),
        ] {
            symlink(target, root.path().join(link)).unwrap();
        }
        std::fs::hard_link(root.path().join("one"), root.path().join("shared/two")).unwrap();
        root
    }

    fn names(paths: &[PathBuf]) -> Vec<&str> {
        paths.iter().map(|path| path.to_str().unwrap()).collect()
    }

    #[test]
    fn all_links_are_found_and_none_is_followed() {
        let root = root();
        let found = Found::below(root.path(), MAX_NAMES, MAX_TIME);
        assert_eq!(
            names(&found.symbolic),
            ["dangling", "self", "shared/absolute", "shared/folder", "shared/out", "shared/x"]
        );
        assert_eq!(names(&found.hard), ["one", "shared/two"]);
        assert_eq!((found.unreadable, found.is_cut), (0, false));
    }

    #[test]
    fn the_search_is_bounded() {
        let root = root();
        let found = Found::below(root.path(), 3, MAX_TIME);
        assert!(found.is_cut && found.names == 3, "{found:?}");
        assert!(Found::below(root.path(), MAX_NAMES, Duration::ZERO).is_cut);
        assert_eq!(Found::below(&root.path().join("none"), MAX_NAMES, MAX_TIME).unreadable, 1);
    }

    #[test]
    fn targets() {
        let root = root();
        let storage = LocalStorage::open_root(root.path()).unwrap().follow_links(true);
        let absolute = format!("{} (not served)", root.path().join("one").display());
        for (link, expected) in [
            ("shared/x", "../users/alice/secret"),
            ("shared/folder", "../users"),
            ("shared/out", "/etc/passwd (not served)"),
            ("shared/absolute", &absolute),
            ("dangling", "none (not served)"),
            ("self", "self (not served)"),
        ] {
            let shown = shown_with_target(Some(&storage), root.path(), Path::new(link));
            assert_eq!(shown, format!("{link} -> {expected}"));
        }
    }

    #[test]
    fn long_lists_are_cut() {
        let paths: Vec<_> = (10..22).map(|n| PathBuf::from(n.to_string())).collect();
        let show = |path: &Path| path.display().to_string();
        assert_eq!(listed(&paths, show), "10, 11, 12, 13, 14, 15, 16, 17, 18, 19, and 2 more");
        assert_eq!(listed(&paths[..2], show), "10, 11");
    }
}
