//! A question for the permissions.

use private_media::Action;
use private_media::permission::UnknownAction;

use super::subject::Subject;
use super::target::Target;
use crate::config::Config;

/// A question for the permissions.
pub(super) struct Case {
    pub(super) subject: Subject,
    pub(super) target: Target,
    pub(super) action: Action,
}

impl Case {
    /// Parses a case. The error names the value.
    pub(super) fn new(config: &Config, subject: Subject, path: &str, action: &str) -> Result<Self, String> {
        Ok(Self {
            subject,
            target: Target::parse(&config.url, path)?,
            action: action.parse().map_err(|unknown: UnknownAction| unknown.to_string())?,
        })
    }
}
