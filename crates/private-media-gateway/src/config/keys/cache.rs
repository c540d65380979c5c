//! The settings of the block cache of a bucket.

use super::{Heading, Key, Kind};

pub(crate) static PATH: Key = Key {
    name: "cache.path",
    flag: "cache-path",
    kind: Kind::Text,
    value_name: "DIR",
    heading: Heading::Storage,
    scopes: &[],
    default: "",
    help: "Folder on a local disk that caches files of a bucket; without it, nothing of a bucket is cached",
};
pub(crate) static SIZE: Key = Key {
    name: "cache.size",
    flag: "cache-size",
    kind: Kind::Text,
    value_name: "SIZE",
    heading: Heading::Storage,
    scopes: &[],
    default: "10GiB",
    help: "Maximum space of cache.path; the least recently used files are removed",
};

/// All settings of the cache. Only a restart changes them.
pub(crate) static ALL: [&Key; 2] = [&PATH, &SIZE];
