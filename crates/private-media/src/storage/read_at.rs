//! The bytes of an open file.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;

/// The bytes of a range of a file, in pieces.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// Reads the bytes of a [`MediaFile`](crate::MediaFile) at any position.
pub trait ReadAt: fmt::Debug + Send + Sync + 'static {
    /// Reads at most `len` bytes at `offset`. The result is empty only at the end of the file.
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>>;

    /// Returns `len` bytes at `offset` as a stream, if one request to a server is cheaper than a request for each piece. `None`, the default,
    /// reads in pieces with [`read_at`](Self::read_at).
    ///
    /// The stream makes its request when it is polled, and reads no more than the client takes. It ends early if the file is shorter.
    fn read_range(self: Arc<Self>, offset: u64, len: u64) -> Option<ByteStream> {
        let _ = (offset, len);
        None
    }

    /// Returns the file with another source of its bytes that has this range in memory or on the local disk, such as a cache. `None` is the
    /// default.
    ///
    /// This is called when a response is built, so it does not wait.
    fn local_range(&self, offset: u64, len: u64) -> Option<Arc<dyn ReadAt>> {
        let _ = (offset, len);
        None
    }

    /// Returns the current name of this file below the root, without symbolic links, so that a front server can send it. `None` if the file
    /// is not on the local disk, or was deleted.
    fn local_name(&self) -> Option<PathBuf> {
        None
    }

    /// Returns a URL at which any client gets this file for a short time, from a server that asks nobody: the presigned URL of a bucket. Its
    /// response has these headers. `None`, the default, if the storage makes no such URLs.
    fn signed_url(&self, headers: &SignedHeaders<'_>) -> Option<String> {
        let _ = headers;
        None
    }

    /// Returns the whole content, if it is in memory.
    fn as_bytes(&self) -> Option<&Bytes> {
        None
    }

    /// Returns the open file if it is on the local disk, for use with sendfile(2). Its position is shared, so read at explicit offsets.
    fn as_file(&self) -> Option<&Arc<File>> {
        None
    }
}

/// The headers of the response at a [signed URL](ReadAt::signed_url).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedHeaders<'a> {
    /// The media type.
    pub content_type: &'a str,
    /// Whether the client shows or saves the file, and its name.
    pub content_disposition: &'a str,
}

impl<'a> SignedHeaders<'a> {
    /// Returns these headers.
    #[must_use]
    pub fn new(content_type: &'a str, content_disposition: &'a str) -> Self {
        Self { content_type, content_disposition }
    }
}
