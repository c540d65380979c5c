//! Tests of the public API, by promise.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers fail by a panic, as tests do")]

mod actions;
mod crashes;
mod cross_origin;
mod escapes;
mod frameworks;
mod links;
#[cfg(feature = "listener")]
mod listener;
mod lookups;
mod refusals;
mod saving;
mod streaming;
mod support;
