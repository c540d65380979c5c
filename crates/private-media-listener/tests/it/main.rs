//! Tests of the listener over real connections.
#![expect(clippy::unwrap_used, reason = "test helpers fail by a panic, as tests do")]

mod per_core;
mod serving;
mod support;
