//! The settings of cross-origin requests.

use super::{Heading, Key, Kind, Scope};

pub(crate) static ORIGINS: Key = Key {
    name: "cors.origins",
    flag: "cors-origin",
    kind: Kind::List,
    value_name: "ORIGIN",
    heading: Heading::Cors,
    scopes: &[Scope::Deployment],
    default: "",
    help: "Origin whose pages may show and read files, e.g. https://app.example; may be repeated",
};
pub(crate) static CREDENTIALS: Key = Key {
    name: "cors.credentials",
    flag: "cors-credentials",
    kind: Kind::Boolean,
    value_name: "BOOL",
    heading: Heading::Cors,
    scopes: &[Scope::Deployment],
    default: "false",
    help: "Let scripts of these origins read responses to requests with cookies",
};
pub(crate) static MAX_AGE: Key = Key {
    name: "cors.max_age",
    flag: "cors-max-age",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Cors,
    scopes: &[],
    default: "1h",
    help: "How long browsers may cache the response to a preflight request",
};
