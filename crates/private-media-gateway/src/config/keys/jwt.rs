//! The settings of `[[identity]]` tables with the source `jwt`.

use super::{Key, Kind};

pub(crate) static JWKS: Key = Key::of_source(
    "identity.jwks",
    Kind::Text,
    "URL",
    "",
    "URL (https) or file of a JWK set with the keys of the issuer",
);
pub(crate) static KEY: Key =
    Key::of_source("identity.key", Kind::Text, "FILE", "", "File of the public key of the issuer in PEM");
pub(crate) static SECRET_FILE: Key = Key::of_source(
    "identity.secret_file",
    Kind::Text,
    "FILE",
    "",
    "File of a secret that the issuer signs with",
);
pub(crate) static ALGORITHMS: Key =
    Key::of_source("identity.algorithms", Kind::List, "NAME", "", "Accepted signature algorithms");
pub(crate) static ISSUER: Key =
    Key::of_source("identity.issuer", Kind::Text, "TEXT", "", "Claim iss of the tokens");
pub(crate) static AUDIENCE: Key = Key::of_source(
    "identity.audience",
    Kind::TextOrList,
    "TEXT",
    "",
    "Accepted audiences, one of which is in the claim aud; * accepts any",
);
pub(crate) static COOKIE: Key =
    Key::of_source("identity.cookie", Kind::Text, "NAME", "", "Cookie that contains a token");
pub(crate) static CLAIMS_ID: Key =
    Key::of_source("identity.claims.id", Kind::Text, "PATH", "sub", "Claim of the id of the user");
pub(crate) static CLAIMS_NAME: Key =
    Key::of_source("identity.claims.name", Kind::Text, "PATH", "name", "Claim of the name of the user");
pub(crate) static CLAIMS_STAFF: Key =
    Key::of_source("identity.claims.staff", Kind::Text, "PATH", "", "Claim that is true for staff");
pub(crate) static CLAIMS_GROUPS: Key =
    Key::of_source("identity.claims.groups", Kind::Text, "PATH", "", "Claim of the groups of the user");
pub(crate) static LEEWAY: Key =
    Key::of_source("identity.leeway", Kind::Text, "DURATION", "60s", "Tolerance for clocks that differ");
pub(crate) static MAX_AGE: Key =
    Key::of_source("identity.max_age", Kind::Text, "DURATION", "", "Maximum age of a token");
pub(crate) static MAX_STALE: Key = Key::of_source(
    "identity.max_stale",
    Kind::Text,
    "DURATION",
    "1d",
    "How long the keys are used while they cannot be fetched",
);
