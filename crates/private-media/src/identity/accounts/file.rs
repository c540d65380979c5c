//! The accounts file.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::password::{Hash, MIN_LENGTH};
use crate::identity::{User, secret_file};

/// The accounts file, `accounts.toml`: who can sign in, and the secret that signs their sessions. Only its owner may read it.
///
/// ```
/// use private_media::identity::accounts::{AccountsFile, NewAccount};
///
/// let mut file = AccountsFile::default();
/// file.add(NewAccount::new("alice", "7", "correct horse"))?;
/// assert_eq!(file.users().next().map(|user| user.id().to_owned()), Some("7".into()));
/// # Ok::<(), private_media::identity::accounts::AccountsError>(())
/// ```
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AccountsFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Secret>,
    #[serde(default, rename = "account")]
    accounts: Vec<Entry>,
    #[serde(skip)]
    digest: Option<[u8; 32]>,
}

/// 32 random bytes in base64url.
#[derive(Clone, Deserialize, Serialize)]
#[serde(transparent)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An account as it is written in the file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    id: String,
    password: Hash,
    #[serde(default)]
    staff: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
}

/// A new account.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct NewAccount {
    /// The name to sign in with.
    pub name: String,
    /// The user id, which `{owner}` matches in paths.
    pub id: String,
    /// The password itself, of at least eight characters.
    pub password: String,
    /// Whether the user is staff.
    pub staff: bool,
    /// The groups the user belongs to.
    pub groups: Vec<String>,
}

impl NewAccount {
    /// Returns an account of a user who is not staff and in no group.
    pub fn new(name: impl Into<String>, id: impl Into<String>, password: impl Into<String>) -> Self {
        Self { name: name.into(), id: id.into(), password: password.into(), staff: false, groups: vec![] }
    }

    /// Sets [`NewAccount::staff`].
    #[must_use]
    pub fn staff(mut self, staff: bool) -> Self {
        self.staff = staff;
        self
    }

    /// Sets [`NewAccount::groups`].
    #[must_use]
    pub fn groups(mut self, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.groups = groups.into_iter().map(Into::into).collect();
        self
    }
}

impl fmt::Debug for NewAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewAccount").field("name", &self.name).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A valid account.
pub(super) struct Account {
    pub(super) user: Arc<User>,
    pub(super) password: Hash,
}

impl Account {
    pub(super) fn name(&self) -> &str {
        self.user.display_name()
    }
}

impl AccountsFile {
    /// Parses the file's text.
    pub fn parse(text: &str) -> Result<Self, AccountsError> {
        let mut file: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            AccountsError::new(format!(
                "line {}: {}; mend that line",
                before.matches('\n').count() + 1,
                error.message()
            ))
        })?;
        if file.secret.is_some() && file.secret().is_none() {
            return Err(AccountsError::new(
                "secret: it is not 32 bytes in base64url; remove the line, and account add writes another",
            ));
        }
        let mut others = Others::default();
        for entry in &file.accounts {
            entry.check(&others)?;
            others.insert(entry);
        }
        file.digest = Some(digest(text));
        Ok(file)
    }

    /// Reads the file. A file that other users can read is rejected, because its content may be known to them.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, AccountsError> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(|error| AccountsError::io(path, error))?;
        Self::load_from(&mut file, path)
    }

    /// Reads an open accounts file, as [`load`](Self::load) does. `path` is its name in errors.
    pub(super) fn load_from(file: &mut File, path: &Path) -> Result<Self, AccountsError> {
        let text = secret_file::read_from(file, path).map_err(|error| AccountsError::io(path, error))?;
        Self::parse(&text).map_err(|error| AccountsError::at(path, error))
    }

    /// Returns the text of the file to write, with a secret if it had none.
    pub(super) fn serialize_with_secret(&mut self) -> io::Result<String> {
        if self.secret.is_none() {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(io::Error::other)?;
            self.secret = Some(Secret(URL_SAFE_NO_PAD.encode(bytes)));
        }
        let text = toml::to_string(self).map_err(io::Error::other)?;
        self.digest = Some(digest(&text));
        Ok(text)
    }

    /// Returns the SHA-256 of the file's text. Two processes that see the same digest see the same accounts.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// Returns whether the file holds nothing: no account and no secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secret.is_none() && self.accounts.is_empty()
    }

    /// Adds an account, with its password hashed.
    pub fn add(&mut self, account: NewAccount) -> Result<(), AccountsError> {
        let NewAccount { name, id, password, staff, groups } = account;
        let password = hash(&name, &password)?;
        let entry = Entry { name, id, password, staff, groups };
        let mut others = Others::default();
        self.accounts.iter().for_each(|other| others.insert(other));
        entry.check(&others)?;
        self.accounts.push(entry);
        Ok(())
    }

    /// Removes an account.
    pub fn remove(&mut self, name: &str) -> Result<(), AccountsError> {
        let before = self.accounts.len();
        self.accounts.retain(|entry| entry.name != name);
        if self.accounts.len() == before { Err(unknown(name)) } else { Ok(()) }
    }

    /// Replaces the password of an account, which ends its sessions.
    pub fn set_password(&mut self, name: &str, password: &str) -> Result<(), AccountsError> {
        let entry = self.accounts.iter_mut().find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| unknown(name))?;
        entry.password = hash(name, password)?;
        Ok(())
    }

    /// Returns the users who can sign in.
    pub fn users(&self) -> impl Iterator<Item = User> {
        self.accounts.iter().map(Entry::user)
    }

    pub(super) fn secret(&self) -> Option<[u8; 32]> {
        let secret = self.secret.as_ref()?;
        URL_SAFE_NO_PAD.decode(&secret.0).ok()?.try_into().ok()
    }

    pub(super) fn into_accounts(self) -> impl Iterator<Item = Account> {
        self.accounts
            .into_iter()
            .map(|entry| Account { user: Arc::new(entry.user()), password: entry.password })
    }
}

/// The names that are taken, and the name of each id.
#[derive(Default)]
struct Others<'a> {
    names: HashSet<&'a str>,
    by_id: HashMap<&'a str, &'a str>,
}

impl<'a> Others<'a> {
    fn insert(&mut self, entry: &'a Entry) {
        self.names.insert(&entry.name);
        self.by_id.insert(&entry.id, &entry.name);
    }
}

impl Entry {
    fn user(&self) -> User {
        let user = User::new(&self.id).name(&self.name).staff(self.staff).source(super::SOURCE);
        self.groups.iter().fold(user, User::group)
    }

    /// Checks the account against the accounts before it.
    fn check(&self, others: &Others<'_>) -> Result<(), AccountsError> {
        let Self { name, id, groups, .. } = self;
        let error = |problem: String| Err(AccountsError::new(format!("account {name:?}: {problem}")));
        let is_odd =
            |text: &str| text.is_empty() || text.trim() != text || text.chars().any(char::is_control);
        if is_odd(name) || name.contains(':') || name == "anonymous" {
            return error("no name to sign in with; take one without colons and white space around it, and not anonymous".into());
        }
        if is_odd(id) || id.contains('/') {
            return error(format!(
                "id {id:?} cannot stand in a path; take one without slashes and white space around it"
            ));
        }
        if groups.iter().any(|group| is_odd(group))
            || groups.iter().collect::<HashSet<_>>().len() < groups.len()
        {
            return error(format!("groups {groups:?}: one is empty or stands there twice; remove it"));
        }
        if !self.password.is_legal() {
            return error("password: it is no argon2id hash; remove the account and add it with: private-media account add".into());
        }
        if others.names.contains(name.as_str()) {
            return error("there is one of that name already; remove it first, or take another name".into());
        }
        if let Some(other) = others.by_id.get(id.as_str()) {
            return error(format!("id {id:?} is that of {other} already; take another with --id"));
        }
        Ok(())
    }
}

fn hash(name: &str, password: &str) -> Result<Hash, AccountsError> {
    if password.chars().count() < MIN_LENGTH {
        return Err(AccountsError::new(format!(
            "account {name:?}: the password is too short; take {MIN_LENGTH} characters or more"
        )));
    }
    Hash::new(password).ok_or_else(AccountsError::no_random)
}

fn unknown(name: &str) -> AccountsError {
    AccountsError::new(format!("account {name:?}: there is none of that name; account list shows them"))
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// An error in the accounts file: one line that names the file, the account and the fix.
#[derive(Debug)]
pub struct AccountsError {
    line: String,
    missing: bool,
}

impl AccountsError {
    /// Returns whether the file does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.missing
    }

    pub(super) fn no_random() -> Self {
        Self::new("the system gives no random numbers, and nothing is safe without them")
    }

    fn new(line: impl Into<String>) -> Self {
        Self { line: line.into(), missing: false }
    }

    pub(super) fn at(path: &Path, problem: impl fmt::Display) -> Self {
        Self::new(format!("{}: {problem}", path.display()))
    }

    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        Self { missing: error.kind() == io::ErrorKind::NotFound, ..Self::at(path, error) }
    }
}

impl fmt::Display for AccountsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for AccountsError {}
