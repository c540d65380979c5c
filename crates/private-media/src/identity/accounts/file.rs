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

/// The name of this identity source in users and rejections.
pub(super) const SOURCE: &str = "accounts";

/// The accounts file, `accounts.toml`: the users who can sign in, and the secret that signs their sessions. Only its owner may read it.
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

/// An account in the file.
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

/// A new account. `Debug` hides the password.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct NewAccount {
    /// The name to sign in with.
    pub name: String,
    /// The user id. `{owner}` in a path matches it.
    pub id: String,
    /// The password, with at least eight characters. It is stored as a hash.
    pub password: String,
    /// Whether the user is staff.
    pub staff: bool,
    /// The groups of the user.
    pub groups: Vec<String>,
}

impl NewAccount {
    /// Returns an account of a user who is not staff and has no groups.
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
    /// Parses the text of the file.
    pub fn parse(text: &str) -> Result<Self, AccountsError> {
        let mut file: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            AccountsError::new(format!(
                "line {}: {}; correct that line",
                before.matches('\n').count() + 1,
                error.message()
            ))
        })?;
        if file.secret.is_some() && file.secret().is_none() {
            return Err(AccountsError::new(
                "secret: not 32 bytes in base64url; remove the line, and account add writes a new one",
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

    /// Reads the file. A file that other users can read or change is rejected.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, AccountsError> {
        let path = path.as_ref();
        let mut file = File::open(path).map_err(|error| AccountsError::io(path, error))?;
        Self::load_from(&mut file, path)
    }

    /// Like [`load`](Self::load), for an open file. `path` is its name in errors.
    pub(super) fn load_from(file: &mut File, path: &Path) -> Result<Self, AccountsError> {
        let text = secret_file::read_from(file, path).map_err(|error| AccountsError::io(path, error))?;
        Self::parse(&text).map_err(|error| AccountsError::at(path, error))
    }

    /// Returns the text of the file. Adds a secret if there is none.
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

    /// Returns the SHA-256 digest of the text, which identifies the version of the file.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// Returns whether the file has neither an account nor a secret.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.secret.is_none() && self.accounts.is_empty()
    }

    /// Adds an account, and hashes its password.
    pub fn add(&mut self, account: NewAccount) -> Result<(), AccountsError> {
        self.check(&account)?;
        let NewAccount { name, id, password, staff, groups } = account;
        let password = hash(&name, &password)?;
        self.accounts.push(Entry { name, id, password, staff, groups });
        Ok(())
    }

    /// Checks whether an account could be added, apart from its password.
    ///
    /// ```
    /// use private_media::identity::accounts::{AccountsFile, NewAccount};
    ///
    /// let mut file = AccountsFile::default();
    /// file.add(NewAccount::new("alice", "7", "correct horse"))?;
    /// assert!(file.check(&NewAccount::new("bob", "8", "")).is_ok());
    /// assert!(file.check(&NewAccount::new("alice", "8", "")).is_err());
    /// assert!(file.check(&NewAccount::new("bob", "7", "")).is_err());
    /// # Ok::<(), private_media::identity::accounts::AccountsError>(())
    /// ```
    pub fn check(&self, account: &NewAccount) -> Result<(), AccountsError> {
        let mut others = Others::default();
        self.accounts.iter().for_each(|other| others.insert(other));
        check(&account.name, &account.id, &account.groups, &others)
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

/// The taken names, and the name of each taken id.
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
        let user = User::new(&self.id).name(&self.name).staff(self.staff).source(SOURCE);
        self.groups.iter().fold(user, User::group)
    }

    /// Validates the account. `others` are the accounts before it.
    fn check(&self, others: &Others<'_>) -> Result<(), AccountsError> {
        check(&self.name, &self.id, &self.groups, others)?;
        if self.password.is_legal() {
            return Ok(());
        }
        Err(AccountsError::new(format!(
            "account {:?}: the password is not an argon2id hash; remove the account and add it with: private-media account add",
            self.name
        )))
    }
}

/// Validates the parts of an account that others can see.
fn check(name: &str, id: &str, groups: &[String], others: &Others<'_>) -> Result<(), AccountsError> {
    let error = |problem: String| Err(AccountsError::new(format!("account {name:?}: {problem}")));
    let is_invalid =
        |text: &str| text.is_empty() || text.trim() != text || text.chars().any(char::is_control);
    if is_invalid(name) || name.contains(':') || name == "anonymous" {
        return error(
            "invalid name; use one without colons and surrounding white space, other than anonymous".into(),
        );
    }
    if is_invalid(id) || id.contains('/') {
        return error(format!("invalid id {id:?}; use one without slashes and surrounding white space"));
    }
    if groups.iter().any(|group| is_invalid(group))
        || groups.iter().collect::<HashSet<_>>().len() < groups.len()
    {
        return error(format!("invalid groups {groups:?}; remove empty and repeated ones"));
    }
    if others.names.contains(name) {
        return error("the name is already taken; use another, or remove that account first".into());
    }
    if let Some(other) = others.by_id.get(id) {
        return error(format!("id {id:?} already belongs to {other}; use another with --id"));
    }
    Ok(())
}

fn hash(name: &str, password: &str) -> Result<Hash, AccountsError> {
    if password.chars().count() < MIN_LENGTH {
        return Err(AccountsError::new(format!(
            "account {name:?}: the password is too short; use at least {MIN_LENGTH} characters"
        )));
    }
    Hash::new(password).ok_or_else(AccountsError::no_random)
}

fn unknown(name: &str) -> AccountsError {
    AccountsError::new(format!(
        "account {name:?}: no such account; list the accounts with: private-media account list"
    ))
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// An error in the accounts file: one line with the file, the account and the fix.
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
        Self::new("the system provides no random numbers (getrandom), which passwords and sessions need")
    }

    fn new(line: impl Into<String>) -> Self {
        Self { line: line.into(), missing: false }
    }

    pub(super) fn at(path: &Path, problem: impl fmt::Display) -> Self {
        Self::new(format!("{}: {problem}", path.display()))
    }

    pub(super) fn io(path: &Path, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self { missing: true, ..Self::at(path, error) },
            io::ErrorKind::PermissionDenied => {
                Self::at(path, format_args!("{error}; run this as the user that owns the file"))
            }
            _ => Self::at(path, error),
        }
    }
}

impl fmt::Display for AccountsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for AccountsError {}
