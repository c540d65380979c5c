//! Traces of requests for [OpenTelemetry](https://opentelemetry.io/), with the cargo feature `otel`.
//!
//! The environment configures them, as the specification says. Without an endpoint there, no request is measured for them. The thread of a
//! client puts each ended request into a bounded queue, and one thread sends them, so no client waits for the collector.

#[cfg(feature = "otel")]
mod exporter;
#[cfg(feature = "otel")]
mod loss_log;
#[cfg(not(feature = "otel"))]
mod off;
#[cfg(feature = "otel")]
mod options;
#[cfg(feature = "otel")]
mod span;
#[cfg(feature = "otel")]
mod tracer;
#[cfg(feature = "otel")]
mod transport;

#[cfg(feature = "otel")]
pub(crate) use self::loss_log::lost_spans;
#[cfg(not(feature = "otel"))]
pub(crate) use self::off::{Traces, lost_spans};
#[cfg(feature = "otel")]
pub(crate) use self::tracer::Traces;

/// The environment variables of the endpoint. The first one that is set counts.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
