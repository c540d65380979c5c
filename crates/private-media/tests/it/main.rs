//! Tests of the public API, by promise.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers fail by a panic, as tests do")]

mod actions;
mod crashes;
mod cross_origin;
mod escapes;
mod frameworks;
mod links;
mod refusals;
mod saving;
mod streaming;
mod support;
