//! Delivery: a [`Plan`] decides what a response contains, and a [`Delivery`] sends it.

pub(crate) mod body;
mod content_type;
mod direct;
pub(crate) mod handoff;
pub(crate) mod headers;
mod plan;
mod proxied;
mod redirect;
pub(crate) mod response;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

pub use body::MediaBody;
pub use content_type::{ContentType, ContentTypeError};
pub use direct::Direct;
pub use handoff::{ApacheXSendfile, NginxXAccelRedirect, SendfileEncoding};
pub use headers::{common_headers, content_disposition, file_headers};
pub use plan::Plan;
pub use redirect::RedirectToStorage;
pub use response::MediaResponse;

use crate::permission::{Permit, Read};
use crate::request::MediaRequest;
use crate::storage::MediaFile;

/// Makes the response for an open file. [`Direct`] sends the bytes itself. [`NginxXAccelRedirect`] and [`ApacheXSendfile`] let a front
/// server send them, and [`RedirectToStorage`] a bucket.
///
/// The service adds the headers that all responses have in common: `Cache-Control`, `Vary`, `X-Content-Type-Options`,
/// `Cross-Origin-Resource-Policy` and `Referrer-Policy`.
pub trait Delivery: fmt::Debug + Send + Sync + 'static {
    /// Returns the response to a request for an open file. `now` is the time of the response.
    fn deliver(
        &self,
        request: &MediaRequest,
        permit: &Permit<Read>,
        file: MediaFile,
        now: SystemTime,
    ) -> MediaResponse;

    /// Returns whether the responses contain the content, so that a bucket may send it with the metadata. `true` is the default.
    fn sends_content(&self) -> bool {
        true
    }
}

macro_rules! delegate {
    ($($pointer:ident)*) => {$(
        impl<D: Delivery + ?Sized> Delivery for $pointer<D> {
            fn deliver(
                &self,
                request: &MediaRequest,
                permit: &Permit<Read>,
                file: MediaFile,
                now: SystemTime,
            ) -> MediaResponse {
                (**self).deliver(request, permit, file, now)
            }

            fn sends_content(&self) -> bool {
                (**self).sends_content()
            }
        }
    )*};
}

delegate!(Arc Box);
