//! The configuration: flags, environment variables, a TOML file and defaults become a [`Config`], or a [`ConfigError`].

mod args;
mod cors;
mod delivery;
mod environment;
mod error;
mod identity;
mod keys;
mod layers;
mod load;
mod root;
mod show;
mod values;

pub(crate) use args::{PUBLIC_URL, args};
pub(crate) use error::ConfigError;
pub(crate) use identity::{Django, Source};
#[cfg(fuzzing)]
pub(crate) use keys::KEYS;
pub(crate) use keys::Scope;
pub(crate) use load::Config;
pub(crate) use values::positive_duration;
