//! The device cookie: a browser that has signed in to an account before.
//!
//! It signs nobody in. It only moves a sign-in to this account out of the counters of strangers into one of its own, so that a user
//! does not wait for what others guess. It ends with the account and with the password, as sessions do.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::file::Account;
use super::session::{self, Key, Session};
use crate::identity::single_cookie_bytes;

/// The cookie's name. The page that reads it is the only path it is sent to.
pub(super) const NAME: &str = "private_media_device";
/// How long a device is known after its last sign-in.
pub(super) const LASTS: Duration = Duration::from_secs(180 * 86_400);

pub(super) type DeviceId = [u8; 16];

/// The key of device cookies. They have the form of a session's cookie, and no key in common with it, so neither counts as the other.
pub(super) fn key(session_key: &Key) -> Key {
    Key::new(session_key.sign(&[b"device"]))
}

/// The device of a request, if it has signed in to this account before and the account has the same password still.
pub(super) fn known(headers: &HeaderMap, account: &Account, key: &Key, now: SystemTime) -> Option<DeviceId> {
    let device = Session::parse(single_cookie_bytes(headers, NAME)?, key)?;
    let counts = device.name == account.name()
        && device.stamp == session::stamp(key, account.password.expose())
        && device.expires > now;
    counts.then_some(device.id)
}

/// The cookie's value for a device that has signed in to this account. `None` where the system gives no random numbers.
pub(super) fn token(id: Option<DeviceId>, account: &Account, key: &Key, now: SystemTime) -> Option<String> {
    let device = Session {
        id: id.or_else(session::random)?,
        // No device is voided by its time of issue.
        issued: 0,
        name: account.name().to_owned(),
        stamp: session::stamp(key, account.password.expose()),
        expires: now + LASTS,
    };
    Some(device.to_token(key))
}
