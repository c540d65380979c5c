//! The settings of `[[identity]]` tables.

use super::{Heading, Key, Kind, Scope, forward, header};
use crate::config::key::{Tables, Variant};

pub(crate) static IDENTITY: Key = Key {
    name: "identity",
    flag: "identity",
    kind: Kind::Tables(&Tables {
        selector: Some("source"),
        variants: &[
            Variant {
                name: "accounts",
                keys: &[
                    &ACCOUNTS,
                    &CACHE_TTL,
                    &SESSION_LIFETIME,
                    &ACCOUNTS_LOGIN_URL,
                    &LOGIN_RETURN,
                    &LOGIN_ORIGIN,
                ],
            },
            Variant {
                name: "django",
                keys: &[
                    &DATABASE,
                    &SECRET_FILE,
                    &SESSION_ENGINE,
                    &SESSION_COOKIE,
                    &BACKENDS,
                    &CACHE_TTL,
                    &SESSION_LIFETIME,
                    &LOGIN_URL,
                    &LOGIN_RETURN,
                    &LOGIN_ORIGIN,
                ],
            },
            Variant {
                name: "forward",
                keys: &[
                    &forward::URL,
                    &forward::PASS,
                    &forward::COOKIES,
                    &forward::PERMISSION,
                    &forward::TIMEOUT,
                    &forward::UNAVAILABLE,
                    &CACHE_TTL,
                    &forward::ID_HEADER,
                    &forward::NAME_HEADER,
                    &forward::GROUPS_HEADER,
                    &forward::STAFF_HEADER,
                    &LOGIN_URL,
                    &LOGIN_RETURN,
                    &LOGIN_ORIGIN,
                ],
            },
            Variant {
                name: "header",
                keys: &[
                    &header::HEADER,
                    &header::FROM,
                    &header::NAME_HEADER,
                    &header::GROUPS_HEADER,
                    &header::GROUPS_SEPARATOR,
                    &header::STAFF_GROUP,
                    &LOGIN_URL,
                    &LOGIN_RETURN,
                    &LOGIN_ORIGIN,
                ],
            },
        ],
    }),
    value_name: "SOURCE",
    heading: Heading::Identity,
    scopes: &[Scope::Decision, Scope::Deployment, Scope::AccountChange, Scope::Identity],
    default: "accounts",
    help: "Identity source: accounts, django (its middleware does not run), forward, header, or a TOML table with its settings; may be repeated",
};
pub(crate) static ACCOUNTS: Key = Key {
    name: "identity.accounts",
    flag: "accounts",
    kind: Kind::Text,
    value_name: "FILE",
    heading: Heading::Identity,
    scopes: &[Scope::Decision, Scope::Deployment, Scope::AccountsFile, Scope::AccountChange, Scope::Identity],
    default: "accounts.toml",
    help: "File of the built-in accounts",
};
pub(crate) static CACHE_TTL: Key = Key {
    name: "identity.cache_ttl",
    flag: "cache-ttl",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Identity,
    scopes: &[Scope::AccountChange],
    default: "5s",
    help: "How long an identity is cached; sign-outs take effect within this time",
};
pub(crate) static SESSION_LIFETIME: Key = Key {
    name: "identity.session_lifetime",
    flag: "session-lifetime",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Identity,
    scopes: &[],
    default: "14d",
    help: "How long a session lasts",
};
pub(crate) static DATABASE: Key = Key {
    name: "identity.database",
    flag: "database",
    kind: Kind::Url,
    value_name: "URL",
    heading: Heading::Identity,
    scopes: &[Scope::Decision, Scope::Deployment, Scope::Identity],
    default: "sqlite:db.sqlite3",
    help: "With django: the project's database, sqlite:PATH, postgres://… or mysql://…",
};
pub(crate) static SECRET_FILE: Key = Key {
    name: "identity.secret_file",
    flag: "secret-file",
    kind: Kind::Text,
    value_name: "FILE",
    heading: Heading::Identity,
    scopes: &[Scope::Decision, Scope::Deployment, Scope::Identity],
    default: "secret.key",
    help: "With django: file of SECRET_KEY, followed by SECRET_KEY_FALLBACKS, one per line",
};
pub(crate) static SESSION_ENGINE: Key = Key {
    name: "identity.session_engine",
    flag: "session-engine",
    kind: Kind::Text,
    value_name: "ENGINE",
    heading: Heading::Identity,
    scopes: &[Scope::Decision, Scope::Deployment, Scope::Identity],
    default: "db",
    help: "With django: the session engine, db, cached_db or signed_cookies",
};
pub(crate) static SESSION_COOKIE: Key = Key {
    name: "identity.session_cookie",
    flag: "session-cookie",
    kind: Kind::Text,
    value_name: "NAME",
    heading: Heading::Identity,
    scopes: &[Scope::Deployment, Scope::Identity],
    default: "sessionid",
    help: "With django: name of the session cookie",
};
pub(crate) static BACKENDS: Key = Key {
    name: "identity.backends",
    flag: "backend",
    kind: Kind::List,
    value_name: "CLASS",
    heading: Heading::Identity,
    scopes: &[Scope::Decision, Scope::Deployment, Scope::Identity],
    default: "django.contrib.auth.backends.ModelBackend",
    help: "With django: one of AUTHENTICATION_BACKENDS; may be repeated",
};
pub(crate) static LOGIN_URL: Key = Key {
    name: "identity.login_url",
    flag: "identity",
    kind: Kind::Text,
    value_name: "URL",
    heading: Heading::Identity,
    scopes: &[],
    default: "none",
    help: "Sign-in page that signed-out browsers are sent to: a path of this site or a URL; none sends them a 404",
};
pub(crate) static ACCOUNTS_LOGIN_URL: Key = Key {
    name: "identity.login_url",
    flag: "identity",
    kind: Kind::Text,
    value_name: "URL",
    heading: Heading::Identity,
    scopes: &[],
    default: "-/sign-in",
    help: "Sign-in page that signed-out browsers are sent to: the built-in -/sign-in, a path of this site, or a URL; none sends them a 404",
};
pub(crate) static LOGIN_RETURN: Key = Key {
    name: "identity.login_return",
    flag: "identity",
    kind: Kind::Text,
    value_name: "NAME",
    heading: Heading::Identity,
    scopes: &[],
    default: "next",
    help: "Query parameter of the sign-in page that gets the path to return to",
};
pub(crate) static LOGIN_ORIGIN: Key = Key {
    name: "identity.login_origin",
    flag: "identity",
    kind: Kind::Text,
    value_name: "ORIGIN",
    heading: Heading::Identity,
    scopes: &[],
    default: "",
    help: "Scheme and host of the gateway in front of the path to return to, for a sign-in page of another host",
};
