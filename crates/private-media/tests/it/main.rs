//! What the library promises, one module a promise.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do, by a panic")]

mod actions;
mod crashes;
mod escapes;
mod frameworks;
mod links;
mod lookups;
mod refusals;
mod saving;
mod streaming;
mod support;
