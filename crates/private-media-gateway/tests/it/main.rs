//! The program, as its users run it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do, by a panic"
)]

mod account_changes;
mod accounts;
mod audit;
mod audit_faults;
mod bucket_cache;
mod buckets;
mod check;
mod client_limits;
mod clients;
mod config;
mod cross_origin;
mod decisions;
mod django;
mod doctor;
mod fast_path;
mod faults;
mod forward;
mod front_page;
mod fronts;
#[cfg(feature = "buckets")]
mod garage;
mod http2;
mod identities;
mod identity_settings;
mod jwt;
mod lifecycle;
mod links;
mod load;
mod log_faults;
mod log_format;
mod lookups;
mod metrics;
mod names;
mod open_files;
mod operator_mistakes;
mod output;
mod prometheus;
mod refused_sign_ins;
mod reload;
mod reload_settings;
mod relocate;
#[cfg(feature = "buckets")]
mod relocate_buckets;
#[cfg(feature = "buckets")]
mod relocate_kills;
mod request_bodies;
mod root;
#[cfg(feature = "buckets")]
#[path = "../../../../tests/buckets/proxy.rs"]
mod s3_proxy;
#[path = "../../../../tests/buckets/server.rs"]
mod s3_server;
mod sendfile;
mod serving;
mod setting_errors;
mod several_roots;
mod sign_in;
mod sign_in_redirects;
mod sign_outs;
mod slow_disk;
mod socket_activation;
mod state;
mod support;
mod systemd_unit;
mod tls;
mod trace_context;
#[cfg(feature = "otel")]
mod traces;
mod trusted_header;
mod trusted_proxies;
mod unix_socket;
mod upgrade;
mod upgrade_sockets;
mod who;
