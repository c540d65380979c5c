//! `private-media who`: prints the user of a credential, or why it is rejected.

use std::fmt::Write;
use std::process::ExitCode;

use clap::{ArgGroup, ArgMatches, Command};
use http::Request;
use http::request::Parts;
use private_media::{Identify, Identity, User};
use serde_json::{Value, json};

use crate::config::{self, Config, ConfigError, Scope};
use crate::credential;
use crate::identity::IdentityBackend;
use crate::output;
use crate::runtime;
use crate::startup::{format_arg, load, text};

pub(crate) fn command() -> Command {
    Command::new("who")
        .about("Print the user of a credential, or why it is rejected; exit code 0 if it is a user, 1 if not")
        .args(credential::args())
        .arg(format_arg())
        .group(ArgGroup::new("credential").args(credential::NAMES).required(true).multiple(true))
        .args(config::args(Scope::Identity))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let config = load(matches)?;
    // One of the arguments is required.
    let head = credential::request(matches)?.unwrap_or_else(|| Request::new(()).into_parts().0);
    let (identity, recognized_by) = runtime::block_on(identify(&config, &head))??;
    match text(matches, "format") {
        "json" => output::line(format_args!("{}", to_json(&identity, &recognized_by)))?,
        _ => output::text(format_args!("{}", to_text(&identity, &recognized_by)))?,
    }
    Ok(if identity.user().is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Identifies a request like `serve`, and returns the sources that recognize its credentials.
async fn identify(config: &Config, head: &Parts) -> Result<(Identity, Vec<&'static str>), ConfigError> {
    let identities = IdentityBackend::open(config).await?;
    credential::apply_revocations(config, &identities).await?;
    let identity = identities.to_identify().identify(head).await.map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        ConfigError::new(format!("could not identify the client: {cause}"))
    })?;
    Ok((identity, identities.recognizing(head)))
}

fn to_text(identity: &Identity, recognized_by: &[&str]) -> String {
    match identity {
        Identity::User(user) => user_to_text(user),
        Identity::Rejected(rejection) => {
            format!("rejected by {}: {}\n", rejection.source(), rejection.reason())
        }
        Identity::Anonymous if recognized_by.is_empty() => {
            "anonymous: no identity source recognizes the credential\n".to_owned()
        }
        Identity::Anonymous => {
            format!("anonymous: recognized by {}, and nobody is signed in\n", recognized_by.join(", "))
        }
    }
}

/// Returns the lines about a user. Control characters of a credential do not get to the terminal.
fn user_to_text(user: &User) -> String {
    let shown = |text: &str| text.replace(char::is_control, " ");
    let groups = if user.groups().is_empty() { "-".to_owned() } else { user.groups().join(", ") };
    let mut text = format!(
        "{} (id {}), identified by {}\nstaff: {}\ngroups: {}\n",
        shown(user.display_name()),
        shown(user.id()),
        user.identified_by().unwrap_or("-"),
        if user.is_staff() { "yes" } else { "no" },
        shown(&groups),
    );
    for (name, value) in user.claims() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "claim {}: {}", shown(name), shown(value));
    }
    text
}

fn to_json(identity: &Identity, recognized_by: &[&str]) -> Value {
    match identity {
        Identity::User(user) => json!({
            "identity": "user",
            "source": user.identified_by(),
            "id": user.id(),
            "name": user.display_name(),
            "staff": user.is_staff(),
            "groups": user.groups(),
            "claims": user.claims(),
        }),
        Identity::Rejected(rejection) => json!({
            "identity": "rejected",
            "source": rejection.source(),
            "reason": rejection.reason(),
        }),
        Identity::Anonymous => json!({ "identity": "anonymous", "recognized_by": recognized_by }),
    }
}
