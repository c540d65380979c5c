//! `private-media who`: prints the user of a credential, or why it is rejected.

use std::fmt::Write;
use std::io::BufRead;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Arg, ArgGroup, ArgMatches, Command};
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use http::request::Parts;
use private_media::{Identify, Identity, User};
use serde_json::{Value, json};

use crate::config::{self, Config, ConfigError, Scope};
use crate::identity::IdentityBackend;
use crate::output;
use crate::runtime;
use crate::startup::{load, text};
use crate::state;

pub(crate) fn command() -> Command {
    let cookie = Arg::new("cookie")
        .long("cookie")
        .value_name("COOKIES")
        .help("Cookies as a browser sends them, 'name=value; name=value'; - reads them from standard input");
    let token = Arg::new("token")
        .long("token")
        .value_name("TOKEN")
        .help("Bearer token; - reads it from standard input");
    let basic = Arg::new("basic").long("basic").value_name("NAME").conflicts_with("token").help(
        "Name of HTTP Basic, whose password is read from standard input; - reads NAME:PASSWORD from there",
    );
    let format = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .default_value("text")
        .help("Output format: text or json");
    Command::new("who")
        .about("Print the user of a credential, or why it is rejected; exit code 0 if it is a user, 1 if not")
        .args([cookie, token, basic, format])
        .group(ArgGroup::new("credential").args(["cookie", "token", "basic"]).required(true).multiple(true))
        .args(config::args(Scope::Identity))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let (config, head) = (load(matches)?, request(matches)?);
    let (identity, recognized_by) = runtime::block_on(identify(&config, &head))??;
    match text(matches, "format") {
        "json" => output::line(format_args!("{}", to_json(&identity, &recognized_by)))?,
        _ => output::text(format_args!("{}", to_text(&identity, &recognized_by)))?,
    }
    Ok(if identity.user().is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Returns a request with the credentials of the arguments.
fn request(matches: &ArgMatches) -> Result<Parts, ConfigError> {
    let mut fields: Vec<(HeaderName, &str, String)> = Vec::new();
    if let Some(cookie) = matches.get_one::<String>("cookie") {
        fields.push((COOKIE, "cookie", or_stdin(cookie)?));
    }
    if let Some(token) = matches.get_one::<String>("token") {
        fields.push((AUTHORIZATION, "token", format!("Bearer {}", or_stdin(token)?)));
    }
    if let Some(name) = matches.get_one::<String>("basic") {
        let input = read_line()?;
        let credentials = if name == "-" { input } else { format!("{name}:{input}") };
        fields.push((AUTHORIZATION, "basic", format!("Basic {}", STANDARD.encode(credentials))));
    }
    let (mut head, ()) = http::Request::new(()).into_parts();
    for (header, flag, value) in fields {
        let value = HeaderValue::try_from(value).map_err(|_| {
            ConfigError::new(format!("--{flag}: not the value of a header; remove control characters"))
        })?;
        head.headers.insert(header, value);
    }
    Ok(head)
}

/// Returns an argument, or the first line of standard input for `-`. Other users can see arguments.
fn or_stdin(argument: &str) -> Result<String, ConfigError> {
    if argument == "-" { read_line() } else { Ok(argument.to_owned()) }
}

fn read_line() -> Result<String, ConfigError> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(_) => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
        Err(cause) => {
            Err(ConfigError::new(format!("cannot read the credential from standard input: {cause}")))
        }
    }
}

/// Identifies a request like `serve`, and returns the sources that recognize its credentials.
async fn identify(config: &Config, head: &Parts) -> Result<(Identity, Vec<&'static str>), ConfigError> {
    let identities = IdentityBackend::open(config).await?;
    if let (Some(accounts), Some(url)) = (identities.accounts(), &config.state) {
        let applied = state::apply_revocations(url, &accounts).await;
        applied.map_err(|error| config.state_error(&error))?;
    }
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
