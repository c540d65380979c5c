//! The place of a request in a trace across programs ([W3C Trace Context](https://www.w3.org/TR/trace-context-2/)).

mod ids;
mod traceparent;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) use self::ids::SpanId;
use self::ids::TraceId;
use self::traceparent::{TraceFlags, TraceParent};

pub(crate) static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The place of a request in a trace. It is in the request extensions, in an [`Arc`](std::sync::Arc), for an application that is asked.
#[derive(Debug)]
pub(crate) struct TraceContext {
    trace_id: TraceId,
    /// The span of the gateway.
    span_id: SpanId,
    /// The span of the sender. Absent if the trace begins here.
    #[cfg(feature = "otel")]
    parent: Option<SpanId>,
    flags: TraceFlags,
    /// The lines of `tracestate`.
    state: Vec<HeaderValue>,
}

impl TraceContext {
    /// Returns the context of a request with a valid `traceparent`. Its sender must be trusted.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let parent = TraceParent::parse(values.next()?.as_bytes())?;
        // A request with two parents has none.
        if values.next().is_some() {
            return None;
        }
        Some(Self {
            trace_id: parent.trace_id,
            span_id: SpanId::random(),
            #[cfg(feature = "otel")]
            parent: Some(parent.parent_id),
            flags: parent.flags,
            state: headers.get_all(&TRACESTATE).iter().cloned().collect(),
        })
    }

    pub(crate) fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// Sets the headers of a request that the gateway sends on behalf of this one. Its parent is the span of the gateway.
    pub(crate) fn set_headers(&self, headers: &mut HeaderMap) {
        let Self { trace_id, span_id, flags, ref state, .. } = *self;
        let parent = TraceParent { trace_id, parent_id: span_id, flags };
        if let Ok(parent) = HeaderValue::try_from(parent.to_string()) {
            headers.insert(&TRACEPARENT, parent);
        }
        headers.remove(&TRACESTATE);
        for value in state {
            headers.append(&TRACESTATE, value.clone());
        }
    }
}

/// What the export of traces needs.
#[cfg(feature = "otel")]
impl TraceContext {
    /// Returns a new trace, which is not sampled yet.
    pub(crate) fn new_root() -> Self {
        Self {
            trace_id: TraceId::random(),
            span_id: SpanId::random(),
            parent: None,
            flags: TraceFlags::of_root(),
            state: Vec::new(),
        }
    }

    pub(crate) fn with_sampled(mut self, is_sampled: bool) -> Self {
        self.flags = self.flags.with_sampled(is_sampled);
        self
    }

    pub(crate) fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }

    pub(crate) fn flags(&self) -> u8 {
        self.flags.byte()
    }

    pub(crate) fn span_id(&self) -> SpanId {
        self.span_id
    }

    pub(crate) fn parent(&self) -> Option<SpanId> {
        self.parent
    }

    /// Returns the lines of `tracestate` as one.
    pub(crate) fn state(&self) -> String {
        let lines = self.state.iter().filter_map(|line| line.to_str().ok()).filter(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(lines: &[(&'static str, &'static str)]) -> Option<TraceContext> {
        let lines = lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        TraceContext::from_headers(&lines.collect())
    }

    const PARENT: (&str, &str) = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03");

    #[test]
    fn the_next_request_has_the_same_trace_and_another_parent() {
        let states = [("tracestate", "rojo=00f067aa0ba902b7"), ("tracestate", ""), ("tracestate", "a=1,b=2")];
        let context = context(&[PARENT, states[0], states[1], states[2]]).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(&TRACEPARENT, HeaderValue::from_static("of the client"));
        headers.insert(&TRACESTATE, HeaderValue::from_static("of=the client"));
        context.set_headers(&mut headers);
        let sent: Vec<_> = headers.get_all(&TRACEPARENT).iter().collect();
        assert_eq!(sent.len(), 1);
        let expected = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-03", context.span_id);
        assert_eq!(sent[0], &expected);
        assert_ne!(expected, PARENT.1);
        let sent: Vec<_> = headers.get_all(&TRACESTATE).iter().collect();
        assert_eq!(sent, states.map(|(_, value)| value));
    }

    #[test]
    fn a_request_without_one_valid_parent_has_no_context() {
        let invalid = ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01");
        let state = ("tracestate", "rojo=1");
        for lines in [&[][..], &[state], &[invalid, state], &[PARENT, PARENT], &[PARENT, invalid]] {
            assert!(context(lines).is_none(), "{lines:?}");
        }
    }
}
