//! `private-media check`: prints whether a user may read a path, and the reason; or compares a table of such cases.

mod case;
mod report;
mod row;
mod subject;
mod table;
mod target;

use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use private_media::{Decision, Permit, PrivateMedia, StorageError};

use crate::config::{self, Config, ConfigError, Scope};
use crate::identity::IdentityBackend;
use crate::startup::{load, text};
use crate::{log, open, runtime};
use case::Case;
use report::{Format, Outcome};
use subject::Subject;

pub(crate) fn command() -> Command {
    let user = Arg::new("user").value_name("USER").required_unless_present("table").help(
        "Name or id of a user, anonymous, or a user that is made up: '{ id = \"7\", staff = true, groups = [\"sales\"] }'",
    );
    let path = Arg::new("path")
        .value_name("PATH")
        .required_unless_present("table")
        .help("Path of a file below the root, the path of its URL, or its URL");
    let action = Arg::new("action")
        .long("action")
        .value_name("ACTION")
        .default_value("read")
        .help("Action to check: read, write, delete, list or share");
    let table = Arg::new("table")
        .long("table")
        .value_name("FILE")
        .conflicts_with_all(["user", "path", "action"])
        .help("TOML file of cases to check: [[case]] with user, path, action and expected");
    let format = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .default_value("text")
        .help("Format of the output: text or json");
    Command::new("check")
        .about(
            "Print whether a user may read a path, and the reason; exit code 0 if allowed, 1 if denied. \
             With --table: exit code 0 if all cases are as expected, 1 if not",
        )
        .args([user, path, action, table, format])
        .args(config::args(Scope::Decision))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let format = if text(matches, "format") == "json" { Format::Json } else { Format::Text };
    let config = load(matches)?;
    match matches.get_one::<String>("table") {
        Some(file) => check_table(&config, Path::new(file), format),
        None => {
            let subject = text(matches, "user").parse::<Subject>().map_err(ConfigError::new)?;
            let case = Case::new(&config, subject, text(matches, "path"), text(matches, "action"));
            check(&config, &case.map_err(ConfigError::new)?, format)
        }
    }
}

/// The identities and permissions of a configuration: those of `serve`.
struct Opened<'a> {
    config: &'a Config,
    media: PrivateMedia,
    identities: IdentityBackend,
}

impl<'a> Opened<'a> {
    async fn new(config: &'a Config) -> Result<Self, ConfigError> {
        let (media, identities) = open::open(config).await?;
        Ok(Self { config, media, identities })
    }

    /// Makes the same decision as `serve`.
    async fn decide(&self, case: &Case) -> Result<Decision, ConfigError> {
        let identity = case.subject.identity(&self.identities).await?;
        Ok(match &case.target.path {
            Ok(path) => self.media.decide(&identity, case.action, path).await,
            Err(error) => Decision::deny(error.to_string()),
        })
    }

    /// Returns why a file cannot be served to anyone, if so.
    async fn missing(&self, case: &Case) -> Option<String> {
        let path = case.target.path.as_ref().ok()?.clone();
        match self.media.storage().metadata(&Permit::trusted(path)).await {
            Err(StorageError::NotFound { reason, .. }) => Some(format!(
                "no such file in {} ({reason}); the response is 404 for every user",
                self.config.root.display()
            )),
            _ => None,
        }
    }
}

/// Checks one case.
fn check(config: &Config, case: &Case, format: Format) -> Result<ExitCode, ConfigError> {
    let (decision, row, note) = runtime::block_on(async {
        let opened = Opened::new(config).await?;
        let decision = opened.decide(case).await?;
        let row = match &case.target.path {
            Ok(path) => row::row(config, &opened.media, path).await,
            Err(_) => None,
        };
        let note = if decision.is_allowed() { opened.missing(case).await } else { None };
        Ok((decision, row, note))
    })??;
    if let Some(note) = note {
        log::print(format_args!("note: {note}"));
    }
    report::one(&Outcome::new(case, &decision).with_row(row), format)?;
    Ok(if decision.is_allowed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks the cases of a table.
fn check_table(config: &Config, file: &Path, format: Format) -> Result<ExitCode, ConfigError> {
    let cases = table::load(config, file)?;
    let outcomes = runtime::block_on(async {
        let opened = Opened::new(config).await?;
        let mut outcomes = Vec::new();
        for row in &cases {
            let decision = opened.decide(&row.case).await.map_err(|error| row.error(file, &error))?;
            outcomes.push(Outcome::new(&row.case, &decision).compared(row));
        }
        Ok(outcomes)
    })??;
    report::table(file, &outcomes, format)?;
    let is_as_expected = outcomes.iter().all(Outcome::is_as_expected);
    Ok(if is_as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
