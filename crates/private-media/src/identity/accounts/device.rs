//! The device cookie: a browser that has signed in to an account before.
//!
//! It does not authenticate. It gives the browser's attempts for this account a counter of their own, so that a user does not wait
//! because of other clients' guesses. It ends with the account and with the password, as sessions do.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::file::Account;
use super::session::{self, Key, Session};
use crate::identity::cookie;

/// The cookie's name. It is sent only to the page that reads it.
pub(super) const NAME: &str = "private_media_device";
/// How long a device is recognized after its last sign-in.
pub(super) const LASTS: Duration = Duration::from_secs(180 * 86_400);

pub(super) type DeviceId = [u8; 16];

/// Derives the key of device cookies. They have the format of a session cookie but another key, so neither is accepted as the other.
pub(super) fn key(session_key: &Key) -> Key {
    Key::new(session_key.sign(&[b"device"]))
}

/// Returns the device of a request, if it has signed in to this account before and the password is still the same.
pub(super) fn known(headers: &HeaderMap, account: &Account, key: &Key, now: SystemTime) -> Option<DeviceId> {
    let device = Session::parse(cookie(headers, NAME).single()?, key)?;
    let counts = device.name == account.name()
        && device.stamp == session::stamp(key, account.password.expose())
        && device.expires > now;
    counts.then_some(device.id)
}

/// Returns the cookie's value for a device that has signed in to this account; `None` if the system provides no random numbers.
pub(super) fn token(id: Option<DeviceId>, account: &Account, key: &Key, now: SystemTime) -> Option<String> {
    let device = Session {
        id: id.or_else(session::random)?,
        // Devices are not revoked by time of issue.
        issued: 0,
        name: account.name().to_owned(),
        stamp: session::stamp(key, account.password.expose()),
        expires: now + LASTS,
    };
    Some(device.to_token(key))
}
