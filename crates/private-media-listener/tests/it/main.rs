//! Promises of the listener, over real connections.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do, by a panic")]

mod serving;
mod support;
