//! The result of everything that may fail.

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
