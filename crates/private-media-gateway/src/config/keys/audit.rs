//! The settings of the audit.

use super::{Heading, Key, Kind, Scope};

pub(crate) static PATH: Key = Key {
    name: "audit.path",
    flag: "audit-path",
    kind: Kind::Text,
    value_name: "FILE",
    heading: Heading::Audit,
    scopes: &[Scope::Audit],
    default: "",
    help: "File that records who read what; without it, nothing is recorded",
};
pub(crate) static OVERFLOW: Key = Key {
    name: "audit.overflow",
    flag: "audit-overflow",
    kind: Kind::Text,
    value_name: "ACTION",
    heading: Heading::Audit,
    scopes: &[],
    default: "drop",
    help: "What happens if requests cannot be recorded: drop (serve and count them) or deny (respond 503)",
};
pub(crate) static ROTATE_SIZE: Key = Key {
    name: "audit.rotate_size",
    flag: "audit-rotate-size",
    kind: Kind::Text,
    value_name: "SIZE",
    heading: Heading::Audit,
    scopes: &[],
    default: "100MB",
    help: "Size at which a new file is begun",
};
pub(crate) static ROTATE_AGE: Key = Key {
    name: "audit.rotate_age",
    flag: "audit-rotate-age",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Audit,
    scopes: &[],
    default: "30d",
    help: "Age at which a new file is begun; 0s is never",
};
pub(crate) static KEEP: Key = Key {
    name: "audit.keep",
    flag: "audit-keep",
    kind: Kind::Number,
    value_name: "COUNT",
    heading: Heading::Audit,
    scopes: &[],
    default: "0",
    help: "How many old files are kept; 0 keeps all",
};
pub(crate) static FOLD: Key = Key {
    name: "audit.fold",
    flag: "audit-fold",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Audit,
    scopes: &[],
    default: "5m",
    help: "How long the ranges of one playback are summed up in one record; 0s records each",
};
pub(crate) static SYNC: Key = Key {
    name: "audit.sync",
    flag: "audit-sync",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Audit,
    scopes: &[],
    default: "1s",
    help: "How often records are synced to disk; 0s syncs each batch",
};
pub(crate) static KEY_FILE: Key = Key {
    name: "audit.key_file",
    flag: "audit-key-file",
    kind: Kind::Text,
    value_name: "FILE",
    heading: Heading::Audit,
    scopes: &[Scope::Audit],
    default: "",
    help: "Key that seals the records, so that nobody without it can forge them",
};

/// All of them, in the order in which they are shown. Only a restart changes them.
pub(crate) static ALL: [&Key; 8] =
    [&PATH, &OVERFLOW, &ROTATE_SIZE, &ROTATE_AGE, &KEEP, &FOLD, &SYNC, &KEY_FILE];
