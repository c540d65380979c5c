//! The traces of the process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _, TraceFlags, TraceState};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample as _};
use tokio::sync::{mpsc, watch};

use super::exporter::{self, Outlet};
use super::options::Options;
use super::span::EndedRequest;
use crate::exchange::{Ended, Observer};
use crate::trace_context::TraceContext;

/// The file descriptors of the thread: its runtime, the connections to the collector, and the lookup of its name.
const OPEN_FILES: u64 = 8;

/// The traces of the process. Cheap to clone; clones share the queue.
#[derive(Debug, Clone)]
pub(crate) struct Traces(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sampler: Sampler,
    requests: mpsc::Sender<EndedRequest>,
    overflow: Arc<AtomicU64>,
    is_stopping: watch::Sender<bool>,
    /// Closed when the last spans were exported.
    ended: Mutex<Receiver<()>>,
}

impl Traces {
    /// Starts to export traces, if the environment has an endpoint. Mistakes there are warnings.
    pub(crate) fn start() -> Option<Self> {
        let options = Options::from_env(|name| std::env::var(name).ok())?;
        for warning in &options.warnings {
            tracing::warn!("{warning}");
        }
        let (sender, requests) = mpsc::channel(options.max_queue);
        let (is_stopping, stopping) = watch::channel(false);
        let overflow = Arc::<AtomicU64>::default();
        let outlet = Outlet { requests, overflow: Arc::clone(&overflow), is_stopping: stopping };
        match exporter::spawn(&options, outlet) {
            Ok(ended) => {
                let ended = Mutex::new(ended);
                let sampler = options.sampler;
                Some(Self(Arc::new(Inner { sampler, requests: sender, overflow, is_stopping, ended })))
            }
            Err(problem) => {
                tracing::warn!(problem, "traces are not exported");
                None
            }
        }
    }

    /// Begins the span of a request: in the trace of its sender, or in a new one. Decides whether it is exported.
    pub(crate) fn begin(&self, of_sender: Option<TraceContext>) -> TraceContext {
        let context = of_sender.unwrap_or_else(TraceContext::new_root);
        let parent = context.parent().map(|parent| {
            let flags = TraceFlags::new(context.flags());
            let (trace_id, parent) = (context.trace_id().number().into(), parent.number().into());
            let parent = SpanContext::new(trace_id, parent, flags, true, TraceState::NONE);
            Context::new().with_remote_span_context(parent)
        });
        let trace_id = context.trace_id().number().into();
        let sampled =
            self.0.sampler.should_sample(parent.as_ref(), trace_id, "", &SpanKind::Server, &[], &[]);
        context.with_sampled(sampled.decision == SamplingDecision::RecordAndSample)
    }

    /// Returns the observer of a site, whose private files are below `url`.
    pub(crate) fn observer(&self, url: &str, scheme: &'static str) -> Arc<dyn Observer> {
        Arc::new(SpanObserver { traces: self.clone(), url: url.into(), scheme })
    }

    /// Exports the spans that wait, within the timeout.
    pub(crate) fn stop(&self, timeout: Duration) {
        self.0.is_stopping.send_replace(true);
        let ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(timeout) {
            let timeout = humantime::format_duration(timeout).to_string();
            tracing::warn!(timeout, "the last spans were dropped: the collector did not take them in time");
        }
    }

    /// Returns the number of file descriptors that the export may need.
    #[expect(clippy::unused_self, reason = "builds without the feature have no value of this type")]
    pub(crate) fn open_files(&self) -> u64 {
        OPEN_FILES
    }
}

/// Queues sampled requests.
#[derive(Debug)]
struct SpanObserver {
    traces: Traces,
    url: Box<str>,
    scheme: &'static str,
}

impl Observer for SpanObserver {
    fn ended(&self, exchange: &Ended<'_>) {
        // Health checks would hide all other requests.
        let Some(trace) = exchange.trace.filter(|trace| trace.is_sampled() && !exchange.is_probe) else {
            return;
        };
        let request = EndedRequest::new(exchange, trace, &self.url, self.scheme);
        let inner = &self.traces.0;
        if let Err(mpsc::error::TrySendError::Full(request)) = inner.requests.try_send(request) {
            inner.overflow.fetch_add(request.span_count(), Ordering::Relaxed);
        }
    }
}
