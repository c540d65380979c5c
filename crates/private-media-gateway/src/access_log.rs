//! The access log: one line for each request.

use std::sync::Arc;

use private_media::User;

use crate::exchange::{Ended, Observer, Observers, RequestPath};
use crate::log::UrlPath;

/// Logs each exchange: health checks at debug level, others at info.
#[derive(Debug)]
pub(crate) struct AccessLog;

impl AccessLog {
    /// Returns observers with the access log, unless the level of the log turns it off.
    pub(crate) fn observers() -> Observers {
        let is_on = tracing::enabled!(target: "access", tracing::Level::INFO);
        if is_on { Observers::default().with(Arc::new(Self)) } else { Observers::default() }
    }
}

impl Observer for AccessLog {
    /// Writes the line. It contains no query, cookie or other credential. Of a user, JSON contains the id, and the name in the reason of
    /// a denial; text contains the name.
    fn ended(&self, exchange: &Ended<'_>) {
        let Ended { id, client, method, status, bytes, .. } = *exchange;
        let (id, client, method) = (id.as_str(), tracing::field::display(client), method.as_str());
        let trace_id = exchange.trace.map(|trace| tracing::field::display(trace.trace_id()));
        let status = status.as_u16();
        let milliseconds = exchange.elapsed.as_secs_f64() * 1000.0;
        let printable;
        let path = match exchange.path {
            RequestPath::File(path) => path,
            RequestPath::Raw(path) => {
                printable = UrlPath(path).to_string();
                &printable
            }
        };
        let Some(record) = exchange.record else {
            if exchange.is_probe {
                tracing::debug!(target: "access", id, trace_id, client, method, path, status, bytes, milliseconds);
            } else {
                tracing::info!(target: "access", id, trace_id, client, method, path, status, bytes, milliseconds);
            }
            return;
        };
        let user = record.identity.user();
        let (user, name) = (user.map_or("-", |user| user.id()), user.map(User::display_name));
        let decision = match (&record.allowed_by, &record.refused) {
            (Some(_), _) => "allowed",
            (None, Some(_)) => "denied",
            // A preflight request, which is about no file.
            (None, None) => "-",
        };
        let grant = record.allowed_by.as_deref().unwrap_or("-");
        let refused = record.refused.as_deref();
        let rejected = record.identity.rejection().map(tracing::field::display);
        tracing::info!(target: "access", id, trace_id, client, user, text.name = name, rejected, method, path, decision, grant, refused, status, bytes, milliseconds);
    }
}
