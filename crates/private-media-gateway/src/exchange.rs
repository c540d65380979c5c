//! Exchanges: a request and its response. Observers, such as the access log, are told of each exchange when it has ended.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use private_media::AccessRecord;
use private_media::identity::ClientAddr;

use crate::body::Body;
use crate::metrics::Metrics;
use crate::request_id::RequestId;
use crate::trace_context::TraceContext;

/// Is told of each exchange that has ended. It is called on a thread that serves clients, so it must not wait for anything.
pub(crate) trait Observer: fmt::Debug + Send + Sync {
    /// Takes note of an exchange: the last byte of its response was taken by the connection, or its client has disconnected.
    fn ended(&self, exchange: &Ended<'_>);
}

/// An exchange that has ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) id: &'a RequestId,
    /// Absent if the request belongs to no trace.
    pub(crate) trace: Option<&'a Arc<TraceContext>>,
    pub(crate) client: ClientAddr,
    pub(crate) method: &'a Method,
    /// The path of the file, relative to the private URL; otherwise the path of the request, which may contain any character.
    pub(crate) path: RequestPath<'a>,
    /// The decision about a file. Absent for pages and URLs outside the private one.
    pub(crate) record: Option<&'a AccessRecord>,
    /// Whether it was a health check.
    pub(crate) is_probe: bool,
    pub(crate) status: StatusCode,
    /// The bytes of the body that were sent.
    pub(crate) bytes: u64,
    /// The time from the head of the request to the end of the response.
    pub(crate) elapsed: Duration,
}

/// The path of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RequestPath<'a> {
    /// The path of a file: without control characters.
    File(&'a str),
    /// The path of a URL, as the client sent it.
    Raw(&'a str),
}

/// The observers of all exchanges. Cheap to clone; clones share the observers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observers {
    list: Option<ObserverList>,
    /// The metrics need less than other observers, so they cost a request no allocation.
    metrics: Option<&'static Metrics>,
}

type ObserverList = Arc<[Arc<dyn Observer>]>;

impl Observers {
    /// Adds an observer.
    pub(crate) fn with(self, observer: Arc<dyn Observer>) -> Self {
        let others = self.list.iter().flat_map(|observers| observers.iter()).map(Arc::clone);
        Self { list: Some(others.chain([observer]).collect()), ..self }
    }

    /// Sets the metrics.
    pub(crate) fn with_metrics(self, metrics: Option<&'static Metrics>) -> Self {
        Self { metrics, ..self }
    }
}

/// An exchange that has begun.
pub(crate) struct Exchange {
    pub(crate) id: RequestId,
    client: ClientAddr,
    trace: Option<Arc<TraceContext>>,
    is_probe: bool,
    /// Absent if nobody observes the exchange.
    observed: Option<Observed>,
}

/// Who observes an exchange, and since when.
struct Observed {
    begin: Instant,
    observers: Observers,
}

impl Exchange {
    pub(crate) fn begin(observers: &Observers, id: RequestId, client: ClientAddr) -> Self {
        let is_observed = observers.list.is_some() || observers.metrics.is_some();
        let observed = is_observed.then(|| Observed { begin: Instant::now(), observers: observers.clone() });
        Self { id, client, trace: None, is_probe: false, observed }
    }

    /// Sets the place of the request in a trace.
    pub(crate) fn trace(self, trace: Option<Arc<TraceContext>>) -> Self {
        Self { trace, ..self }
    }

    /// Sets whether the request is a health check.
    pub(crate) fn probe(self, is_probe: bool) -> Self {
        Self { is_probe, ..self }
    }

    /// Returns when the exchange has begun, if an observer is told of it.
    pub(crate) fn begun(&self) -> Option<Instant> {
        self.observed.as_ref().map(|observed| observed.begin)
    }

    /// Returns whether an observer is told of the exchange.
    pub(crate) fn is_observed(&self) -> bool {
        self.observed.is_some()
    }

    /// Lets the body of the response tell the observers when it has been sent, or its client has disconnected.
    pub(crate) fn end_with(
        self,
        body: &mut Body,
        method: &Method,
        path: &str,
        status: StatusCode,
        record: Option<AccessRecord>,
    ) {
        let Self { id, client, trace, is_probe, observed } = self;
        let Some(Observed { begin, observers: Observers { list, metrics } }) = observed else { return };
        let sample = metrics.map(|metrics| metrics.begin(begin, method, status, record.as_ref()));
        let Some(observers) = list else {
            body.count(sample);
            return;
        };
        let is_file = record.as_ref().is_some_and(|record| record.path.is_some());
        let raw_path = if is_file { String::new() } else { path.to_owned() };
        let method = method.clone();
        body.on_end(move |bytes| {
            let file = record.as_ref().and_then(|record| record.path.as_ref());
            let exchange = Ended {
                id: &id,
                trace: trace.as_ref(),
                client,
                method: &method,
                path: file.map_or(RequestPath::Raw(&raw_path), |path| RequestPath::File(path.as_str())),
                record: record.as_ref(),
                is_probe,
                status,
                bytes,
                elapsed: begin.elapsed(),
            };
            if let Some(sample) = sample {
                sample.end(bytes);
            }
            for observer in &*observers {
                observer.ended(&exchange);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use private_media::MediaBody;
    use private_media_listener::ResponseBody;

    use super::*;
    use crate::request_id::RequestIds;

    /// Notes the path, the status and the bytes of each exchange.
    #[derive(Debug, Default)]
    struct Notes(Mutex<Vec<(String, u16, u64)>>);

    impl Observer for Notes {
        fn ended(&self, exchange: &Ended<'_>) {
            let (RequestPath::File(path) | RequestPath::Raw(path)) = exchange.path;
            let note = (path.to_owned(), exchange.status.as_u16(), exchange.bytes);
            self.0.lock().unwrap().push(note);
        }
    }

    fn exchange(observers: &Observers, body: &mut Body) {
        let begun = Exchange::begin(observers, RequestIds::default().next(), ClientAddr::Unix);
        begun.end_with(body, &Method::GET, "/elsewhere", StatusCode::NOT_FOUND, None);
    }

    #[test]
    fn each_observer_is_told_of_the_end_once() {
        let (first, second) = (Arc::new(Notes::default()), Arc::new(Notes::default()));
        let observers = Observers::default().with(first.clone()).with(second.clone());
        let mut body = Body::from(MediaBody::empty().push_bytes("not found\n"));
        exchange(&observers, &mut body);
        while body.next_piece(3).is_some() {}
        assert!(first.0.lock().unwrap().is_empty(), "the response has not ended");
        drop(body);
        for notes in [first, second] {
            assert_eq!(*notes.0.lock().unwrap(), [("/elsewhere".to_owned(), 404, 10)]);
        }
    }

    #[test]
    fn a_client_that_disconnects_ends_the_exchange() {
        let notes = Arc::new(Notes::default());
        let mut body = Body::from(MediaBody::empty().push_bytes("not ").push_bytes("found\n"));
        exchange(&Observers::default().with(notes.clone()), &mut body);
        assert!(body.next_piece(4).is_some());
        drop(body);
        assert_eq!(*notes.0.lock().unwrap(), [("/elsewhere".to_owned(), 404, 4)]);
    }
}
