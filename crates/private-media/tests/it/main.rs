//! The library as an application uses it: each module holds a promise.

mod crashes;
mod escapes;
mod frameworks;
mod refusals;
mod saving;
mod streaming;
mod support;
