//! The library of the program `private-media`.
//!
//! [`Gateway`] serves private media from another program; [`front`] prints the configuration of front servers. [`main`] is the whole
//! program.

#![forbid(unsafe_code)]

mod access_log;
mod addresses;
mod body;
mod cli;
mod commands;
mod config;
mod error;
mod folders;
pub mod front;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod health;
#[cfg_attr(not(test), expect(dead_code, reason = "the identity sources forward and jwt use it"))]
mod http_client;
mod identity;
mod log;
mod login;
mod lookups;
mod open;
mod output;
mod request_id;
mod root_watch;
mod runtime;
mod send_mode;
mod signals;
#[cfg_attr(not(test), expect(dead_code, reason = "the identity source forward uses it"))]
mod single_flight;
mod site;
mod startup;
mod state;
mod supervise;
mod tls;
mod urls;
mod workers;

pub use addresses::{Endpoint, InvalidAddress};
pub use cli::main;
pub use error::GatewayError;
pub use gateway::{Gateway, GatewayBuilder};
pub use log::{LogError, to_stderr as log};
pub use private_media_listener::{Drained, Limits, TooFewOpenFiles};
pub use send_mode::{InternalUrl, SendMode};
pub use signals::Shutdown;
pub use urls::InvalidUrl;
