//! Errors of the demo, as a page or as one line of text.

use std::error::Error;

use axum::extract::multipart::MultipartError;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use private_media::StorageError;

use super::pages;
use super::people::Person;

/// An error in one line: the script shows the text, a form shows a page.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    text: &'static str,
}

impl Problem {
    pub(super) const SIGNED_OUT: Self = Self::new(StatusCode::FORBIDDEN, "You are signed out.");
    pub(super) const NOT_YOURS: Self = Self::new(StatusCode::NOT_FOUND, "You have no such file.");
    pub(super) const UNIDENTIFIED: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Your sign-in cannot be checked now; try again later.");
    pub(super) const CROSS_SITE: Self =
        Self::new(StatusCode::FORBIDDEN, "This form was sent by another site.");

    pub(super) const fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, text }
    }

    pub(super) fn storage(error: StorageError) -> Self {
        match error {
            StorageError::NotFound { .. } => Self::NOT_YOURS,
            StorageError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "The file is over 200 MiB.")
            }
            StorageError::Full => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "There is no space left for this file.")
            }
            StorageError::Content(error) => match error.get_ref().and_then(|error| error.downcast_ref()) {
                Some(error) => Self::form(error),
                None => Self::new(StatusCode::BAD_REQUEST, "The upload is incomplete."),
            },
            error => {
                tracing::error!(%error, cause = error.source().map(tracing::field::display), "the demo's storage failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The file could not be stored.")
            }
        }
    }

    /// Returns the error of a form that cannot be read.
    pub(super) fn form(error: &MultipartError) -> Self {
        match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "The form is over 64 MiB.")
            }
            _ => Self::new(StatusCode::BAD_REQUEST, "The form is incomplete."),
        }
    }

    pub(super) fn page(&self, me: Option<Person>) -> Response {
        (
            self.status,
            pages::problem(self.status.as_u16(), self.text, "Earlier changes were kept.", me.as_ref()),
        )
            .into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, format!("{}\n", self.text)).into_response()
    }
}
