//! The certificate of the gateway: read at start, and again when its files change.

mod checks;
mod files;
mod renewal;
mod served;

use crate::health::Health;
use crate::supervise;

pub(crate) use checks::{NO_CHAIN, USE_FULL_CHAIN, validity_problem};
pub(crate) use files::load;
pub(crate) use served::Https;

/// Starts a task that replaces the certificate when its files change, and reports an expired one.
pub(crate) fn watch(https: &Https, health: &Health) {
    let (https, health) = (https.clone(), health.clone());
    supervise::spawn("certificate", move || renewal::watch(https.clone(), health.clone())).detach();
}
