//! The commands of the program, one module each. No command uses another.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod check;
pub(crate) mod config;
#[cfg(feature = "demo")]
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod relocate;
pub(crate) mod serve;
pub(crate) mod who;
