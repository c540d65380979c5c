//! `private-media check`: prints whether a user may read a path, and the reason.

mod row;

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use private_media::{Action, Decision, MediaPath, Permit, StorageError};

use crate::config::{self, Config, ConfigError, Scope};
use crate::startup::{load, text};
use crate::{log, open, output, runtime};

pub(crate) fn command() -> Command {
    let user = Arg::new("user").value_name("USER").required(true).help("Name of a user, or anonymous");
    let path = Arg::new("path")
        .value_name("PATH")
        .required(true)
        .help("Path of a file below the root, or the path of its URL");
    let action = Arg::new("action")
        .long("action")
        .value_name("ACTION")
        .value_parser(["read"])
        .default_value("read")
        .help("Action to check");
    Command::new("check")
        .about("Print whether a user may read a path, and the reason; exit code 0 if allowed, 1 if denied")
        .args([user, path, action])
        .args(config::args(Scope::Decision))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    check(&load(matches)?, text(matches, "user"), text(matches, "path"))
}

/// Makes the same decision as `serve`, and prints it.
fn check(config: &Config, user: &str, path: &str) -> Result<ExitCode, ConfigError> {
    let (decision, row) = runtime::block_on(async {
        let (media, identities) = open::open(config).await?;
        let identity = identities.find(user).await?;
        if identity.user().is_none() && user != "anonymous" {
            log::print(format_args!("note: {user} is not active; requests are anonymous"));
        }
        // The path of a URL is accepted, too.
        let parsed = match path.strip_prefix(&config.url) {
            Some(url) => MediaPath::from_url(url),
            None => MediaPath::new(path),
        };
        Ok(match parsed {
            Ok(path) => {
                let decision = media.decide(&identity, Action::Read, &path).await;
                let row = row::row(config, &media, &path).await;
                let found = media.storage().metadata(&Permit::trusted(path)).await;
                if decision.is_allowed()
                    && let Err(StorageError::NotFound { reason, .. }) = found
                {
                    log::print(format_args!(
                        "note: no such file in {} ({reason}); the response is 404 for every user",
                        config.root.display()
                    ));
                }
                (decision, row)
            }
            Err(error) => (Decision::deny(error.to_string()), None),
        })
    })??;
    output::line(format_args!("{decision}"))?;
    if let Some(row) = row {
        output::line(format_args!("{row}"))?;
    }
    Ok(if decision.is_allowed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
