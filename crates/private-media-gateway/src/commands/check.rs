//! `private-media check`: may this user read this path, and what decides it?

use std::process::ExitCode;

use private_media::{Action, Decision, MediaPath, Permit, StorageError};

use crate::config::{Config, ConfigError};
use crate::{log, open, output, runtime};

/// Asks what `serve` would ask, of the same permissions, and prints the answer.
pub(crate) fn run(config: &Config, user: &str, path: &str) -> Result<ExitCode, ConfigError> {
    let decision = runtime::block_on(async {
        let (media, readers) = open::open(config).await?;
        let identity = readers.find(config, user).await?;
        if identity.user().is_none() && user != "anonymous" {
            log::print(format_args!("note: {user} is not active, and so nobody"));
        }
        // A path as a browser's address bar has it is as welcome as a name below the root.
        let parsed = match path.strip_prefix(&config.url) {
            Some(url) => MediaPath::from_url(url),
            None => MediaPath::new(path),
        };
        Ok(match parsed {
            Ok(path) => {
                let decision = media.decide(&identity, Action::Read, &path).await;
                let found = media.storage().metadata(&Permit::trusted(path)).await;
                if decision.is_allowed()
                    && let Err(StorageError::NotFound { reason, .. }) = found
                {
                    log::print(format_args!(
                        "note: there is no such file in {} ({reason}), so the response is 404",
                        config.root.display()
                    ));
                }
                decision
            }
            Err(error) => Decision::deny(error.to_string()),
        })
    })??;
    output::line(format_args!("{decision}"))?;
    Ok(if decision.is_allowed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
