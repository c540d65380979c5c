//! HTTPS by the gateway itself.

mod certificates;
mod client;
mod connections;
mod mistakes;
mod redirects;
mod renewals;
mod responses;

use std::path::Path;

use crate::support::{Gateway, Place};
pub(crate) use certificates::Pair;
pub(crate) use client::{Offer, TlsClient, config, fetch, try_connect};
pub(crate) use responses::content;

/// The arguments that name the certificate in the folder of a place.
pub(crate) const TLS: [&str; 4] = ["--tls-certificate", "chain.pem", "--tls-key", "key.pem"];

/// Starts a gateway with a certificate for localhost and 127.0.0.1.
pub(crate) fn serve(place: &Place, arguments: &[&str]) -> (Gateway, Pair) {
    let pair = Pair::new();
    pair.write(&place.path(""));
    (place.serve(&[&TLS, arguments].concat()), pair)
}

/// Writes a key that only its owner can read.
fn write_key(path: &Path, key: &str) {
    std::fs::write(path, key).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}
