//! The configuration: flags, environment variables, a TOML file and defaults become a [`Config`], or a [`ConfigError`].

mod args;
mod audit;
mod bucket;
mod cors;
mod delivery;
mod environment;
mod error;
mod forward;
mod grants;
mod header;
mod identity;
mod jwt;
mod key;
mod keys;
mod layers;
mod load;
mod lookup;
#[cfg(any(fuzzing, test))]
mod offline;
mod readable;
mod restart;
mod root;
mod root_tables;
mod roots;
mod settings;
mod show;
mod site;
mod suggest;
mod tables;
mod tls;
mod toml_file;
mod unit;
mod values;

pub(crate) use args::{PUBLIC_URL, args};
pub(crate) use bucket::{BucketConfig, is_bucket};
pub(crate) use error::ConfigError;
pub(crate) use identity::{AccountsConfig, DjangoConfig, Source};
pub(crate) use jwt::{ClaimPaths, JwtConfig, JwtOptions, KeyFile, KeyFormat, KeySource};
pub(crate) use key::Scope;
#[cfg(fuzzing)]
pub(crate) use keys::KEYS;
pub(crate) use load::Config;
pub(crate) use lookup::LookupConfig;
pub(crate) use tls::TlsConfig;
pub(crate) use values::positive_duration;
