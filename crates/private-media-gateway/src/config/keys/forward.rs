//! The settings of the identity source `forward`.

use super::{Key, Kind};

pub(crate) static URL: Key = Key::of_source(
    "identity.url",
    Kind::Url,
    "URL",
    "",
    "URL of the application that is asked who a client is",
);
pub(crate) static PASS: Key = Key::of_source(
    "identity.pass",
    Kind::List,
    "HEADER",
    "cookie;authorization",
    "Headers of the client that go along; a request without a credential among them is not recognized",
);
pub(crate) static COOKIES: Key = Key::of_source(
    "identity.cookies",
    Kind::List,
    "NAME",
    "",
    "Cookies that go along; by default all of them",
);
pub(crate) static PERMISSION: Key = Key::of_source(
    "identity.permission",
    Kind::Boolean,
    "BOOL",
    "false",
    "Ask the application about each file; its yes allows reading it, as a grant does",
);
pub(crate) static TIMEOUT: Key = Key::of_source(
    "identity.timeout",
    Kind::Text,
    "DURATION",
    "2s",
    "How long an answer of the application may take",
);
pub(crate) static UNAVAILABLE: Key = Key::of_source(
    "identity.unavailable",
    Kind::Text,
    "RESPONSE",
    "deny",
    "Response while the application does not answer: deny, or 503 with Retry-After",
);
pub(crate) static ID_HEADER: Key = Key::of_source(
    "identity.id_header",
    Kind::Text,
    "HEADER",
    "X-User-Id",
    "Response header with the id of the user",
);
pub(crate) static NAME_HEADER: Key = Key::of_source(
    "identity.name_header",
    Kind::Text,
    "HEADER",
    "X-User-Name",
    "Response header with the name of the user",
);
pub(crate) static GROUPS_HEADER: Key = Key::of_source(
    "identity.groups_header",
    Kind::Text,
    "HEADER",
    "X-User-Groups",
    "Response header with the groups of the user, separated by commas",
);
pub(crate) static STAFF_HEADER: Key = Key::of_source(
    "identity.staff_header",
    Kind::Text,
    "HEADER",
    "X-User-Staff",
    "Response header that is true or 1 for staff",
);
