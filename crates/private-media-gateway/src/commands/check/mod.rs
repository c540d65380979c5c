//! `private-media check`: prints whether a user may read a path, and the reason; or compares a table of such cases.

mod case;
mod report;
mod row;
mod subject;
mod table;
mod target;

use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgGroup, ArgMatches, Command};
use http::request::Parts;
use private_media::{Action, Decision, Permit, PrivateMedia, StorageError};

use crate::config::{self, Config, ConfigError, Scope};
use crate::credential;
use crate::identity::IdentityBackend;
use crate::identity::forward::AllowedPath;
use crate::startup::{format_arg, load, text};
use crate::{log, open, runtime};
use case::Case;
use report::{Format, Outcome};
use subject::Subject;

pub(crate) fn command() -> Command {
    let user = Arg::new("user").value_name("USER").required_unless_present("table").help(
        "Name or id of a user, anonymous, or a user that is made up: '{ id = \"7\", staff = true, groups = [\"sales\"] }'; \
         absent with --cookie, --token or --basic",
    );
    let path = Arg::new("path")
        .value_name("PATH")
        .required_unless_present_any(["table", "credential"])
        .help("Path of a file below the root, the path of its URL, or its URL");
    let action = Arg::new("action")
        .long("action")
        .value_name("ACTION")
        .default_value("read")
        .help("Action to check: read, write, delete, list or share");
    let table = Arg::new("table")
        .long("table")
        .value_name("FILE")
        .conflicts_with_all(["user", "path", "action", "credential"])
        .help("TOML file of cases to check: [[case]] with user, path, action and expected");
    Command::new("check")
        .about(
            "Print whether a user may read a path, and the reason; exit code 0 if allowed, 1 if denied. \
             With --table: exit code 0 if all cases are as expected, 1 if not",
        )
        .args([user, path, action, table, format_arg()])
        .args(credential::args())
        .group(ArgGroup::new("credential").args(credential::NAMES).multiple(true))
        .args(config::args(Scope::Decision))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let format = if text(matches, "format") == "json" { Format::Json } else { Format::Text };
    let config = load(matches)?;
    if let Some(file) = matches.get_one::<String>("table") {
        return check_table(&config, Path::new(file), format);
    }
    let (user, path) = (text(matches, "user"), text(matches, "path"));
    if let Some(head) = credential::request(matches)? {
        // The credential names the user, so the only positional argument is the path.
        if !path.is_empty() {
            return Err(ConfigError::new(format!(
                "{user:?} and a credential both name the user; remove one of them"
            )));
        }
        let subject = Subject::Known("the credential".into());
        let case = Case::new(&config, subject, user, text(matches, "action")).map_err(ConfigError::new)?;
        return check_credential(&config, case, head, format);
    }
    let subject = user.parse::<Subject>().map_err(ConfigError::new)?;
    let case = Case::new(&config, subject, path, text(matches, "action"));
    check(&config, &case.map_err(ConfigError::new)?, format)
}

/// Checks whether a request with a credential gets a file. It is a request to the same service as in `serve`.
fn check_credential(
    config: &Config,
    mut case: Case,
    mut head: Parts,
    format: Format,
) -> Result<ExitCode, ConfigError> {
    if case.action != Action::Read {
        return Err(ConfigError::new("--action: a credential can only be checked for read"));
    }
    let Ok(path) = &case.target.path else {
        return conclude(config, &Outcome::new(&case, &case.target.denial()), None, format);
    };
    head.uri = format!("{}{}", config.url, path.to_url())
        .parse()
        .map_err(|error| ConfigError::new(format!("path {path}: {error}")))?;
    head.extensions.insert(AllowedPath::default());
    let (record, row, note) = runtime::block_on(async {
        let opened = Opened::new(config).await?;
        credential::apply_revocations(config, &opened.identities).await?;
        let (_, record) = opened.media.service().at(&config.url).respond(&head).await;
        let row = opened.row(&case).await;
        let note = if record.allowed_by.is_some() { opened.missing(&case).await } else { None };
        Ok((record, row, note))
    })??;
    let user = record.identity.user().map_or("anonymous", |user| user.display_name());
    case.subject = Subject::Known(user.to_owned());
    let decision = match (record.allowed_by, record.refused) {
        (Some(reason), _) => Decision::allow(reason),
        (None, reason) => Decision::deny(reason.unwrap_or_default()),
    };
    conclude(config, &Outcome::new(&case, &decision).with_row(row), note.as_deref(), format)
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
            Err(_) => case.target.denial(),
        })
    }

    /// Returns the row of a lookup that decided.
    async fn row(&self, case: &Case) -> Option<String> {
        row::row(self.config, &self.media, case.target.path.as_ref().ok()?).await
    }

    /// Returns why a file cannot be served to anyone, if so.
    async fn missing(&self, case: &Case) -> Option<String> {
        let path = case.target.path.as_ref().ok()?.clone();
        match self.media.storage().metadata(&Permit::trusted(path.clone())).await {
            Err(StorageError::NotFound { reason, .. }) => Some(format!(
                "no such file in {} ({reason}); the response is 404 for every user",
                self.config.root_of(&path).root.display()
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
        let row = opened.row(case).await;
        let note = if decision.is_allowed() { opened.missing(case).await } else { None };
        Ok((decision, row, note))
    })??;
    conclude(config, &Outcome::new(case, &decision).with_row(row), note.as_deref(), format)
}

/// Prints a decision, and returns the exit code.
fn conclude(
    config: &Config,
    outcome: &Outcome,
    note: Option<&str>,
    format: Format,
) -> Result<ExitCode, ConfigError> {
    let default = config.has_default_grant().then_some(
        "no grant is configured, so the default applies: staff may read every file, and nobody else",
    );
    for note in default.into_iter().chain(note) {
        log::print(format_args!("note: {note}"));
    }
    report::one(outcome, format)?;
    Ok(if outcome.is_allowed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
