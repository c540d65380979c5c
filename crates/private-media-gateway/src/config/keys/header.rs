//! The settings of the identity source `header`.

use super::{Heading, Key, Kind};

pub(crate) static HEADER: Key = key(
    "identity.header",
    Kind::Text,
    "HEADER",
    "Remote-User",
    "Header in which a trusted front server sends the id of the user",
);
pub(crate) static FROM: Key = key(
    "identity.from",
    Kind::List,
    "PEER",
    "",
    "Peers whose header is trusted: addresses, networks such as 10.0.0.0/8, or unix",
);
pub(crate) static NAME_HEADER: Key =
    key("identity.name_header", Kind::Text, "HEADER", "", "Header with the name of the user");
pub(crate) static GROUPS_HEADER: Key =
    key("identity.groups_header", Kind::Text, "HEADER", "", "Header with the groups of the user");
pub(crate) static GROUPS_SEPARATOR: Key = key(
    "identity.groups_separator",
    Kind::Text,
    "CHARACTER",
    ",",
    "Character between two groups: a comma or a space",
);
pub(crate) static STAFF_GROUP: Key =
    key("identity.staff_group", Kind::Text, "GROUP", "", "Group whose members are staff");

const fn key(
    name: &'static str,
    kind: Kind,
    value_name: &'static str,
    default: &'static str,
    help: &'static str,
) -> Key {
    Key { name, flag: "identity", kind, value_name, heading: Heading::Identity, scopes: &[], default, help }
}
