//! Credentials in the arguments of a command, as a client sends them.

use std::io::BufRead;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Arg, ArgMatches};
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue};
use http::request::Parts;

use crate::config::{Config, ConfigError};
use crate::identity::IdentityBackend;
use crate::state;

/// The names of the arguments.
pub(crate) const NAMES: [&str; 3] = ["cookie", "token", "basic"];

/// Returns the arguments for a credential.
pub(crate) fn args() -> [Arg; 3] {
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
    [cookie, token, basic]
}

/// Returns the head of a request with the credentials of the arguments; `None` if there are none.
pub(crate) fn request(matches: &ArgMatches) -> Result<Option<Parts>, ConfigError> {
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
    if fields.is_empty() {
        return Ok(None);
    }
    let (mut head, ()) = http::Request::new(()).into_parts();
    for (header, flag, value) in fields {
        let value = HeaderValue::try_from(value).map_err(|_| {
            ConfigError::new(format!("--{flag}: not the value of a header; remove control characters"))
        })?;
        head.headers.insert(header, value);
    }
    Ok(Some(head))
}

/// Ends the sessions that running gateways have ended.
pub(crate) async fn apply_revocations(
    config: &Config,
    identities: &IdentityBackend,
) -> Result<(), ConfigError> {
    if let (Some(accounts), Some(url)) = (identities.accounts(), &config.state) {
        let applied = state::apply_revocations(url, &accounts).await;
        applied.map_err(|error| config.state_error(&error))?;
    }
    Ok(())
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
