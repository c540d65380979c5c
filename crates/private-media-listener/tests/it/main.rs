//! Promises of the listener, over real connections.

mod serving;
mod support;
