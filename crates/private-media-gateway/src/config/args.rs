//! The settings as flags of the command line.

use clap::{Arg, ArgAction, ArgMatches};

use super::key::{Key, Kind, Scope};
use super::keys::{KEYS, URL};

/// The flag `--url` of `doctor` is the public URL.
pub(crate) const PUBLIC_URL: &str = "public-url";
/// The flag of the setting `url` in `doctor`.
const PRIVATE_URL: &str = "private-url";
/// The variable that names the TOML file.
pub(super) const CONFIG_VARIABLE: &str = "PRIVATE_MEDIA_CONFIG";
/// The characters between the items of a list in one flag or variable. Neither a folder nor a grant needs it.
pub(super) const LIST_DELIMITER: char = ';';

/// Returns the flags of the settings that a command uses, and `--config`.
pub(crate) fn args(scope: Scope) -> impl Iterator<Item = Arg> {
    let settings = KEYS.iter().filter(move |key| key.is_in(scope)).map(move |key| {
        let is_private = scope == Scope::Deployment && key.name == URL.name;
        arg(key, if is_private { PRIVATE_URL } else { key.flag })
    });
    std::iter::once(config_file()).chain(settings)
}

/// Returns the flag of a setting that this command was given, as a flag or a variable. The flag is the id of the argument: clap knows
/// only in debug builds which arguments a command has.
pub(super) fn flag_in(key: &Key, matches: &ArgMatches) -> Option<&'static str> {
    let private = (key.name == URL.name).then_some(PRIVATE_URL);
    let is_given = |flag: &&str| matches!(matches.try_contains_id(flag), Ok(true));
    [key.flag].into_iter().chain(private).find(is_given)
}

fn arg(key: &Key, flag: &'static str) -> Arg {
    let arg = Arg::new(flag).long(flag).env(key.environment()).hide_env_values(true);
    let help = match key.default {
        "" => key.help.to_owned(),
        default => format!("{} [default: {default}]", key.help),
    };
    let arg = arg.help(help).help_heading(key.heading.text()).value_name(key.value_name);
    match key.kind {
        Kind::Text | Kind::Url | Kind::Number | Kind::NumberOrText | Kind::Roots => arg,
        Kind::Boolean => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        Kind::List | Kind::TextOrList | Kind::Grants => {
            arg.action(ArgAction::Append).value_delimiter(LIST_DELIMITER)
        }
        // A table may contain the delimiter.
        Kind::Tables(_) => arg.action(ArgAction::Append),
    }
}

fn config_file() -> Arg {
    Arg::new("config")
        .long("config")
        .env(CONFIG_VARIABLE)
        .hide_env_values(true)
        .value_name("FILE")
        .help("Configuration file [default: private-media.toml, if it exists]")
}
