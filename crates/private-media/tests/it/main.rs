//! What the library promises, one module a promise.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do, by a panic")]

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
