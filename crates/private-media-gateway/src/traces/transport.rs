//! Sends the requests of the exporter with the HTTP client of the gateway.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use opentelemetry_http::HttpError;

use crate::http_client::{HttpClient, shown};

/// The HTTP client of the exporter. Cheap to clone. The exporter hides what went wrong, so the last problem is kept here.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: HttpClient,
    problem: Arc<Mutex<Option<String>>>,
}

impl Transport {
    pub(super) fn new(client: HttpClient) -> Self {
        Self { client, problem: Arc::default() }
    }

    /// Takes the problem of the last request, with the URL and what to do.
    pub(super) fn take_problem(&self) -> Option<String> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let url = shown(request.uri());
        let sent = self.client.send(request.map(Full::new)).await;
        let problem = match &sent {
            Ok(response) if response.status().is_success() => None,
            Ok(response) => {
                let status = response.status().as_u16();
                Some(format!("{url}: the collector responded {status}; {}", fix(status)))
            }
            Err(error) => {
                Some(format!("{error}; start the collector, or change OTEL_EXPORTER_OTLP_ENDPOINT"))
            }
        };
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
        Ok(sent?)
    }
}

fn fix(status: u16) -> &'static str {
    match status {
        401 | 403 => "check the token in OTEL_EXPORTER_OTLP_HEADERS",
        404 | 405 | 415 => {
            "check that OTEL_EXPORTER_OTLP_ENDPOINT is the HTTP port of the collector (4318), without /v1/traces"
        }
        _ => "see the log of the collector",
    }
}

impl opentelemetry_http::HttpClient for Transport {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.send(request))
    }
}
