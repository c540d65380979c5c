//! The access log: one line for each request, written when its response ends.

use std::time::Instant;

use http::{Method, StatusCode, Uri};
use private_media::AccessRecord;
use private_media::identity::ClientAddr;

use crate::body::Body;
use crate::request_id::RequestId;

/// The data of a request that its response and its log line need.
pub(crate) struct RequestContext {
    pub(crate) id: RequestId,
    /// Absent if the access log is off.
    entry: Option<AccessEntry>,
}

/// The data of a request for its log line.
struct AccessEntry {
    id: RequestId,
    client: ClientAddr,
    start: Instant,
    method: Method,
    path: String,
}

impl RequestContext {
    pub(crate) fn new(id: RequestId, client: ClientAddr, method: &Method, uri: &Uri) -> Self {
        let entry = tracing::enabled!(target: "access", tracing::Level::INFO).then(|| AccessEntry {
            id: id.clone(),
            client,
            start: Instant::now(),
            method: method.clone(),
            path: uri.path().to_owned(),
        });
        Self { id, entry }
    }

    /// Logs the request when its response has been sent, or its client has disconnected.
    pub(crate) fn log_at_end(self, status: StatusCode, body: &mut Body, record: Option<AccessRecord>) {
        if let Some(entry) = self.entry {
            body.on_end(move |bytes| entry.log(record.as_ref(), status.as_u16(), bytes));
        }
    }
}

impl AccessEntry {
    /// Writes the line. It contains no query, cookie or other credential; of a user, it
    /// contains the id, and the name in the reason of a denial.
    fn log(&self, record: Option<&AccessRecord>, status: u16, bytes: u64) {
        let Self { id, client, start, method, path } = self;
        let (id, client, method) = (id.as_str(), tracing::field::display(client), method.as_str());
        let milliseconds = start.elapsed().as_secs_f64() * 1000.0;
        let escaped;
        let path = if let Some(path) = record.and_then(|record| record.path.as_ref()) {
            path.as_str()
        } else {
            escaped = path.escape_debug().to_string();
            &escaped
        };
        let Some(record) = record else {
            tracing::info!(target: "access", id, client, method, path, status, bytes, milliseconds);
            return;
        };
        let user = record.identity.user().map_or("-", |user| user.id());
        let decision = match (&record.allowed_by, &record.refused) {
            (Some(_), _) => "allowed",
            (None, Some(_)) => "denied",
            // A preflight request, which is about no file.
            (None, None) => "-",
        };
        let grant = record.allowed_by.as_deref().unwrap_or("-");
        let refused = record.refused.as_deref();
        let rejected = record.identity.rejection().map(tracing::field::display);
        tracing::info!(target: "access", id, client, user, rejected, method, path, decision, grant, refused, status, bytes, milliseconds);
    }
}
