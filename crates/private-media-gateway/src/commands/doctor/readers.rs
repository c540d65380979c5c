//! Who may read where, as the grants say: the places that a probe can be made in.

use http::HeaderValue;
use private_media::permission::{Grant, Grants, Template};
use private_media::{Action, Identity, MediaPath, PrivateMedia, User};

/// How many folders and accounts are tried; a grant that nobody has among them is one that nobody has.
const MOST_FOLDERS: usize = 64;
const MOST_ACCOUNTS: usize = 1000;
/// How long a probe's session lasts. No cookie outlives the doctor for long.
const SESSION: std::time::Duration = std::time::Duration::from_secs(300);

/// Where to probe, and as whom.
#[derive(Debug)]
pub(super) struct Readers {
    /// The folder below the root in which the probes lie; empty is the root itself.
    pub(super) folder: String,
    /// Who may read there.
    pub(super) reader: Option<Reader>,
    /// Whether a stranger may read there, too.
    pub(super) everyone: bool,
    /// Somebody who is signed in and may not read something.
    pub(super) denied: Option<Denied>,
}

/// An account, and a session of it.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) cookie: HeaderValue,
}

/// An account and a folder in which it may read nothing.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) reader: Reader,
    pub(super) folder: String,
}

/// Asks the permissions of each account in each place that the grants speak of.
pub(super) async fn find(
    grants: &Grants,
    media: &PrivateMedia,
    sessions: &crate::identity::Readers,
    users: &[User],
    name: &str,
) -> Readers {
    let users = users.get(..MOST_ACCOUNTS).unwrap_or(users);
    let folders = folders(grants, users, name);
    let may = async |identity: &Identity, folder: &str| match path_in(folder, name) {
        Some(path) => media.decide(identity, Action::Read, &path).await.is_allowed(),
        None => false,
    };
    let session = |user: &User| {
        let cookie = sessions.session_of(user.display_name(), SESSION)?;
        Some(Reader { name: user.display_name().to_owned(), id: user.id().to_owned(), cookie })
    };
    let mut found: Option<(String, &User, bool)> = None;
    'folders: for folder in &folders {
        let everyone = may(&Identity::Anonymous, folder).await;
        for user in users {
            if may(&Identity::from(user.clone()), folder).await {
                // A place that is closed to strangers shows more.
                if !everyone || found.is_none() {
                    found = Some((folder.clone(), user, everyone));
                }
                if !everyone {
                    break 'folders;
                }
                break;
            }
        }
    }
    let Some((folder, user, everyone)) = found else {
        let everyone = may(&Identity::Anonymous, "").await;
        return Readers { folder: String::new(), reader: None, everyone, denied: None };
    };
    let mut denied = None;
    for other in users {
        if !may(&Identity::from(other.clone()), &folder).await {
            denied = session(other).map(|reader| Denied { reader, folder: folder.clone() });
            break;
        }
    }
    if denied.is_none() {
        let identity = Identity::from(user.clone());
        for other in folders.iter().map(String::as_str).chain([""]) {
            if !may(&identity, other).await {
                denied = session(user).map(|reader| Denied { reader, folder: other.to_owned() });
                break;
            }
        }
    }
    Readers { folder, reader: session(user), everyone, denied }
}

/// The path of a name in a folder; `None` if there can be none.
pub(super) fn path_in(folder: &str, name: &str) -> Option<MediaPath> {
    if folder.is_empty() {
        MediaPath::new(name).ok()
    } else {
        MediaPath::new(&format!("{folder}/{name}")).ok()
    }
}

/// The folders that the grants are about, each variable filled in.
fn folders(grants: &Grants, users: &[User], name: &str) -> Vec<String> {
    let mut folders = Vec::new();
    for template in grants.iter().map(Grant::template) {
        let owners = if template.has_variable("owner") { users } else { users.get(..1).unwrap_or_default() };
        for owner in owners {
            if let Some(folder) = folder(template, owner.id(), name)
                && !folders.contains(&folder)
                && folders.len() < MOST_FOLDERS
            {
                folders.push(folder);
            }
        }
    }
    folders
}

/// The folder of a template in which files of any name match; `None` if there is none.
fn folder(template: &Template, owner: &str, name: &str) -> Option<String> {
    let source = template.to_string();
    let mut segments: Vec<&str> = source.split('/').collect();
    let last = variable(segments.pop()?)?;
    if last == "owner" {
        return None;
    }
    let filled = segments.into_iter().map(|segment| match variable(segment) {
        Some("owner") => owner.to_owned(),
        Some(_) => name.to_owned(),
        None => segment.replace("{{", "{").replace("}}", "}"),
    });
    Some(filled.collect::<Vec<_>>().join("/"))
}

fn variable(segment: &str) -> Option<&str> {
    let name = segment.strip_prefix('{').filter(|rest| !rest.starts_with('{'))?.strip_suffix('}')?;
    Some(name.strip_prefix('*').unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use private_media::identity::accounts::{AccountsFile, AccountsOptions, NewAccount};
    use private_media::{Accounts, MemoryStorage};

    use super::*;

    #[test]
    fn templates_filled_in() {
        for (template, filled) in [
            ("cars/{owner}/{*file}", Some("cars/7")),
            ("cars/{owner}/{year}/{file}", Some("cars/7/probe")),
            ("{*file}", Some("")),
            ("a{{b}}/{x}", Some("a{b}")),
            ("shared", None),
            ("{{x}}", None),
            ("avatars/{owner}", None),
            ("avatars/{*owner}", None),
        ] {
            let found = folder(&template.parse().unwrap(), "7", "probe");
            assert_eq!(found.as_deref(), filled, "{template}");
        }
    }

    /// For each set of grants: the folder, who reads there, whether strangers do, and who does not read where.
    #[tokio::test]
    async fn readers() {
        let folder = tempfile::tempdir().unwrap();
        // Stored, it has a secret, without which no session is made.
        let file = AccountsFile::update(folder.path().join("accounts.toml"), |file| {
            for (name, id, staff) in [("alice", "7", false), ("carol", "9", true)] {
                file.add(NewAccount::new(name, id, "a long password").staff(staff))?;
            }
            Ok(())
        });
        let file = file.unwrap();
        let users: Vec<_> = file.users().collect();
        let accounts = Accounts::new(file, AccountsOptions::default()).unwrap();
        let sessions = crate::identity::Readers::Accounts(accounts);
        for (grants, expected) in [
            (
                &["cars/{owner}/{*file}=owner,staff"][..],
                ("cars/7", Some("alice"), false, Some(("alice", "cars/9"))),
            ),
            (&["{*file}=staff"], ("", Some("carol"), false, Some(("alice", "")))),
            (&["{*file}=everyone"], ("", Some("alice"), true, None)),
            (&["o/{*f}=everyone", "p/{*f}=staff"], ("p", Some("carol"), false, Some(("alice", "p")))),
            (&["for/x=user:7"], ("", None, false, None)),
            (&["{*file}=user:12"], ("", None, false, None)),
            (&["a/{owner}/{*f}=owner"], ("a/7", Some("alice"), false, Some(("carol", "a/7")))),
        ] {
            let grants = Grants::new(grants.iter().map(|grant| grant.parse().unwrap()));
            let media = PrivateMedia::builder(MemoryStorage::new()).permissions(grants.clone()).build();
            let found = find(&grants, &media, &sessions, &users, "probe").await;
            let denied = found.denied.as_ref();
            assert_eq!(
                (
                    &*found.folder,
                    found.reader.as_ref().map(|reader| &*reader.name),
                    found.everyone,
                    denied.map(|denied| (&*denied.reader.name, &*denied.folder))
                ),
                expected,
                "{grants:?}"
            );
        }
    }
}
