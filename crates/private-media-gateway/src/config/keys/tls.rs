//! The settings of HTTPS.

use super::{Heading, Key, Kind, Scope};

pub(crate) static CERTIFICATE: Key = Key {
    name: "listen.tls.certificate",
    flag: "tls-certificate",
    kind: Kind::Text,
    value_name: "FILE",
    heading: Heading::Server,
    scopes: &[Scope::Deployment, Scope::Front],
    default: "",
    help: "Serve https with this certificate: a PEM file with its intermediates; a changed file is used within seconds",
};
pub(crate) static KEY: Key = Key {
    name: "listen.tls.key",
    flag: "tls-key",
    kind: Kind::Text,
    value_name: "FILE",
    heading: Heading::Server,
    scopes: &[Scope::Deployment, Scope::Front],
    default: "",
    help: "Private key of the certificate: a PEM file that other users cannot read",
};
pub(crate) static REDIRECT_HTTP: Key = Key {
    name: "listen.redirect_http",
    flag: "redirect-http",
    kind: Kind::Text,
    value_name: "ADDR",
    heading: Heading::Server,
    scopes: &[],
    default: "",
    help: "Address to listen on for http, to redirect to https, as HOST:PORT",
};
pub(crate) static HSTS: Key = Key {
    name: "listen.hsts",
    flag: "hsts",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Server,
    scopes: &[],
    default: "0s",
    help: "How long browsers use only https for this host (Strict-Transport-Security); 0s sends no such header",
};
