//! `private-media account`: changes and lists the accounts that can sign in.

use std::fmt::Write;
use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, Command};
use private_media::identity::accounts::{AccountsError, AccountsFile, NewAccount};
use serde_json::{Value, json};

use crate::config::{self, AccountsConfig, Config, ConfigError, Scope};
use crate::identity::{load_accounts, reload_interval};
use crate::log;
use crate::output;
use crate::runtime;
use crate::startup::{format_arg, load, text};
use crate::state::{Gateway, State, StateError, StateUrl, digest_text};

/// The interval at which `--wait` reads the state store.
const POLL: Duration = Duration::from_millis(100);

pub(crate) fn command() -> Command {
    let id = Arg::new("id")
        .long("id")
        .value_name("ID")
        .help("Value of {owner} in the paths of this user [default: the name]");
    let staff = Arg::new("staff").long("staff").action(ArgAction::SetTrue).help("Make the user staff");
    let group = Arg::new("group")
        .long("group")
        .value_name("GROUP")
        .action(ArgAction::Append)
        .help("Add the user to this group; may be repeated");
    Command::new("account")
        .about("Add, change, remove and list the accounts that can sign in")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("add")
                .about("Add an account; asks for its password")
                .args([name_arg(), id, staff, group, password_stdin_arg()])
                .args(wait_args())
                .args(config::args(Scope::AccountChange)),
        )
        .subcommand(
            Command::new("passwd")
                .about("Change the password of an account and end its sessions; asks for the new password")
                .args([name_arg(), password_stdin_arg()])
                .args(wait_args())
                .args(config::args(Scope::AccountChange)),
        )
        .subcommand(
            Command::new("remove")
                .about("Remove an account and end its sessions")
                .arg(name_arg())
                .args(wait_args())
                .args(config::args(Scope::AccountChange)),
        )
        .subcommand(
            Command::new("list")
                .about("List the accounts: name, id, staff, groups")
                .arg(format_arg())
                .args(config::args(Scope::AccountsFile)),
        )
}

fn name_arg() -> Arg {
    Arg::new("name").value_name("NAME").required(true).help("Name that the user signs in with")
}

fn password_stdin_arg() -> Arg {
    Arg::new("password-stdin")
        .long("password-stdin")
        .action(ArgAction::SetTrue)
        .help("Read the password from the first line of standard input")
}

fn wait_args() -> [Arg; 2] {
    [
        Arg::new("wait").long("wait").action(ArgAction::SetTrue).help(
            "Wait until every running gateway has applied the change; exit code 1 if one does not confirm",
        ),
        Arg::new("wait-timeout")
            .long("wait-timeout")
            .value_name("DURATION")
            .default_value("30s")
            .requires("wait")
            .help("How long to wait with --wait"),
    ]
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    match matches.subcommand() {
        Some(("add", matches)) => {
            let name = text(matches, "name");
            let id = matches.get_one::<String>("id").map_or(name, String::as_str);
            let groups = matches.get_many::<String>("group").into_iter().flatten();
            let new = NewAccount::new(name, id, "").staff(matches.get_flag("staff")).groups(groups);
            add(&load(matches)?, new, matches.get_flag("password-stdin"), Wait::of(matches)?)
        }
        Some(("passwd", matches)) => {
            let (config, wait) = (load(matches)?, Wait::of(matches)?);
            passwd(&config, text(matches, "name"), matches.get_flag("password-stdin"), wait)
        }
        Some(("remove", matches)) => remove(&load(matches)?, text(matches, "name"), Wait::of(matches)?),
        Some(("list", matches)) => list(&load(matches)?, text(matches, "format") == "json"),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Adds an account. A missing file is created.
fn add(
    config: &Config,
    mut account: NewAccount,
    password_stdin: bool,
    wait: Option<Wait>,
) -> Result<ExitCode, ConfigError> {
    check(config, wait)?;
    // Fails before it asks for a password. A missing file is created later, and any other problem is found again then.
    if let Ok(file) = load_accounts(accounts(config)?) {
        file.check(&account).map_err(|error| ConfigError::new(error.to_string()))?;
    }
    account.password = password(password_stdin)?;
    let file = update(config, |file| file.add(account.clone()))?;
    done(config, &format!("added {} (id {}) to", account.name, account.id), &file, wait)
}

/// Changes the password of an account, which ends its sessions.
fn passwd(
    config: &Config,
    name: &str,
    password_stdin: bool,
    wait: Option<Wait>,
) -> Result<ExitCode, ConfigError> {
    check(config, wait)?;
    // Fails before it asks for a password.
    if !load_accounts(accounts(config)?)?.users().any(|user| user.display_name() == name) {
        return Err(ConfigError::new(format!(
            "account {name:?}: no such account; private-media account list shows them"
        )));
    }
    let password = password(password_stdin)?;
    let file = update(config, |file| file.set_password(name, &password))?;
    done(config, &format!("changed the password of {name} in"), &file, wait)
}

/// Removes an account and ends its sessions.
fn remove(config: &Config, name: &str, wait: Option<Wait>) -> Result<ExitCode, ConfigError> {
    check(config, wait)?;
    // The error of a missing file names the setting.
    load_accounts(accounts(config)?)?;
    let file = update(config, |file| file.remove(name))?;
    done(config, &format!("removed {name} from"), &file, wait)
}

/// Lists the accounts: name, id, staff, groups.
fn list(config: &Config, as_json: bool) -> Result<ExitCode, ConfigError> {
    if as_json {
        let file = load_accounts(accounts(config)?)?;
        let users = file.users().map(|user| {
            json!({
                "name": user.display_name(),
                "id": user.id(),
                "staff": user.is_staff(),
                "groups": user.groups(),
            })
        });
        output::line(format_args!("{}", Value::Array(users.collect())))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = String::new();
    // A program that reads the lines gets the accounts alone.
    if std::io::stdout().is_terminal() {
        lines.push_str("NAME\tID\tSTAFF\tGROUPS\n");
    }
    for user in load_accounts(accounts(config)?)?.users() {
        let staff = if user.is_staff() { "staff" } else { "-" };
        let groups = if user.groups().is_empty() { "-".to_owned() } else { user.groups().join(",") };
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "{}\t{}\t{staff}\t{groups}", user.display_name(), user.id());
    }
    output::text(format_args!("{lines}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the settings of the accounts, which the configuration may not use.
fn accounts(config: &Config) -> Result<&AccountsConfig, ConfigError> {
    config.accounts().ok_or_else(|| {
        ConfigError::new("identity: no source is accounts; add [[identity]] with source = \"accounts\"")
    })
}

fn update(
    config: &Config,
    change: impl FnMut(&mut AccountsFile) -> Result<(), AccountsError>,
) -> Result<AccountsFile, ConfigError> {
    AccountsFile::update(&accounts(config)?.file.path, change)
        .map_err(|error| ConfigError::new(error.to_string()))
}

/// Prints the change that was made, and waits for the gateways with `--wait`.
fn done(
    config: &Config,
    change: &str,
    file: &AccountsFile,
    wait: Option<Wait>,
) -> Result<ExitCode, ConfigError> {
    let accounts = accounts(config)?;
    output::line(format_args!("{change} {}", accounts.file.path.display()))?;
    let (Some(wait), Some(url)) = (wait, &config.state) else { return Ok(ExitCode::SUCCESS) };
    match runtime::block_on(wait.for_gateways(accounts, url, file))? {
        Ok(()) => {
            output::line(format_args!("applied by every running gateway"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problem) => {
            log::print(format_args!("private-media: the accounts file was changed, but {problem}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// How long to wait for the running gateways.
#[derive(Debug, Clone, Copy)]
struct Wait(Duration);

impl Wait {
    fn of(matches: &ArgMatches) -> Result<Option<Self>, ConfigError> {
        if !matches.get_flag("wait") {
            return Ok(None);
        }
        let value = matches.get_one::<String>("wait-timeout").map_or("", String::as_str);
        let timeout = config::positive_duration(value).map_err(|problem| {
            ConfigError::new(format!("invalid value {value:?} for --wait-timeout: {problem}"))
        })?;
        Ok(Some(Self(timeout)))
    }

    /// Returns when every running gateway has applied this file, or a later one. The error says which gateway has not.
    async fn for_gateways(
        self,
        accounts: &AccountsConfig,
        url: &StateUrl,
        file: &AccountsFile,
    ) -> Result<(), String> {
        let deadline = Instant::now() + self.0;
        let written = digest_text(file.digest());
        let mut state = None;
        loop {
            // A later change of the file includes this one.
            let now = AccountsFile::load(&accounts.file.path).ok().map(|file| digest_text(file.digest()));
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
                    format!("not yet applied by: {}; see its log", behind.join(", "))
                }
                Err(error) => format!("cannot read the state store: {error}"),
            };
            if Instant::now() >= deadline {
                let every = reload_interval(accounts.cache_ttl);
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

/// Rejects a change before it is made if accounts are no identity source, or if no gateway can confirm it with `--wait`.
fn check(config: &Config, wait: Option<Wait>) -> Result<(), ConfigError> {
    accounts(config)?;
    if wait.is_none() {
        return Ok(());
    }
    match config.state {
        Some(StateUrl::Memory) | None => Err(ConfigError::new(
            "--wait: gateways confirm in the state store, but state is memory; set --state, or remove --wait",
        )),
        Some(_) => Ok(()),
    }
}

fn password(from_stdin: bool) -> Result<String, ConfigError> {
    let error = |cause: std::io::Error| ConfigError::new(format!("cannot read the password: {cause}"));
    if from_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(error)?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    if !std::io::stdin().is_terminal() {
        return Err(ConfigError::new("no terminal to ask for the password; use --password-stdin"));
    }
    let first = rpassword::prompt_password("password: ").map_err(error)?;
    let again = rpassword::prompt_password("repeat the password: ").map_err(error)?;
    if first == again { Ok(first) } else { Err(ConfigError::new("the two passwords differ; try again")) }
}
