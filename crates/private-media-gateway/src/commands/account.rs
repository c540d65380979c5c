//! `private-media account`: who can sign in.

use std::fmt::Write;
use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::ArgMatches;
use private_media::identity::accounts::{AccountsError, AccountsFile, NewAccount};

use crate::config::{self, Config, ConfigError, Source};
use crate::identity::{load_accounts, reload_interval};
use crate::log;
use crate::output;
use crate::runtime;
use crate::state::{Gateway, State, StateError, StateUrl, digest_text};

/// How often `--wait` looks.
const POLL: Duration = Duration::from_millis(100);

/// Adds an account; a missing file is created.
pub(crate) fn add(
    config: &Config,
    account: &NewAccount,
    password_stdin: bool,
    wait: Option<Wait>,
) -> Result<ExitCode, ConfigError> {
    check_wait(config, wait)?;
    let account = NewAccount { password: password(password_stdin)?, ..account.clone() };
    let file = update(config, |file| file.add(account.clone()))?;
    done(config, &format!("added {} to", account.name), &file, wait)
}

/// Changes the password of an account, which ends its sessions.
pub(crate) fn passwd(
    config: &Config,
    name: &str,
    password_stdin: bool,
    wait: Option<Wait>,
) -> Result<ExitCode, ConfigError> {
    check_wait(config, wait)?;
    // No password is asked for in vain.
    if !load_accounts(config)?.users().any(|user| user.display_name() == name) {
        return Err(ConfigError::new(format!("account {name:?}: no such account; account list shows them")));
    }
    let password = password(password_stdin)?;
    let file = update(config, |file| file.set_password(name, &password))?;
    done(config, &format!("changed the password of {name} in"), &file, wait)
}

/// Removes an account, and with it whatever it signed in.
pub(crate) fn remove(config: &Config, name: &str, wait: Option<Wait>) -> Result<ExitCode, ConfigError> {
    check_wait(config, wait)?;
    // Names the setting if there is no file.
    load_accounts(config)?;
    let file = update(config, |file| file.remove(name))?;
    done(config, &format!("removed {name} from"), &file, wait)
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

fn update(
    config: &Config,
    change: impl FnMut(&mut AccountsFile) -> Result<(), AccountsError>,
) -> Result<AccountsFile, ConfigError> {
    AccountsFile::update(&config.accounts, change).map_err(|error| ConfigError::new(error.to_string()))
}

/// Says what was done, when it is, and waits for the gateways if that is wanted.
fn done(
    config: &Config,
    what: &str,
    file: &AccountsFile,
    wait: Option<Wait>,
) -> Result<ExitCode, ConfigError> {
    output::line(format_args!("{what} {}", config.accounts.display()))?;
    let (Some(wait), Some(url)) = (wait, &config.state) else { return Ok(ExitCode::SUCCESS) };
    match runtime::block_on(wait.for_gateways(config, url, file))? {
        Ok(()) => {
            output::line(format_args!("in force on every running gateway"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problem) => {
            log::print(format_args!("private-media: the accounts file is changed, but {problem}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Whether, and how long, to wait for the running gateways.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait(Duration);

impl Wait {
    pub(crate) fn of(matches: &ArgMatches) -> Result<Option<Self>, ConfigError> {
        if !matches.get_flag("wait") {
            return Ok(None);
        }
        let value = matches.get_one::<String>("wait-timeout").map_or("", String::as_str);
        let timeout = config::positive_duration(value)
            .map_err(|problem| ConfigError::new(format!("--wait-timeout {value:?}: {problem}")))?;
        Ok(Some(Self(timeout)))
    }

    /// Returns when every running gateway has this file in force, or a later one. An error says what is missing.
    async fn for_gateways(self, config: &Config, url: &StateUrl, file: &AccountsFile) -> Result<(), String> {
        let deadline = Instant::now() + self.0;
        let written = digest_text(file.digest());
        let mut state = None;
        loop {
            // What others changed since holds this change, too.
            let now = AccountsFile::load(&config.accounts).ok().map(|file| digest_text(file.digest()));
            let is_behind =
                |gateway: &Gateway| gateway.accounts != written && Some(&gateway.accounts) != now.as_ref();
            let problem = match gateways(&mut state, url).await {
                Ok(gateways) if gateways.is_empty() => {
                    "no running gateway is registered in the state store; start one with this configuration"
                        .to_owned()
                }
                Ok(gateways) => {
                    let behind = gateways.into_iter().filter(is_behind).map(|gateway| gateway.name);
                    let behind: Vec<_> = behind.collect();
                    if behind.is_empty() {
                        return Ok(());
                    }
                    format!("not in force yet on: {}; see its log", behind.join(", "))
                }
                Err(error) => format!("the state store cannot be read: {error}"),
            };
            if Instant::now() >= deadline {
                let every = reload_interval(config.cache_ttl);
                return Err(format!(
                    "after {:?}, {problem} (a gateway reads the file every {every:?}: identity.cache_ttl)",
                    self.0
                ));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn gateways(state: &mut Option<State>, url: &StateUrl) -> Result<Vec<Gateway>, StateError> {
    if state.is_none() {
        *state = State::open_to_read(url).await?;
    }
    let Some(open) = state else { return Ok(vec![]) };
    let gateways = open.gateways().await;
    if gateways.is_err() {
        *state = None;
    }
    gateways
}

/// Refuses to wait where no gateway can confirm, before anything is changed.
fn check_wait(config: &Config, wait: Option<Wait>) -> Result<(), ConfigError> {
    if wait.is_none() {
        return Ok(());
    }
    if let Source::Django(_) = config.source {
        return Err(ConfigError::new(
            "--wait: with --identity django no gateway uses the accounts; leave --wait out",
        ));
    }
    match config.state {
        Some(StateUrl::Memory) | None => Err(ConfigError::new(
            "--wait: gateways confirm in the state store, and state is memory; set state, or leave --wait out",
        )),
        Some(_) => Ok(()),
    }
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
