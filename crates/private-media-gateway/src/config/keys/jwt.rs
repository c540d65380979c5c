//! The settings of `[[identity]]` tables with the source `jwt`.

use super::{Heading, Key, Kind};

pub(crate) static JWKS: Key = Key {
    name: "identity.jwks",
    flag: "identity",
    kind: Kind::Text,
    value_name: "URL",
    heading: Heading::Identity,
    scopes: &[],
    default: "",
    help: "URL (https) or file of a JWK set with the keys of the issuer",
};
pub(crate) static KEY: Key = Key {
    name: "identity.key",
    flag: "identity",
    kind: Kind::Text,
    value_name: "FILE",
    heading: Heading::Identity,
    scopes: &[],
    default: "",
    help: "File of the public key of the issuer in PEM",
};
pub(crate) static SECRET_FILE: Key = Key {
    name: "identity.secret_file",
    flag: "identity",
    kind: Kind::Text,
    value_name: "FILE",
    heading: Heading::Identity,
    scopes: &[],
    default: "",
    help: "File of a secret that the issuer signs with",
};
pub(crate) static ALGORITHMS: Key = Key {
    name: "identity.algorithms",
    flag: "identity",
    kind: Kind::List,
    value_name: "NAME",
    heading: Heading::Identity,
    scopes: &[],
    default: "",
    help: "Accepted signature algorithms",
};
pub(crate) static ISSUER: Key = Key {
    name: "identity.issuer",
    flag: "identity",
    kind: Kind::Text,
    value_name: "TEXT",
    heading: Heading::Identity,
    scopes: &[],
    default: "",
    help: "Claim iss of the tokens",
};
pub(crate) static AUDIENCE: Key = Key {
    name: "identity.audience",
    flag: "identity",
    kind: Kind::TextOrList,
    value_name: "TEXT",
    heading: Heading::Identity,
    scopes: &[],
    default: "",
    help: "Accepted audiences, one of which is in the claim aud; * accepts any",
};
pub(crate) static COOKIE: Key = Key {
    name: "identity.cookie",
    flag: "identity",
    kind: Kind::Text,
    value_name: "NAME",
    heading: Heading::Identity,
    scopes: &[],
    default: "",
    help: "Cookie that contains a token",
};
pub(crate) static CLAIMS_ID: Key = Key {
    name: "identity.claims.id",
    flag: "identity",
    kind: Kind::Text,
    value_name: "PATH",
    heading: Heading::Identity,
    scopes: &[],
    default: "sub",
    help: "Claim of the id of the user",
};
pub(crate) static CLAIMS_NAME: Key = Key {
    name: "identity.claims.name",
    flag: "identity",
    kind: Kind::Text,
    value_name: "PATH",
    heading: Heading::Identity,
    scopes: &[],
    default: "name",
    help: "Claim of the name of the user",
};
pub(crate) static CLAIMS_STAFF: Key = Key {
    name: "identity.claims.staff",
    flag: "identity",
    kind: Kind::Text,
    value_name: "PATH",
    heading: Heading::Identity,
    scopes: &[],
    default: "",
    help: "Claim that is true for staff",
};
pub(crate) static CLAIMS_GROUPS: Key = Key {
    name: "identity.claims.groups",
    flag: "identity",
    kind: Kind::Text,
    value_name: "PATH",
    heading: Heading::Identity,
    scopes: &[],
    default: "",
    help: "Claim of the groups of the user",
};
pub(crate) static LEEWAY: Key = Key {
    name: "identity.leeway",
    flag: "identity",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Identity,
    scopes: &[],
    default: "60s",
    help: "Tolerance for clocks that differ",
};
pub(crate) static MAX_AGE: Key = Key {
    name: "identity.max_age",
    flag: "identity",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Identity,
    scopes: &[],
    default: "",
    help: "Maximum age of a token",
};
pub(crate) static MAX_STALE: Key = Key {
    name: "identity.max_stale",
    flag: "identity",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Identity,
    scopes: &[],
    default: "1d",
    help: "How long the keys are used while they cannot be fetched",
};
