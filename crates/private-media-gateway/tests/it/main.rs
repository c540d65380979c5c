//! The program, as its users run it.

mod accounts;
mod check;
mod config;
mod lifecycle;
mod load;
mod names;
mod serving;
mod support;
