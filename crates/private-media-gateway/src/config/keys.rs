//! Every setting once: its key, flag, environment variable, default and meaning.

use clap::{Arg, ArgAction, ArgMatches};

/// One setting.
#[derive(Debug)]
pub(crate) struct Key {
    /// The key in TOML, with its table before the dot.
    pub(crate) name: &'static str,
    /// The flag, without its dashes; the environment variable is named after it.
    pub(crate) flag: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) help: &'static str,
}

/// What TOML writes it as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// A text that may hold a password, which is not shown.
    Url,
    Number,
    Boolean,
    /// Texts, in an array; as a flag, repeated.
    List,
    /// `[[grant]]` tables.
    Grants,
}

const fn key(
    name: &'static str,
    flag: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> Key {
    Key { name, flag, kind, default, help }
}

pub(crate) static LISTEN: Key =
    key("listen", "listen", Kind::Text, "127.0.0.1:8000", "Address to listen on; port 0 takes a free one");
pub(crate) static ROOT: Key = key("root", "root", Kind::Text, "private", "Folder of the private files");
pub(crate) static URL: Key =
    key("url", "url", Kind::Text, "/private/", "URL prefix below which they are served");
pub(crate) static DEBUG: Key = key(
    "debug",
    "debug",
    Kind::Boolean,
    "false",
    "Say 403 and why to a reader who is denied; for development",
);
pub(crate) static PUBLIC: Key = key(
    "public",
    "public",
    Kind::List,
    "",
    "Folder that the application serves to everybody; the root may not lie in it",
);
pub(crate) static WORKERS: Key =
    key("workers", "workers", Kind::Text, "auto", "Threads that answer requests; auto is one a core");
pub(crate) static LOG: Key =
    key("log", "log", Kind::Text, "info", "What to log: error, warn, info, debug or trace");
pub(crate) static STATE: Key = key(
    "state",
    "state",
    Kind::Url,
    "sqlite:state.db",
    "Where ended sessions are stored: sqlite:PATH, postgres://… for several gateways, or memory",
);
pub(crate) static SOURCE: Key = key(
    "identity.source",
    "identity",
    Kind::Text,
    "accounts",
    "Who tells readers apart: accounts, or django (its middleware is not run)",
);
pub(crate) static ACCOUNTS: Key =
    key("identity.accounts", "accounts", Kind::Text, "accounts.toml", "File of the built-in accounts");
pub(crate) static CACHE_TTL: Key =
    key("identity.cache_ttl", "cache-ttl", Kind::Text, "5s", "How long an answer about a reader may be kept");
pub(crate) static SESSION_LIFETIME: Key =
    key("identity.session_lifetime", "session-lifetime", Kind::Text, "14d", "How long a sign-in lasts");
pub(crate) static DATABASE: Key = key(
    "identity.database",
    "database",
    Kind::Url,
    "sqlite:db.sqlite3",
    "With django: the project's database, sqlite:PATH, postgres://… or mysql://…",
);
pub(crate) static SECRET_FILE: Key = key(
    "identity.secret_file",
    "secret-file",
    Kind::Text,
    "secret.key",
    "With django: file of its SECRET_KEY, and of SECRET_KEY_FALLBACKS below it, one a line",
);
pub(crate) static SESSION_ENGINE: Key = key(
    "identity.session_engine",
    "session-engine",
    Kind::Text,
    "db",
    "With django: where its sessions are, db, cached_db or signed_cookies",
);
pub(crate) static SESSION_COOKIE: Key = key(
    "identity.session_cookie",
    "session-cookie",
    Kind::Text,
    "sessionid",
    "With django: the name of its session cookie",
);
pub(crate) static BACKENDS: Key = key(
    "identity.backends",
    "backend",
    Kind::List,
    "django.contrib.auth.backends.ModelBackend",
    "With django: one of its AUTHENTICATION_BACKENDS; may be repeated",
);
pub(crate) static GRANT: Key =
    key("grant", "grant", Kind::Grants, "", "Who may read what, as in 'cars/{owner}/{*file}=owner,staff'");
pub(crate) static REVALIDATE_AFTER: Key = key(
    "storage.revalidate_after",
    "revalidate-after",
    Kind::Text,
    "1s",
    "How long after a look a file counts as what it was then; 0s looks each time",
);
pub(crate) static FOLLOW_LINKS: Key = key(
    "storage.follow_links",
    "follow-links",
    Kind::Boolean,
    "false",
    "Follow symbolic links below the root, never out of it; a link gives a file a second path",
);
pub(crate) static MODE: Key = key(
    "delivery.mode",
    "mode",
    Kind::Text,
    "direct",
    "Who sends the bytes: direct, nginx (X-Accel-Redirect) or apache (X-Sendfile; lighttpd too)",
);
pub(crate) static INTERNAL_URL: Key = key(
    "delivery.internal_url",
    "internal-url",
    Kind::Text,
    "/private-media-internal/",
    "Internal location of nginx that holds the root; full-path names each file by its whole path",
);
pub(crate) static SENDFILE_ENCODING: Key = key(
    "delivery.sendfile_encoding",
    "sendfile-encoding",
    Kind::Text,
    "auto",
    "How X-Sendfile writes names: auto, plain (mod_xsendfile 0.12) or encoded (1.0, lighttpd)",
);
pub(crate) static MAX_CONNECTIONS: Key =
    key("limits.max_connections", "max-connections", Kind::Number, "10000", "Connections at a time");
pub(crate) static HEADER_TIMEOUT: Key = key(
    "limits.header_timeout",
    "header-timeout",
    Kind::Text,
    "15s",
    "How long a request's head may take to arrive",
);
pub(crate) static MIN_RATE: Key = key(
    "limits.min_rate",
    "min-rate",
    Kind::Number,
    "512",
    "Bytes a second that a client has to take or send at least",
);
pub(crate) static SHUTDOWN_TIMEOUT: Key = key(
    "limits.shutdown_timeout",
    "shutdown-timeout",
    Kind::Text,
    "30s",
    "How long running downloads may go on after a signal to stop",
);

/// All of them, in the order in which they are shown.
pub(crate) static KEYS: [&Key; 27] = [
    &LISTEN,
    &ROOT,
    &URL,
    &DEBUG,
    &PUBLIC,
    &WORKERS,
    &LOG,
    &STATE,
    &SOURCE,
    &ACCOUNTS,
    &CACHE_TTL,
    &SESSION_LIFETIME,
    &DATABASE,
    &SECRET_FILE,
    &SESSION_ENGINE,
    &SESSION_COOKIE,
    &BACKENDS,
    &GRANT,
    &REVALIDATE_AFTER,
    &FOLLOW_LINKS,
    &MODE,
    &INTERNAL_URL,
    &SENDFILE_ENCODING,
    &MAX_CONNECTIONS,
    &HEADER_TIMEOUT,
    &MIN_RATE,
    &SHUTDOWN_TIMEOUT,
];

impl Key {
    pub(crate) fn environment(&self) -> String {
        format!("PRIVATE_MEDIA_{}", self.flag.replace('-', "_").to_uppercase())
    }

    /// The flag as this command has it.
    pub(super) fn flag_in(&self, matches: &ArgMatches) -> &'static str {
        if self.name == URL.name && matches.try_contains_id(PUBLIC_URL).is_ok() {
            PRIVATE_URL
        } else {
            self.flag
        }
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.flag).long(self.flag).env(self.environment()).hide_env_values(true);
        let help = match self.default {
            "" => self.help.to_owned(),
            default => format!("{} [default: {default}]", self.help),
        };
        let arg = arg.help(help);
        match self.kind {
            Kind::Text | Kind::Url | Kind::Number => arg.value_name("VALUE"),
            Kind::Boolean => {
                arg.value_name("BOOL").num_args(0..=1).require_equals(true).default_missing_value("true")
            }
            // Neither a path that is served nor a template needs a `;`.
            Kind::List | Kind::Grants => {
                arg.value_name("VALUE").action(ArgAction::Append).value_delimiter(';')
            }
        }
    }
}

/// The flag of `doctor` for the public URL, which is what `--url` means there.
pub(crate) const PUBLIC_URL: &str = "public-url";
/// What the setting `url` is called where `--url` is the public URL.
const PRIVATE_URL: &str = "private-url";

/// The flags of all settings, where `--url` is something else.
pub(crate) fn args_beside_public_url() -> impl Iterator<Item = Arg> {
    args().map(|arg| if arg.get_id() == URL.flag { arg.long(PRIVATE_URL) } else { arg })
}

/// The flags of all settings.
pub(crate) fn args() -> impl Iterator<Item = Arg> {
    std::iter::once(config_file_arg()).chain(KEYS.iter().map(|key| key.arg()))
}

/// The flag that names the TOML file.
fn config_file_arg() -> Arg {
    Arg::new("config")
        .long("config")
        .env("PRIVATE_MEDIA_CONFIG")
        .hide_env_values(true)
        .value_name("FILE")
        .help("Configuration file [default: private-media.toml, if there is one]")
}
