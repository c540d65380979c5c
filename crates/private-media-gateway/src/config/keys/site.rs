//! The settings of the pages of the gateway.

use super::{Heading, Key, Kind};

pub(crate) static NAME: Key = Key {
    name: "site.name",
    flag: "site-name",
    kind: Kind::Text,
    value_name: "NAME",
    heading: Heading::Pages,
    scopes: &[],
    default: "Private files",
    help: "Name of the site on the sign-in page, the front page and the page of denied files",
};
pub(crate) static LOGO: Key = Key {
    name: "site.logo",
    flag: "site-logo",
    kind: Kind::Text,
    value_name: "FILE",
    heading: Heading::Pages,
    scopes: &[],
    default: "",
    help: "Logo on these pages: a PNG, JPEG, WebP or SVG file of at most 64 KiB",
};
