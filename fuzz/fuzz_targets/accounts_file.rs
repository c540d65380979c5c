//! An accounts file is accepted only if its names and ids are unique, and storing and loading it changes nothing.
#![no_main]

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use private_media::User;
use private_media::identity::accounts::AccountsFile;
use tempfile::TempDir;
use toml::{Table, Value};

const HASH: &str = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    Raw(&'a str),
    Built { secret: Option<&'a str>, has_valid_secret: bool, accounts: Vec<Account<'a>> },
}

#[derive(Arbitrary, Debug)]
struct Account<'a> {
    name: &'a str,
    id: &'a str,
    other_hash: Option<&'a str>,
    staff: bool,
    groups: Vec<&'a str>,
}

static FOLDER: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    // In memory, because each file is synced.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("accounts.toml");
    (folder, path)
});

fuzz_target!(|input: Input<'_>| {
    let text = match &input {
        Input::Raw(text) => (*text).to_owned(),
        Input::Built { .. } => input.to_toml(),
    };
    let parsed = AccountsFile::parse(&text);
    if let Input::Built { .. } = &input
        && let Some(is_valid) = input.is_valid()
    {
        assert_eq!(parsed.is_ok(), is_valid, "{text}\n{:?}", parsed.err());
    }
    let file = match parsed {
        Ok(file) => file,
        Err(error) => return assert!(!error.to_string().contains(['\n', '\r']), "{:?}", error.to_string()),
    };
    let users: Vec<User> = file.users().collect();
    check_users(&users, &text);

    let path = &FOLDER.1;
    let mut writer =
        OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    AccountsFile::update(path, |_| Ok(())).unwrap();
    let stored = std::fs::read_to_string(path).unwrap();
    let mut loaded = AccountsFile::load(path).expect("a stored file can be loaded");
    assert_eq!(loaded.users().collect::<Vec<_>>(), users);
    AccountsFile::update(path, |_| Ok(())).unwrap();
    assert_eq!(std::fs::read_to_string(path).unwrap(), stored);
    // Hashes and the secret are unchanged.
    let (before, after): (Table, Table) = (text.parse().unwrap(), stored.parse().unwrap());
    assert!(before.get("secret").is_none_or(|secret| after.get("secret") == Some(secret)));
    let hashes = |table: &Table| -> Vec<Value> {
        let accounts = table.get("account").and_then(Value::as_array).cloned().unwrap_or_default();
        accounts.iter().map(|account| account["password"].clone()).collect()
    };
    assert_eq!(hashes(&after), hashes(&before));
    for user in &users {
        loaded.remove(user.display_name()).unwrap();
        assert!(loaded.remove(user.display_name()).is_err());
    }
    assert_eq!(loaded.users().count(), 0);
});

fn check_users(users: &[User], text: &str) {
    let table: Table = text.parse().expect("the text is TOML");
    let accounts = table.get("account").and_then(Value::as_array).cloned().unwrap_or_default();
    assert_eq!(accounts.len(), users.len());
    for (account, user) in accounts.iter().zip(users) {
        assert_eq!(account["name"].as_str(), Some(user.display_name()));
        assert_eq!(account["id"].as_str(), Some(user.id()));
        assert_eq!(account.get("staff").is_some_and(|staff| staff.as_bool() == Some(true)), user.is_staff());
    }
    let distinct = |values: Vec<&str>| values.iter().collect::<HashSet<_>>().len();
    assert_eq!(distinct(users.iter().map(User::display_name).collect()), users.len());
    assert_eq!(distinct(users.iter().map(User::id).collect()), users.len());
    assert!(users.iter().all(|user| user.display_name() != "anonymous" && !user.id().contains('/')));
}

impl Input<'_> {
    fn to_toml(&self) -> String {
        let Self::Built { secret, has_valid_secret, accounts } = self else { return String::new() };
        let mut table = Table::new();
        if *has_valid_secret {
            table.insert("secret".into(), URL_SAFE_NO_PAD.encode([7; 32]).into());
        } else if let Some(secret) = secret {
            table.insert("secret".into(), (*secret).into());
        }
        let accounts = accounts.iter().map(|account| {
            let mut table = Table::new();
            table.insert("name".into(), account.name.into());
            table.insert("id".into(), account.id.into());
            table.insert("password".into(), account.other_hash.unwrap_or(HASH).into());
            table.insert("staff".into(), account.staff.into());
            table.insert("groups".into(), account.groups.clone().into());
            Value::Table(table)
        });
        table.insert("account".into(), Value::Array(accounts.collect()));
        table.to_string()
    }

    /// Returns whether the file is valid; `None` if that depends on a hash.
    fn is_valid(&self) -> Option<bool> {
        let Self::Built { secret, has_valid_secret, accounts } = self else { return None };
        if accounts.iter().any(|account| account.other_hash.is_some()) {
            return None;
        }
        let is_clean =
            |text: &str| !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control);
        let mut is_valid = *has_valid_secret
            || secret
                .is_none_or(|secret| URL_SAFE_NO_PAD.decode(secret).is_ok_and(|bytes| bytes.len() == 32));
        let (mut names, mut ids) = (HashSet::new(), HashSet::new());
        for Account { name, id, groups, .. } in accounts {
            let mut own = HashSet::new();
            is_valid &= is_clean(name) && !name.contains(':') && *name != "anonymous" && names.insert(*name);
            is_valid &= is_clean(id) && !id.contains('/') && ids.insert(*id);
            is_valid &= groups.iter().all(|group| is_clean(group) && own.insert(*group));
        }
        Some(is_valid)
    }
}
