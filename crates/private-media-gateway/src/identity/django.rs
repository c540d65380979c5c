//! The sessions and users of a Django project.

use std::error::Error;
use std::fmt::Display;

use private_media::{IdentifyError, Identity};
use private_media_django::{Database, DjangoSessions, SecretKeys, SessionEngine, UserKey};

use crate::config::{ConfigError, DjangoConfig};

/// Connects to the project's database, and checks it.
pub(super) async fn open(config: &DjangoConfig) -> Result<DjangoSessions, ConfigError> {
    let secret = &config.secret_file;
    let keys =
        SecretKeys::load(&secret.path).map_err(|error| secret.setting.error_with(&error.to_string()))?;
    let database_error = |error: &dyn Display| config.database_setting.error_with(&error.to_string());
    let database = Database::connect(&config.database).await.map_err(|error| database_error(&error))?;
    if config.options.engine == SessionEngine::Database {
        database.check_sessions().await.map_err(|error| database_error(&error))?;
    }
    Ok(DjangoSessions::new(database, keys, config.options.clone()))
}

/// Returns the identity of a user.
pub(super) async fn find(
    sessions: &DjangoSessions,
    config: &DjangoConfig,
    key: UserKey<'_>,
) -> Result<Option<Identity>, ConfigError> {
    sessions.find(key).await.map_err(|error: IdentifyError| {
        let cause = error.source().map(ToString::to_string).unwrap_or_default();
        config.database_setting.error_with(&format!("no response ({cause}); check that it runs"))
    })
}
