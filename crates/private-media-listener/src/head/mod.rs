//! Parses request heads and writes response heads.

pub(crate) mod fields;
pub(crate) mod parse;
pub(crate) mod write;
