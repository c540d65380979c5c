#![doc = include_str!("../../../README.md")]
#![forbid(unsafe_code)]

// The five questions, in the order in which a request meets them.
pub mod request;

pub mod identity;

pub mod permission;

pub mod storage;

pub mod delivery;

mod builder;
pub mod decision_cache;
mod error;
#[cfg(feature = "listener")]
mod listener;
pub mod raw;
mod service;
mod text;
mod two_generation_cache;

pub use builder::{Builder, PrivateMedia};
pub use delivery::{ApacheXSendfile, Delivery, Direct, MediaBody, NginxXAccelRedirect};
#[cfg(feature = "accounts")]
pub use identity::Accounts;
pub use identity::{FromExtensions, Identify, IdentifyError, Identity, User};
#[cfg(feature = "listener")]
pub use listener::MediaOr;
pub use permission::{Action, Decision, Grants, Permissions, Permit};
pub use request::{MediaPath, MediaRequest, PathError};
pub use service::{AccessRecord, MediaService};
#[cfg(feature = "local")]
pub use storage::LocalStorage;
pub use storage::{MediaFile, MemoryStorage, SaveOptions, Storage, StorageError};

/// The code in the documentation compiles.
#[cfg(doctest)]
mod documentation {
    #[doc = include_str!("../../../docs/how-to/axum.md")]
    struct Axum;
    #[doc = include_str!("../../../CONTRIBUTING.md")]
    struct Contributing;
}
