//! Hooks for servers that write HTTP responses themselves.
//!
//! Most applications need only the tower service [`MediaService`](crate::MediaService). These hooks save work for a server that writes
//! response heads and sends files itself:
//!
//! - [`RespondRaw::respond_raw`] omits the headers that all responses have in common. [`RespondRaw::common_headers`] returns them as
//!   [`SerializedHeaders`].
//! - [`PreparedHeaders::prepared`] returns the serialized headers of a cached file.
//! - [`FileRanges`] returns the ranges of files in a body, so that the kernel can send them. [`ReadAt::as_file`] returns the files.
//!
//! [`ReadAt::as_file`]: crate::storage::ReadAt::as_file
//!
//! ```
//! use private_media::raw::{FileRanges as _, PreparedHeaders as _, RespondRaw as _};
//! use private_media::storage::{MemoryStorage, SaveOptions, Storage, content};
//! use private_media::{Identity, MediaPath, Permit, PrivateMedia};
//!
//! # futures_util::FutureExt::now_or_never(async {
//! let storage = MemoryStorage::new();
//! let permit = Permit::trusted(MediaPath::new("hello.txt").unwrap());
//! storage.save(&permit, content("hello"), &SaveOptions::default()).await.unwrap();
//! let everyone = |_: &Identity, _: &MediaPath| true;
//! let service = PrivateMedia::builder(storage).permissions(everyone).build().service();
//!
//! let (head, ()) = http::Request::get("/hello.txt").body(()).unwrap().into_parts();
//! let (response, _record) = service.respond_raw(&head).await;
//! let mut written = format!("HTTP/1.1 {}\r\n", response.status).into_bytes();
//! written.extend_from_slice(service.common_headers(&head.headers).lines());
//! written.extend_from_slice(response.prepared().unwrap().lines());
//! written.extend_from_slice(format!("content-length: {}\r\n\r\n", response.body.remaining()).as_bytes());
//! assert!(response.body.next_file_range().is_none(), "this file is in memory");
//! # }).unwrap();
//! ```

pub use crate::delivery::body::FileRanges;
pub use crate::delivery::response::{PreparedHeaders, SerializedHeaders};
pub use crate::service::RespondRaw;
