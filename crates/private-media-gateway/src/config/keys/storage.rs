//! The settings of a bucket.

use super::{Heading, Key, Kind, Scope};

const SCOPES: &[Scope] = &[Scope::Decision, Scope::Deployment, Scope::Front, Scope::Relocation];

pub(crate) static ENDPOINT: Key = Key {
    name: "storage.endpoint",
    flag: "storage-endpoint",
    kind: Kind::Text,
    value_name: "URL",
    heading: Heading::Storage,
    scopes: SCOPES,
    default: "",
    help: "Server of a bucket that is not the provider's own, e.g. https://s3.example.org",
};
pub(crate) static REGION: Key = Key {
    name: "storage.region",
    flag: "storage-region",
    kind: Kind::Text,
    value_name: "REGION",
    heading: Heading::Storage,
    scopes: SCOPES,
    default: "",
    help: "Region of an S3 bucket [default: that of the environment or of ~/.aws/config, else us-east-1]",
};
pub(crate) static PATH_STYLE: Key = Key {
    name: "storage.path_style",
    flag: "storage-path-style",
    kind: Kind::Boolean,
    value_name: "BOOL",
    heading: Heading::Storage,
    scopes: SCOPES,
    default: "true",
    help: "Name an S3 bucket in the path of requests; false names it in their host",
};
pub(crate) static ALLOW_HTTP: Key = Key {
    name: "storage.allow_http",
    flag: "storage-allow-http",
    kind: Kind::Boolean,
    value_name: "BOOL",
    heading: Heading::Storage,
    scopes: SCOPES,
    default: "false",
    help: "Allow an endpoint without TLS; for tests and trusted networks",
};
pub(crate) static CONDITIONAL_WRITES: Key = Key {
    name: "storage.conditional_writes",
    flag: "storage-conditional-writes",
    kind: Kind::Boolean,
    value_name: "BOOL",
    heading: Heading::Storage,
    scopes: SCOPES,
    default: "true",
    help: "Depend on conditional writes of the bucket; false checks names first, for servers such as Garage to which one process alone writes",
};
