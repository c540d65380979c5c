//! The thread that exports the spans of ended requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self as std_mpsc, Receiver};
use std::time::{Duration, Instant};

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{SpanData, SpanExporter as _};
use tokio::sync::{mpsc, watch};

use super::loss_log::LossLog;
use super::options::Options;
use super::span::EndedRequest;
use super::transport::Transport;
use crate::http_client::{HttpClient, HttpOptions};
use crate::runtime;

/// The longest response of a collector, in bytes.
const MAX_RESPONSE: usize = 64 << 10;

/// The part of the queue that the exporter reads.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) requests: mpsc::Receiver<EndedRequest>,
    /// Spans for which the queue had no space, since they were logged.
    pub(super) overflow: Arc<AtomicU64>,
    /// Whether the process stops.
    pub(super) is_stopping: watch::Receiver<bool>,
}

/// Starts the thread. The returned channel is closed when the last spans were exported.
pub(super) fn spawn(options: &Options, outlet: Outlet) -> Result<Receiver<()>, String> {
    let Options { timeout, .. } = *options;
    let client = HttpClient::new(HttpOptions { connect_timeout: timeout, timeout, max_body: MAX_RESPONSE });
    let transport = Transport::new(client.map_err(|error| error.to_string())?);
    let builder = SpanExporter::builder().with_http().with_http_client(transport.clone());
    let mut exporter = builder.build().map_err(|error| error.to_string())?;
    exporter.set_resource(&resource());
    let version = env!("CARGO_PKG_VERSION");
    let scope = InstrumentationScope::builder("private-media").with_version(version).build();
    let mut worker = Worker {
        exporter,
        transport,
        outlet,
        scope,
        delay: options.delay,
        max_batch: options.max_batch,
        losses: LossLog::default(),
    };
    let thread = |error: io::Error| format!("cannot start the thread that exports them: {error}");
    let runtime = runtime::new().map_err(thread)?;
    let (running, ended) = std_mpsc::channel();
    let run = move || {
        runtime.block_on(worker.run());
        // Not before: its end is the end of the export.
        drop(running);
    };
    std::thread::Builder::new().name("traces".into()).spawn(run).map_err(thread)?;
    Ok(ended)
}

/// Returns what the spans are about: this service. The environment names it.
fn resource() -> Resource {
    let builder = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", "private-media"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
    ]);
    let builder =
        builder.with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())]);
    match std::env::var("OTEL_SERVICE_NAME") {
        Ok(name) if !name.is_empty() => builder.with_service_name(name).build(),
        _ => builder.build(),
    }
}

struct Worker {
    exporter: SpanExporter,
    transport: Transport,
    outlet: Outlet,
    scope: InstrumentationScope,
    delay: Duration,
    max_batch: usize,
    losses: LossLog,
}

impl Worker {
    async fn run(&mut self) {
        loop {
            let spans = self.next_batch().await;
            if spans.is_empty() {
                break;
            }
            self.export(spans).await;
            let overflow = self.outlet.overflow.swap(0, Ordering::Relaxed);
            self.losses.overflowed(overflow, Instant::now());
        }
        self.losses.stopped();
    }

    /// Returns spans when there are enough of them, the first one has waited for long enough, or the process stops. Returns none at the end.
    async fn next_batch(&mut self) -> Vec<SpanData> {
        let mut spans = Vec::new();
        let Outlet { requests, is_stopping, .. } = &mut self.outlet;
        let wait = tokio::time::sleep(self.delay);
        tokio::pin!(wait);
        while spans.len() < self.max_batch {
            tokio::select! {
                request = requests.recv() => {
                    let Some(request) = request else { break };
                    if spans.is_empty() {
                        wait.as_mut().reset(tokio::time::Instant::now() + self.delay);
                    }
                    spans.extend(request.into_spans(&self.scope));
                }
                () = &mut wait, if !spans.is_empty() => break,
                // After this, the queue ends with the requests that are in it.
                _ = is_stopping.wait_for(|is_stopping| *is_stopping), if !requests.is_closed() => requests.close(),
            }
        }
        spans
    }

    async fn export(&mut self, spans: Vec<SpanData>) {
        let count = spans.len() as u64;
        // It tries again for the time of the timeout, and each request ends within it.
        let exported = self.exporter.export(spans).await;
        let problem = self.transport.take_problem();
        let Err(error) = exported else { return self.losses.exported() };
        let problem = problem.unwrap_or_else(|| error.to_string());
        self.losses.failed(count, &problem, Instant::now());
    }
}
