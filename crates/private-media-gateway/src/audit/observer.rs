//! Puts a record of each request for a file, and of each sign-in, into the queue.

use std::cell::Cell;

use http::StatusCode;
use private_media::identity::ClientAddr;
use private_media::identity::accounts::SessionRecord;

use super::Audit;
use super::entry::Entry;
use super::line::now;
use super::record::{FileAccess, SessionAccess};
use crate::exchange::{Ended, Observer, RequestPath};
use crate::request_id::RequestId;

thread_local! {
    /// A reused buffer for the body of a record.
    static BODY: Cell<String> = const { Cell::new(String::new()) };
}

impl Observer for Audit {
    fn ended(&self, exchange: &Ended<'_>) {
        let (Some(record), RequestPath::File(path)) = (exchange.record, exchange.path) else { return };
        if record.allowed_by.is_none() && record.refused.is_none() {
            // A preflight request, which is about no file.
            return;
        }
        let access = FileAccess {
            identity: &record.identity,
            path,
            allowed_by: record.allowed_by.as_deref(),
            refused: record.refused.as_deref(),
            client: exchange.client,
            request: exchange.id.as_str(),
            method: exchange.method,
            status: exchange.status,
            bytes: exchange.bytes,
            elapsed: exchange.elapsed,
            is_handed_off: record.handed_off,
        };
        self.push(|body| access.entry(now(), body));
    }
}

impl Audit {
    /// Records a sign-in or sign-out at the pages of the accounts.
    pub(crate) fn session(
        &self,
        record: &SessionRecord,
        client: ClientAddr,
        id: &RequestId,
        status: StatusCode,
    ) {
        let access = SessionAccess { record, client, request: id.as_str(), status };
        self.push(|body| access.entry(now(), body));
    }

    fn push(&self, write: impl for<'a> FnOnce(&'a mut String) -> Entry<'a>) {
        let mut body = BODY.take();
        let entry = write(&mut body);
        self.0.queue.push_joined(&entry.header(), entry.body);
        BODY.set(body);
    }
}
