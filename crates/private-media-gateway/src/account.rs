//! `private-media account`: who can sign in.

use std::fmt::Write;
use std::io::{BufRead, IsTerminal};

use private_media::identity::accounts::{AccountsFile, NewAccount};

use crate::config::{Config, ConfigError};
use crate::output;
use crate::readers::load_accounts;

/// Adds an account; the file is made if there is none.
pub(crate) fn add(config: &Config, account: NewAccount, password_stdin: bool) -> Result<(), ConfigError> {
    let mut file = match AccountsFile::load(&config.accounts) {
        Err(error) if error.is_missing() => AccountsFile::default(),
        loaded => loaded.map_err(|error| ConfigError::new(error.to_string()))?,
    };
    let name = account.name.clone();
    let account = NewAccount { password: password(password_stdin)?, ..account };
    file.add(account).map_err(|error| ConfigError::new(error.to_string()))?;
    store(config, &mut file)?;
    output::line(format_args!("added {name} to {}", config.accounts.display()))
}

/// Removes an account, and with it whatever it signed in.
pub(crate) fn remove(config: &Config, name: &str) -> Result<(), ConfigError> {
    let mut file = load_accounts(config)?;
    file.remove(name).map_err(|error| ConfigError::new(error.to_string()))?;
    store(config, &mut file)?;
    output::line(format_args!("removed {name} from {}", config.accounts.display()))
}

/// Lists the accounts: name, id, staff, groups.
pub(crate) fn list(config: &Config) -> Result<(), ConfigError> {
    let mut lines = String::new();
    for user in load_accounts(config)?.users() {
        let staff = if user.is_staff() { "staff" } else { "-" };
        let groups = if user.groups().is_empty() { "-".to_owned() } else { user.groups().join(",") };
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{}\t{}\t{staff}\t{groups}", user.display_name(), user.id());
    }
    output::text(format_args!("{lines}"))
}

fn store(config: &Config, file: &mut AccountsFile) -> Result<(), ConfigError> {
    file.store(&config.accounts).map_err(|error| ConfigError::new(error.to_string()))
}

fn password(from_stdin: bool) -> Result<String, ConfigError> {
    let error = |cause: std::io::Error| ConfigError::new(format!("the password cannot be read: {cause}"));
    if from_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(error)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    if !std::io::stdin().is_terminal() {
        return Err(ConfigError::new(
            "there is no terminal to ask for the password at; use --password-stdin",
        ));
    }
    let first = rpassword::prompt_password("password: ").map_err(error)?;
    let again = rpassword::prompt_password("once more: ").map_err(error)?;
    if first == again { Ok(first) } else { Err(ConfigError::new("the two passwords differ; try again")) }
}
