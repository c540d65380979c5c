//! Chooses the accounts and folders that the doctor tests with, from the grants.

use http::HeaderValue;
use private_media::permission::{Grant, Grants, Template};
use private_media::{Action, Identity, MediaPath, PrivateMedia, User};

/// How many folders and accounts are tried.
const MAX_FOLDERS: usize = 64;
const MAX_ACCOUNTS: usize = 1000;
/// The lifetime of the test sessions.
const SESSION_LIFETIME: std::time::Duration = std::time::Duration::from_secs(300);

/// The accounts of the test requests, and the folder of the test files.
#[derive(Debug)]
pub(super) struct ProbeAccounts {
    /// The folder of the test files, relative to the root; empty is the root itself.
    pub(super) folder: String,
    /// An account that may read there.
    pub(super) permitted: Option<ProbeAccount>,
    /// Whether clients that are not signed in may read there, too.
    pub(super) everyone: bool,
    /// An account that may not read in some folder.
    pub(super) denied: Option<Denied>,
}

/// An account with a session.
#[derive(Debug, Clone)]
pub(super) struct ProbeAccount {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) cookie: HeaderValue,
}

/// An account and a folder in which it may read nothing.
#[derive(Debug)]
pub(super) struct Denied {
    pub(super) account: ProbeAccount,
    pub(super) folder: String,
}

impl ProbeAccounts {
    /// Finds accounts that may and may not read, by asking for the permission of each account in each folder of the grants whose files are
    /// in the root of the test files.
    pub(super) async fn find(
        grants: &Grants,
        media: &PrivateMedia,
        identities: &crate::identity::IdentityBackend,
        users: &[User],
        name: &str,
        is_in_root: impl Fn(&MediaPath) -> bool,
    ) -> Self {
        let users = users.get(..MAX_ACCOUNTS).unwrap_or(users);
        let mut folders = folders(grants, users, name);
        folders.retain(|folder| path_in(folder, name).is_none_or(|path| is_in_root(&path)));
        let may = async |identity: &Identity, folder: &str| match path_in(folder, name) {
            Some(path) => media.decide(identity, Action::Read, &path).await.is_allowed(),
            None => false,
        };
        let session = |user: &User| {
            let cookie = identities.session_of(user.display_name(), SESSION_LIFETIME)?;
            Some(ProbeAccount { name: user.display_name().to_owned(), id: user.id().to_owned(), cookie })
        };
        let mut found: Option<(String, &User, bool)> = None;
        'folders: for folder in &folders {
            let everyone = may(&Identity::Anonymous, folder).await;
            for user in users {
                if may(&Identity::from(user.clone()), folder).await {
                    // A folder that needs a sign-in allows more checks.
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
            return Self { folder: String::new(), permitted: None, everyone, denied: None };
        };
        let mut denied = None;
        for other in users {
            if !may(&Identity::from(other.clone()), &folder).await {
                denied = session(other).map(|account| Denied { account, folder: folder.clone() });
                break;
            }
        }
        if denied.is_none() {
            let identity = Identity::from(user.clone());
            for other in folders.iter().map(String::as_str).chain([""]) {
                if !may(&identity, other).await {
                    denied = session(user).map(|account| Denied { account, folder: other.to_owned() });
                    break;
                }
            }
        }
        Self { folder, permitted: session(user), everyone, denied }
    }
}

/// Returns the path of a name in a folder; `None` if it would be invalid.
pub(super) fn path_in(folder: &str, name: &str) -> Option<MediaPath> {
    if folder.is_empty() {
        MediaPath::new(name).ok()
    } else {
        MediaPath::new(&format!("{folder}/{name}")).ok()
    }
}

/// Returns the folders of the grants, with each variable filled in.
fn folders(grants: &Grants, users: &[User], name: &str) -> Vec<String> {
    let mut folders = Vec::new();
    for template in grants.iter().map(Grant::template) {
        let owners = if template.has_variable("owner") { users } else { users.get(..1).unwrap_or_default() };
        for owner in owners {
            if let Some(folder) = folder(template, owner.id(), name)
                && !folders.contains(&folder)
                && folders.len() < MAX_FOLDERS
            {
                folders.push(folder);
            }
        }
    }
    folders
}

/// Returns the folder in which files of any name match a template; `None` if there is none.
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
    fn templates_become_folders() {
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

    /// For each set of grants: the folder, a permitted account, whether everyone may read, and a denied account with its folder.
    #[tokio::test]
    async fn accounts_follow_from_the_grants() {
        let folder = tempfile::tempdir().unwrap();
        // A stored file has a secret, which sessions need.
        let file = AccountsFile::update(folder.path().join("accounts.toml"), |file| {
            for (name, id, staff) in [("alice", "7", false), ("carol", "9", true)] {
                file.add(NewAccount::new(name, id, "a long password").staff(staff))?;
            }
            Ok(())
        });
        let file = file.unwrap();
        let users: Vec<_> = file.users().collect();
        let accounts = Accounts::new(file, AccountsOptions::default()).unwrap();
        let identities = crate::identity::IdentityBackend::from(accounts);
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
            (&["archive/{owner}/{*f}=owner"], ("", None, false, None)),
            (&["a/{owner}/{*f}=owner"], ("a/7", Some("alice"), false, Some(("carol", "a/7")))),
        ] {
            let grants = Grants::new(grants.iter().map(|grant| grant.parse().unwrap()));
            let media = PrivateMedia::builder(MemoryStorage::new()).permissions(grants.clone()).build();
            let is_in_root = |path: &MediaPath| !path.as_str().starts_with("archive/");
            let found = ProbeAccounts::find(&grants, &media, &identities, &users, "probe", is_in_root).await;
            let denied = found.denied.as_ref();
            assert_eq!(
                (
                    &*found.folder,
                    found.permitted.as_ref().map(|account| &*account.name),
                    found.everyone,
                    denied.map(|denied| (&*denied.account.name, &*denied.folder))
                ),
                expected,
                "{grants:?}"
            );
        }
    }
}
