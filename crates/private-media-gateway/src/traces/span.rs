//! The spans of a request, by the semantic conventions of HTTP servers.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use private_media::identity::ClientAddr;
use private_media::{FailedStep, StepTimes};

use crate::exchange::{Ended, RequestPath};
use crate::trace_context::{SpanId, TraceContext};

/// The most characters of a path.
const MAX_PATH: usize = 1024;

/// A request that has ended, and is to be exported.
#[derive(Debug)]
pub(super) struct EndedRequest {
    trace: Arc<TraceContext>,
    method: Method,
    scheme: &'static str,
    path: String,
    /// The pattern of the URLs of files, if the request was for one.
    route: Option<String>,
    client: ClientAddr,
    user: Option<String>,
    decision: Option<&'static str>,
    status: StatusCode,
    bytes: u64,
    steps: StepTimes,
    failed: Option<FailedStep>,
    end: SystemTime,
    elapsed: Duration,
}

impl EndedRequest {
    /// Takes note of an exchange. `url` is the prefix of the private files.
    pub(super) fn new(
        exchange: &Ended<'_>,
        trace: &Arc<TraceContext>,
        url: &str,
        scheme: &'static str,
    ) -> Self {
        let record = exchange.record;
        let (path, route) = match (exchange.path, record.and_then(|record| record.path.as_ref())) {
            (RequestPath::File(_), Some(path)) => {
                (format!("{url}{}", path.to_url()), Some(format!("{url}{{*path}}")))
            }
            (RequestPath::File(path) | RequestPath::Raw(path), _) => (path.to_owned(), None),
        };
        Self {
            trace: Arc::clone(trace),
            method: exchange.method.clone(),
            scheme,
            // The queue holds a limited number of requests, so each has to be small.
            path: path.chars().take(MAX_PATH).collect(),
            route,
            client: exchange.client,
            user: record.and_then(|record| record.identity.user()).map(|user| user.id().to_owned()),
            decision: record.and_then(|record| match (&record.allowed_by, &record.refused) {
                (Some(_), _) => Some("allowed"),
                (None, Some(_)) => Some("denied"),
                (None, None) => None,
            }),
            status: exchange.status,
            bytes: exchange.bytes,
            steps: record.map(|record| record.steps).unwrap_or_default(),
            failed: record.and_then(|record| record.failed),
            end: SystemTime::now(),
            elapsed: exchange.elapsed,
        }
    }

    /// Returns the number of spans of the request.
    pub(super) fn span_count(&self) -> u64 {
        1 + self.steps().map(|(_, duration, _)| u64::from(duration.is_some())).into_iter().sum::<u64>()
    }

    /// Returns the steps in order, each with its duration, and whether it failed.
    fn steps(&self) -> [(&'static str, Option<Duration>, bool); 3] {
        let failed = |step| self.failed == Some(step);
        [
            ("identity", self.steps.identity(), failed(FailedStep::Identity)),
            ("permission", self.steps.permission(), failed(FailedStep::Lookup)),
            ("storage", self.steps.storage(), failed(FailedStep::Storage)),
        ]
    }

    /// Returns the span of the request, and one of each step.
    pub(super) fn into_spans(self, scope: &InstrumentationScope) -> Vec<SpanData> {
        let start = self.end.checked_sub(self.elapsed).unwrap_or(self.end);
        let flags = TraceFlags::new(self.trace.flags());
        let trace_id = self.trace.trace_id().number().into();
        let state: TraceState = self.trace.state().parse().unwrap_or_default();
        let span = |id: SpanId, name, kind, (start_time, end_time), is_error| SpanData {
            span_context: SpanContext::new(trace_id, id.number().into(), flags, false, state.clone()),
            parent_span_id: opentelemetry::SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: kind,
            name,
            start_time,
            end_time,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if is_error { Status::error("") } else { Status::Unset },
            instrumentation_scope: scope.clone(),
        };
        let mut spans = Vec::with_capacity(4);
        // The steps follow each other. What is before the first one takes some microseconds.
        let mut begin = start;
        for (name, duration, is_failed) in self.steps() {
            let Some(duration) = duration else { break };
            let end = begin.checked_add(duration).unwrap_or(begin).min(self.end);
            let times = (begin, end);
            let step = span(SpanId::random(), Cow::Borrowed(name), SpanKind::Internal, times, is_failed);
            spans.push(SpanData { parent_span_id: self.trace.span_id().number().into(), ..step });
            begin = end;
        }
        let times = (start, self.end);
        let is_error = self.status.is_server_error();
        let server = span(self.trace.span_id(), self.name(), SpanKind::Server, times, is_error);
        let parent = self.trace.parent();
        spans.push(SpanData {
            parent_span_id: parent.map_or(opentelemetry::SpanId::INVALID, |id| id.number().into()),
            parent_span_is_remote: parent.is_some(),
            attributes: self.attributes(),
            ..server
        });
        spans
    }

    /// Returns the name: the method, and the route if there is one.
    fn name(&self) -> Cow<'static, str> {
        let method = if is_known(&self.method) { self.method.as_str() } else { "HTTP" };
        Cow::Owned(match &self.route {
            Some(route) => format!("{method} {route}"),
            None => method.to_owned(),
        })
    }

    fn attributes(self) -> Vec<KeyValue> {
        let mut attributes = Vec::with_capacity(12);
        let mut add = |key: &'static str, value: Value| attributes.push(KeyValue::new(key, value));
        if is_known(&self.method) {
            add("http.request.method", text(self.method.as_str()));
        } else {
            add("http.request.method", "_OTHER".into());
            add("http.request.method_original", text(self.method.as_str()));
        }
        add("http.response.status_code", i64::from(self.status.as_u16()).into());
        add("http.response.body.size", i64::try_from(self.bytes).unwrap_or(i64::MAX).into());
        add("url.scheme", self.scheme.into());
        add("url.path", self.path.into());
        if let Some(route) = self.route {
            add("http.route", route.into());
        }
        if let Some(ip) = self.client.ip() {
            add("client.address", ip.to_canonical().to_string().into());
        }
        if let Some(user) = self.user {
            add("enduser.id", user.into());
        }
        if let Some(decision) = self.decision {
            add("private_media.decision", decision.into());
        }
        if self.status.is_server_error() {
            add("error.type", text(self.status.as_str()));
        }
        attributes
    }
}

fn text(text: &str) -> Value {
    text.to_owned().into()
}

/// Returns whether the semantic conventions know a method. Others would be names of spans that a client chooses.
fn is_known(method: &Method) -> bool {
    [
        Method::CONNECT,
        Method::DELETE,
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::POST,
        Method::PUT,
        Method::TRACE,
    ]
    .contains(method)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_id::RequestIds;

    fn ended(method: &Method, path: &str, status: StatusCode) -> EndedRequest {
        let trace = Arc::new(TraceContext::new_root().with_sampled(true));
        let exchange = Ended {
            id: &RequestIds::default().next(),
            trace: Some(&trace),
            client: ClientAddr::Unix,
            method,
            path: RequestPath::Raw(path),
            record: None,
            is_probe: false,
            status,
            bytes: 3,
            elapsed: Duration::from_millis(5),
        };
        EndedRequest::new(&exchange, &trace, "/private/", "http")
    }

    fn attribute(span: &SpanData, key: &str) -> Option<String> {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
        found.map(|attribute| attribute.value.to_string())
    }

    #[test]
    fn a_client_chooses_neither_the_name_of_a_span_nor_its_size() {
        let method = Method::from_bytes(b"MADE-UP").unwrap();
        let ended = ended(&method, &format!("/{}", "x".repeat(70_000)), StatusCode::NOT_FOUND);
        assert_eq!(ended.span_count(), 1);
        let [span] = &ended.into_spans(&InstrumentationScope::default())[..] else { panic!("one span") };
        assert_eq!(span.name, "HTTP");
        assert_eq!(attribute(span, "http.request.method").as_deref(), Some("_OTHER"));
        assert_eq!(attribute(span, "http.request.method_original").as_deref(), Some("MADE-UP"));
        assert_eq!(attribute(span, "url.path").unwrap().len(), MAX_PATH);
        // A Unix socket has no address, and the denial of a file is no error of the server.
        assert_eq!((attribute(span, "client.address"), &span.status), (None, &Status::Unset));
    }

    #[test]
    fn a_root_has_no_parent_and_a_failure_is_an_error() {
        let spans = ended(&Method::GET, "/x", StatusCode::INTERNAL_SERVER_ERROR)
            .into_spans(&InstrumentationScope::default());
        let [span] = &spans[..] else { panic!("one span") };
        assert_eq!(
            (span.parent_span_id, span.parent_span_is_remote),
            (opentelemetry::SpanId::INVALID, false)
        );
        assert_eq!(span.end_time.duration_since(span.start_time).unwrap(), Duration::from_millis(5));
        assert_eq!((&*span.name, &span.status), ("GET", &Status::error("")));
        assert_eq!(attribute(span, "error.type").as_deref(), Some("500"));
        assert!(span.span_context.is_valid() && span.span_context.is_sampled());
    }
}
