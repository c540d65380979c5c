//! The servers that are compared. Each starts on a free port, with the same files.

mod apache;
mod buckets;
mod caddy;
mod django;
mod nginx;
pub(crate) mod own;
mod postgres;
mod rust;
mod sources;

use crate::report::{BASELINE, BASELINE_OF_BUCKETS, LOCAL, OLD};
use crate::result::Result;
use crate::running_peer::RunningPeer;
use crate::testbed::Testbed;

/// A server that is measured.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) start: fn(&Testbed) -> Result<RunningPeer>,
}

const fn peer(name: &'static str, start: fn(&Testbed) -> Result<RunningPeer>) -> Peer {
    Peer { name, start }
}

/// The baseline, the gateway, and then the others. A peer of the old program directly follows its new counterpart.
pub(crate) const PEERS: [Peer; 29] = [
    peer(BASELINE, nginx::public),
    peer(LOCAL, own::gateway),
    peer("private-media, gateway, old", own::old_gateway),
    peer("nginx, public, with an access log", nginx::public_with_log),
    peer("private-media, gateway, with an access log", own::gateway_with_log),
    peer("private-media, gateway, with an access log, old", own::old_gateway_with_log),
    peer("nginx, public, with TLS 1.3", nginx::public_with_tls),
    peer("private-media, gateway, with TLS 1.3", own::gateway_with_tls),
    peer("private-media, audit", own::gateway_with_audit),
    peer("private-media, metrics", own::gateway_with_metrics),
    peer("private-media, Django's sessions in PostgreSQL", own::with_postgres),
    peer("private-media, JSON Web Token", sources::token),
    peer("private-media, JSON Web Token, first sight", sources::new_token),
    peer("private-media, forward", sources::forward),
    peer("private-media, lookup in SQLite", sources::lookup),
    peer("private-media, lookup in SQLite, not cached", sources::uncached_lookup),
    peer("nginx, auth_request", nginx::auth_request),
    peer("nginx, X-Accel-Redirect, constant", own::constant_redirect),
    peer("private-media, nginx sends", own::behind_nginx),
    peer("private-media, nginx sends, old", own::old_behind_nginx),
    peer("private-media, axum", own::axum),
    peer("private-media, serve_private_media", django::serve_private_media),
    peer("private-media, DefaultServer on gunicorn", django::default_server),
    peer("the floor", rust::floor),
    peer("axum, tower-http ServeDir, public", rust::servedir),
    peer("Caddy, forward_auth", caddy::forward_auth),
    peer("nginx + gunicorn + django-private-storage", django::behind_nginx),
    peer("Apache + gunicorn + django-private-storage", django::behind_apache),
    peer("gunicorn + Django's FileResponse", django::file_response),
];

/// The peers of `--buckets`: the baseline, those that read from the store, and then a warm cache and local files.
pub(crate) const OF_BUCKETS: [Peer; 6] = [
    peer(BASELINE_OF_BUCKETS, buckets::public),
    peer("private-media, bucket", buckets::gateway),
    peer("private-media, bucket, nginx fetches", buckets::fetched_by_nginx),
    peer("private-media, bucket, nginx fetches, cached metadata", buckets::fetched_by_nginx_with_metadata),
    peer(LOCAL, own::gateway),
    peer("private-media, bucket, warm cache", buckets::cached),
];

/// Returns whether a peer runs the old program, which `--old` names.
pub(crate) fn is_old(peer: &Peer) -> bool {
    peer.name.ends_with(OLD)
}
