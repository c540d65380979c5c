//! Failed requests: a short text for the client, and the reason for the log.

use std::error::Error;
use std::fmt::Write;
use std::sync::Arc;

use http::StatusCode;
use http::header::{ALLOW, HeaderValue, RETRY_AFTER};

use crate::delivery::MediaResponse;
use crate::identity::{IdentifyError, whole_seconds};
use crate::lookup::LookupError;
use crate::permission::Denied;
use crate::request::RequestError;
use crate::steps::FailedStep;
use crate::storage::StorageError;

/// When a client may request a file again after the server that stores it did not respond, in seconds.
const RETRY_UNAVAILABLE: u64 = 5;

/// The reason why a request gets no file, by the step that failed.
#[derive(Debug)]
pub(crate) enum Refusal {
    Request(RequestError),
    Identity(IdentifyError),
    Lookup(LookupError),
    Denied(Box<Denied>),
    Storage(StorageError),
}

impl Refusal {
    /// Returns the response. Unless `debug` is set, it is the same for denied, missing and unidentified.
    pub(crate) fn into_response(self, debug: bool) -> MediaResponse {
        self.log();
        let retry = if let Self::Identity(error) = &self { error.retry() } else { None };
        let (status, line) = match &self {
            // This depends only on the credentials, so it does not disclose whether the file exists.
            Self::Identity(error) if error.retry().is_some() => {
                (retry.map_or(StatusCode::SERVICE_UNAVAILABLE, |retry| retry.status), "try again later")
            }
            Self::Request(RequestError::Method) => (StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
            Self::Lookup(LookupError::NotFound) => (StatusCode::NOT_FOUND, "not found"),
            Self::Denied(_) | Self::Identity(_) | Self::Lookup(_) if debug => {
                (StatusCode::FORBIDDEN, "forbidden")
            }
            Self::Request(RequestError::Path(_))
            | Self::Identity(_)
            | Self::Lookup(_)
            | Self::Denied(_)
            | Self::Storage(StorageError::NotFound { .. }) => (StatusCode::NOT_FOUND, "not found"),
            // Only a client with permission gets these responses, so they disclose nothing to others.
            Self::Storage(StorageError::Unavailable { .. }) => {
                (StatusCode::SERVICE_UNAVAILABLE, "try again later")
            }
            Self::Storage(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the file cannot be read"),
        };
        let line = if debug { format!("{line}: {}\n", self.reason()) } else { format!("{line}\n") };
        let mut response = MediaResponse::text(status, line);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        if let Some(retry) = retry {
            response.insert(RETRY_AFTER, whole_seconds(retry.after).into());
        }
        if matches!(self, Self::Storage(StorageError::Unavailable { .. })) {
            response.insert(RETRY_AFTER, RETRY_UNAVAILABLE.into());
        }
        response
    }

    /// Returns whether the client was identified, and the file was denied or is missing. A lookup that fails is among them: otherwise the
    /// treatment of browsers would disclose which files the application knows.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Lookup(_) | Self::Storage(StorageError::NotFound { .. }))
    }

    /// Returns the step that failed, unless this is a decision.
    pub(crate) fn failed_step(&self) -> Option<FailedStep> {
        match self {
            // Too many attempts are the client's failure.
            Self::Identity(error)
                if error.retry().is_none_or(|retry| retry.status != StatusCode::TOO_MANY_REQUESTS) =>
            {
                Some(FailedStep::Identity)
            }
            Self::Lookup(LookupError::Failed(_)) => Some(FailedStep::Lookup),
            Self::Storage(StorageError::NotFound { .. }) => None,
            Self::Storage(_) => Some(FailedStep::Storage),
            _ => None,
        }
    }

    /// Returns the reason and its causes, for the log.
    pub(crate) fn reason(&self) -> Arc<str> {
        match self {
            Self::Request(error) => error.to_string().into(),
            Self::Identity(error) => with_sources(error).into(),
            Self::Lookup(error) => with_sources(error).into(),
            Self::Denied(denied) => Arc::clone(denied.decision().shared_reason()),
            Self::Storage(error) => with_sources(error).into(),
        }
    }

    fn log(&self) {
        match self {
            Self::Identity(error) if error.is_logged() => {
                tracing::debug!(reason = &*self.reason(), "request refused");
            }
            Self::Identity(_)
            | Self::Lookup(LookupError::Failed(_))
            | Self::Storage(StorageError::Io { .. } | StorageError::Unavailable { .. }) => {
                tracing::error!(reason = &*self.reason(), "request failed");
            }
            _ => tracing::debug!(reason = &*self.reason(), "request refused"),
        }
    }
}

/// Returns an error and its causes in one line. A cause that the text ends with is not repeated.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<IdentifyError> for Refusal {
    fn from(error: IdentifyError) -> Self {
        Self::Identity(error)
    }
}

impl From<LookupError> for Refusal {
    fn from(error: LookupError) -> Self {
        Self::Lookup(error)
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self::Denied(Box::new(denied))
    }
}

impl From<StorageError> for Refusal {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}
