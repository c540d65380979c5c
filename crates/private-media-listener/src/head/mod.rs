//! Heads: of requests, parsed, and of responses, written.

pub(crate) mod fields;
pub(crate) mod parse;
pub(crate) mod write;
