//! Buckets, on a real S3 server and through a proxy with faults.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do, by a panic"
)]

mod cache_faults;
mod cache_kill;
mod cache_property;
mod cache_store;
mod caching;
mod conformance;
mod interoperability;
mod listing;
mod outages;
#[path = "../../../../tests/buckets/proxy.rs"]
mod proxy;
mod reading;
#[path = "../../../../tests/buckets/server.rs"]
mod server;
mod support;
mod writing;
