//! The settings of the identity source `header`.

use super::{Key, Kind};

pub(crate) static HEADER: Key = Key::of_source(
    "identity.header",
    Kind::Text,
    "HEADER",
    "Remote-User",
    "Header in which a trusted front server sends the id of the user",
);
pub(crate) static FROM: Key = Key::of_source(
    "identity.from",
    Kind::List,
    "PEER",
    "",
    "Peers whose header is trusted: addresses, networks such as 10.0.0.0/8, or unix",
);
pub(crate) static NAME_HEADER: Key =
    Key::of_source("identity.name_header", Kind::Text, "HEADER", "", "Header with the name of the user");
pub(crate) static GROUPS_HEADER: Key =
    Key::of_source("identity.groups_header", Kind::Text, "HEADER", "", "Header with the groups of the user");
pub(crate) static GROUPS_SEPARATOR: Key = Key::of_source(
    "identity.groups_separator",
    Kind::Text,
    "CHARACTER",
    ",",
    "Character between two groups: a comma or a space",
);
pub(crate) static STAFF_GROUP: Key =
    Key::of_source("identity.staff_group", Kind::Text, "GROUP", "", "Group whose members are staff");
