//! The user of a session.

use std::fmt::{self, Write};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::secret::SecretKeys;
use crate::signing::Signed;

/// The salt of sessions in the database: the class of the session store. A project with its own store class has another salt.
const DATABASE_SALT: &str = "django.contrib.sessions.SessionStore";
const COOKIE_SALT: &str = "django.contrib.sessions.backends.signed_cookies";
const AUTH_HASH_SALT: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

/// The user of a session. It is valid until the user's password changes.
#[derive(Default)]
pub(crate) struct Session {
    pub(crate) user_id: String,
    pub(crate) backend: String,
    auth_hash: String,
}

/// Why a session has no user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoUser {
    /// The session is valid, and nobody is signed in: Django has sessions for anonymous visitors, too.
    Anonymous,
    /// The session is not valid, for this reason.
    Invalid(&'static str),
}

const NOT_SIGNED: NoUser = NoUser::Invalid("the session is malformed, or no secret key signed it");

impl Session {
    /// Decodes a session of the database. The caller checks its expiry.
    pub(crate) fn from_row(data: &str, keys: &SecretKeys) -> Result<Self, NoUser> {
        Self::from_json(&Signed::parse(data, DATABASE_SALT, keys).ok_or(NOT_SIGNED)?.json)
    }

    /// Decodes a session that is stored in its cookie; `None` if it is older than `max_age`.
    pub(crate) fn from_cookie(
        value: &str,
        keys: &SecretKeys,
        max_age: Duration,
        now: SystemTime,
    ) -> Result<Self, NoUser> {
        let signed = Signed::parse(value, COOKIE_SALT, keys).ok_or(NOT_SIGNED)?;
        if signed.is_older_than(max_age, now) {
            return Err(NoUser::Invalid("the session expired"));
        }
        Self::from_json(&signed.json)
    }

    /// Parses the JSON of a session. Django decodes it as Latin-1 and writes it in ASCII.
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, NoUser> {
        let text: String = json.iter().copied().map(char::from).collect();
        let session: Self =
            serde_json::from_str(&text).map_err(|_| NoUser::Invalid("the session is not a JSON object"))?;
        let texts = [&session.user_id, &session.backend, &session.auth_hash];
        match texts.iter().filter(|text| text.is_empty()).count() {
            0 => Ok(session),
            3 => Err(NoUser::Anonymous),
            _ => Err(NoUser::Invalid("the session names a user without backend or password hash")),
        }
    }

    /// Returns whether the session was created with the password of this hash.
    pub(crate) fn matches(&self, password: &str, keys: &SecretKeys) -> bool {
        keys.verify(AUTH_HASH_SALT, password.as_bytes(), &self.auth_hash, hexadecimal)
    }
}

/// Reads the three values that Django's `login` stores in a session.
impl<'de> Deserialize<'de> for Session {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SessionVisitor)
    }
}

struct SessionVisitor;

impl<'de> Visitor<'de> for SessionVisitor {
    type Value = Session;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Session, A::Error> {
        let mut session = Session::default();
        while let Some(key) = map.next_key::<String>()? {
            let field = match &*key {
                "_auth_user_id" => &mut session.user_id,
                "_auth_user_backend" => &mut session.backend,
                "_auth_user_hash" => &mut session.auth_hash,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            // The last value of a key applies, as in Python. Values other than text are ignored.
            *field = match map.next_value()? {
                Value::String(text) => text,
                _ => String::new(),
            };
        }
        Ok(session)
    }
}

fn hexadecimal(code: &[u8; 32]) -> String {
    code.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
