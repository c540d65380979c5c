//! The device cookie, which identifies a browser that has signed in to an account before.
//!
//! It does not authenticate. Attempts of this browser at the account have their own counter, so that a user does not wait because of the
//! guesses of others. Like a session, it ends with the account and with the password.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::file::Account;
use super::session::{self, Key, Session};
use crate::identity::cookie;

/// The name of the cookie. It is sent only to the sign-in page.
pub(super) const NAME: &str = "private_media_device";
/// How long a device is recognized after its last sign-in.
pub(super) const LIFETIME: Duration = Duration::from_secs(180 * 86_400);

pub(super) type DeviceId = [u8; 16];

/// Derives the key of device cookies. They have the format of session cookies but another key, so neither is accepted as the other.
pub(super) fn key(session_key: &Key) -> Key {
    Key::new(session_key.sign(&[b"device"]))
}

/// Returns the device of a request, if it has signed in to this account before and the password is still the same.
pub(super) fn known(headers: &HeaderMap, account: &Account, key: &Key, now: SystemTime) -> Option<DeviceId> {
    let device = Session::parse(cookie(headers, NAME).single()?, key)?;
    let is_valid = device.name == account.name()
        && device.stamp == session::stamp(key, account.password.expose())
        && device.expires > now;
    is_valid.then_some(device.id)
}

/// Returns the value of the cookie for a device that has signed in to this account; `None` if the system provides no random numbers.
pub(super) fn token(id: Option<DeviceId>, account: &Account, key: &Key, now: SystemTime) -> Option<String> {
    let device = Session {
        id: id.or_else(session::random)?,
        // Devices are not revoked by their time of issue.
        issued: 0,
        name: account.name().to_owned(),
        stamp: session::stamp(key, account.password.expose()),
        expires: now + LIFETIME,
    };
    Some(device.to_token(key))
}
