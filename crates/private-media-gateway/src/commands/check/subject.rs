//! The user that a case is about.

use std::fmt;
use std::str::FromStr;

use private_media::{Identity, User};
use serde::Deserialize;

use crate::config::ConfigError;
use crate::identity::IdentityBackend;

/// A user, as the user of the command names them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a text (a name, an id or anonymous) or { id = \"7\", name = \"alice\", staff = true, groups = [\"sales\"] }"
)]
pub(super) enum Subject {
    /// The name or the id of a user that the identity sources know, or `anonymous`.
    Known(String),
    /// A user that is made up, for sources that cannot list their users.
    MadeUp(MadeUp),
}

/// A user that is made up.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MadeUp {
    id: String,
    name: Option<String>,
    #[serde(default)]
    staff: bool,
    #[serde(default)]
    groups: Vec<String>,
}

impl Subject {
    /// Returns the identity.
    pub(super) async fn identity(&self, identities: &IdentityBackend) -> Result<Identity, ConfigError> {
        match self {
            Self::Known(user) => identities.find(user).await,
            Self::MadeUp(MadeUp { id, name, staff, groups }) => {
                let user = User::new(id).name(name.as_ref().unwrap_or(id)).staff(*staff);
                Ok(groups.iter().fold(user, User::group).into())
            }
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    /// Parses an argument: a name, or an inline table.
    fn from_str(text: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Argument {
            user: MadeUp,
        }

        if !text.starts_with('{') {
            return Ok(Self::Known(text.to_owned()));
        }
        let argument = toml::from_str(&format!("user = {text}"));
        let argument: Argument = argument.map_err(|cause: toml::de::Error| {
            format!(
                "invalid user {text:?}: {}; expected e.g. {{ id = \"7\", staff = true }}",
                cause.message()
            )
        })?;
        Ok(Self::MadeUp(argument.user))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(name) => f.write_str(name),
            Self::MadeUp(user) => f.write_str(user.name.as_ref().unwrap_or(&user.id)),
        }
    }
}
