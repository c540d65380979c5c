//! Records of requests for files, and of sign-ins: who did what, when, why it was allowed, from where, and how much left.

use std::cell::RefCell;
use std::time::Duration;

use http::{Method, StatusCode};
use private_media::identity::ClientAddr;
use private_media::identity::accounts::{SessionAction, SessionRecord};
use private_media::{Identity, User};

use super::entry::Entry;
use super::fold::ID_FIELD;
use crate::log::{write_json_text, write_thousandths};

/// A request for a file, after its response has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileAccess<'a> {
    pub(super) identity: &'a Identity,
    pub(super) path: &'a str,
    /// The grant, or other reason, that allowed it.
    pub(super) allowed_by: Option<&'a str>,
    /// Why the response does not contain the file.
    pub(super) refused: Option<&'a str>,
    pub(super) client: ClientAddr,
    pub(super) request: &'a str,
    pub(super) method: &'a Method,
    pub(super) status: StatusCode,
    pub(super) bytes: u64,
    pub(super) elapsed: Duration,
    /// Whether a front server sends the file.
    pub(super) is_handed_off: bool,
}

/// A sign-in or sign-out.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionAccess<'a> {
    pub(super) record: &'a SessionRecord,
    pub(super) client: ClientAddr,
    pub(super) request: &'a str,
    pub(super) status: StatusCode,
}

impl SessionAccess<'_> {
    /// Returns the entry of the record. `body` is memory to be reused.
    pub(super) fn entry<'b>(&self, time: u64, body: &'b mut String) -> Entry<'b> {
        let Self { record, client, request, status } = *self;
        body.clear();
        let action = match record.action {
            SessionAction::SignIn => "sign-in",
            SessionAction::SignOut => "sign-out",
        };
        for part in ["\"action\":\"", action, "\""] {
            body.push_str(part);
        }
        write_user(body, record.user.as_deref());
        write_json_text(
            body,
            ",\"decision\":\"",
            if record.refused.is_none() { "allowed" } else { "denied" },
        );
        write_client(body, client);
        write_json_text(body, ",\"request\":\"", request);
        write_number(body, ",\"status\":", u64::from(status.as_u16()));
        if let Some(refused) = &record.refused {
            write_json_text(body, ",\"reason\":\"", &refused.to_string());
        }
        Entry { time, bytes: 0, key_length: 0, body: body.as_bytes() }
    }
}

/// Appends the fields of a user, or `null`.
fn write_user(body: &mut String, user: Option<&User>) {
    let Some(user) = user else { return body.push_str(",\"user\":null") };
    write_json_text(body, ",\"user\":\"", user.id());
    write_json_text(body, ",\"name\":\"", user.display_name());
    if let Some(source) = user.identified_by() {
        write_json_text(body, ",\"source\":\"", source);
    }
}

fn write_number(body: &mut String, name: &str, number: u64) {
    body.push_str(name);
    body.push_str(itoa::Buffer::new().format(number));
}

thread_local! {
    /// The last client, and its field: formatting an address is expensive.
    static CLIENT: RefCell<Option<(ClientAddr, String)>> = const { RefCell::new(None) };
}

fn write_client(body: &mut String, client: ClientAddr) {
    CLIENT.with_borrow_mut(|last| {
        if last.as_ref().is_none_or(|(last, _)| *last != client) {
            // An address needs no escape.
            *last = Some((client, format!(",\"client\":\"{client}\"")));
        }
        body.push_str(last.as_ref().map_or("", |(_, field)| field));
    });
}

impl FileAccess<'_> {
    /// Returns the entry of the record. `body` is memory to be reused.
    pub(super) fn entry<'b>(&self, time: u64, body: &'b mut String) -> Entry<'b> {
        body.clear();
        body.push_str("\"action\":\"read\"");
        self.identity(body);
        write_json_text(body, ",\"path\":\"", self.path);
        match self.allowed_by {
            Some(by) => write_json_text(body, ",\"decision\":\"allowed\",\"by\":\"", by),
            None => body.push_str(",\"decision\":\"denied\""),
        }
        write_client(body, self.client);
        if self.is_handed_off {
            body.push_str(",\"handed_off\":true");
        }
        let key_length = if self.is_range() { body.len() } else { 0 };
        self.outcome(body);
        Entry { time, bytes: self.bytes, key_length, body: body.as_bytes() }
    }

    fn identity(&self, body: &mut String) {
        write_user(body, self.identity.user());
        if let Some(rejection) = self.identity.rejection() {
            write_json_text(body, ",\"rejected\":\"", &rejection.to_string());
        }
    }

    /// Returns whether the request may be one of many of a playback. A front server gets the range itself.
    fn is_range(&self) -> bool {
        let is_partial = self.status == StatusCode::PARTIAL_CONTENT || self.is_handed_off;
        is_partial && self.allowed_by.is_some() && *self.method == Method::GET
    }

    fn outcome(&self, body: &mut String) {
        for part in [ID_FIELD, self.request, "\",\"method\":\"", self.method.as_str()] {
            body.push_str(part);
        }
        let micros = u64::try_from(self.elapsed.as_micros()).unwrap_or(u64::MAX);
        write_number(body, "\",\"status\":", u64::from(self.status.as_u16()));
        write_number(body, ",\"bytes\":", self.bytes);
        write_number(body, ",\"milliseconds\":", micros / 1000);
        write_thousandths(body, micros);
        if let Some(reason) = self.refused {
            write_json_text(body, ",\"reason\":\"", reason);
        }
    }
}

#[cfg(test)]
mod tests {
    use private_media::User;
    use serde_json::{Value, json};

    use super::*;

    fn access<'a>(identity: &'a Identity, method: &'a Method, status: StatusCode) -> FileAccess<'a> {
        FileAccess {
            identity,
            path: "cars/7/\"photo\".jpg",
            allowed_by: Some("a grant"),
            refused: None,
            client: ClientAddr::Ip([192, 0, 2, 1].into()),
            request: "0123456789abcdef",
            method,
            status,
            bytes: 13,
            elapsed: Duration::from_micros(2_045),
            is_handed_off: false,
        }
    }

    fn fields(access: &FileAccess<'_>) -> (Value, Option<String>) {
        let mut body = String::new();
        let entry = access.entry(5, &mut body);
        assert_eq!((entry.time, entry.bytes), (5, access.bytes));
        let key = entry.body.get(..entry.key_length).filter(|key| !key.is_empty());
        let key = key.map(|key| String::from_utf8(key.to_vec()).unwrap());
        (serde_json::from_slice(&[b"{", entry.body, b"}"].concat()).unwrap(), key)
    }

    #[test]
    fn a_record_has_the_fields_of_a_request() {
        let alice: Identity = User::new("7").name("alice").source("accounts").into();
        let (record, key) = fields(&access(&alice, &Method::GET, StatusCode::OK));
        let expected = json!({
            "action": "read", "user": "7", "name": "alice", "source": "accounts", "path": "cars/7/\"photo\".jpg",
            "decision": "allowed", "by": "a grant", "client": "192.0.2.1", "request": "0123456789abcdef",
            "method": "GET", "status": 200, "bytes": 13, "milliseconds": 2.045,
        });
        assert_eq!((record, key), (expected, None));
        let denied = FileAccess {
            allowed_by: None,
            refused: Some("no grant"),
            bytes: 10,
            ..access(&Identity::Anonymous, &Method::HEAD, StatusCode::NOT_FOUND)
        };
        let (record, key) = fields(&denied);
        let expected = json!({
            "action": "read", "user": null, "path": "cars/7/\"photo\".jpg", "decision": "denied", "client": "192.0.2.1",
            "request": "0123456789abcdef", "method": "HEAD", "status": 404, "bytes": 10, "milliseconds": 2.045,
            "reason": "no grant",
        });
        assert_eq!((record, key), (expected, None));
    }

    #[test]
    fn ranges_of_a_playback_have_one_key() {
        let alice: Identity = User::new("7").into();
        let range = access(&alice, &Method::GET, StatusCode::PARTIAL_CONTENT);
        let key = fields(&range).1.unwrap();
        let other = FileAccess { request: "other", bytes: 99, elapsed: Duration::ZERO, ..range };
        assert_eq!(fields(&other).1.unwrap(), key);
        let bob: Identity = User::new("8").into();
        for other in [
            FileAccess { identity: &bob, ..range },
            FileAccess { path: "other", ..range },
            FileAccess { client: ClientAddr::Unix, ..range },
            FileAccess { allowed_by: Some("another grant"), ..range },
            FileAccess { is_handed_off: true, ..range },
        ] {
            assert_ne!(fields(&other).1.unwrap(), key, "{other:?}");
        }
        for other in [
            FileAccess { status: StatusCode::OK, ..range },
            FileAccess { method: &Method::HEAD, ..range },
            FileAccess { allowed_by: None, ..range },
        ] {
            assert_eq!(fields(&other).1, None, "{other:?}");
        }
        let handed_off = FileAccess { status: StatusCode::OK, is_handed_off: true, ..range };
        let (record, key) = fields(&handed_off);
        assert!(key.is_some() && record["handed_off"] == true);
    }
}
