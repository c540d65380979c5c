//! The error type of bodies.

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
