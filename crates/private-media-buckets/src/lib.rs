//! Stores private files in a bucket: Amazon S3 and compatible servers, Google Cloud Storage, Azure Blob Storage.
//!
//! [`ObjectStorage`] is a [`Storage`](private_media::Storage) of [`private_media`] on the crate [`object_store`].
//!
//! ```toml
//! [dependencies]
//! private-media = "0.1"
//! private-media-buckets = "0.1"
//! ```
//!
//! ```no_run
//! use private_media::{Grants, PrivateMedia};
//! use private_media_buckets::{BucketOptions, ObjectStorage};
//!
//! # async fn media() -> Result<PrivateMedia, Box<dyn std::error::Error>> {
//! let storage = ObjectStorage::from_url(&"s3://uploads/private".parse()?, BucketOptions::new())?;
//! let media = PrivateMedia::builder(storage)
//!     .permissions("cars/{owner}/{*file}=owner,staff".parse::<Grants>()?)
//!     .build();
//! # Ok(media)
//! # }
//! ```
//!
//! # Reading
//!
//! Opening a file is one HEAD request. Its content is one GET request of exactly the range that the client gets; a 304 and a HEAD response
//! need none. The GET requires the entity tag of the HEAD, so a response never mixes two versions of a file. Memory is bounded, because the
//! bucket is read at the pace of the client.
//!
//! There is a timeout for each read, and none for a whole download. After a broken connection, `object_store` requests the rest of the range.
//! If the bucket is not available before the first byte, the client gets a 503 with `Retry-After`; after it, a broken connection.
//!
//! With [`ObjectStorage::sign_urls`] and [`RedirectToStorage`](private_media::delivery::RedirectToStorage), clients get files from the bucket
//! itself, by presigned URLs. With [`ObjectStorage::sign_urls_for_proxy`] and
//! [`NginxXAccelRedirect`](private_media::delivery::NginxXAccelRedirect), nginx gets them for the clients.
//!
//! # Caching
//!
//! [`ObjectStorage::cached`] caches content in blocks of 1 MiB on the local disk, and metadata in memory. What is cached is served without a
//! request, and leaves by sendfile(2). Without it, nothing is cached.
//!
//! # Storing
//!
//! Content of up to [`BucketOptions::part_len`] bytes is one PUT. Larger content is a multipart upload, which is aborted if the save fails.
//! Neither replaces a file unless [`SaveOptions::replace`](private_media::SaveOptions::replace) is set. Before the first such save,
//! [`ObjectStorage::check_conditional_writes`] verifies that the bucket supports conditional writes, because some servers ignore their header.
//! [`BucketOptions::conditional_writes`] is for those.
//!
//! A process that is killed leaves the parts of its multipart uploads, which cannot be listed. Let the bucket delete them, by a lifecycle rule
//! for incomplete multipart uploads (one day). [`ObjectStorage::sweep`] deletes what else may remain.
//!
//! A program that saves many files, and is the only one that does, saves requests with [`ObjectStorage::sole_writer`]. It reads a whole file
//! with one request by [`ObjectStorage::read`], and lists all files by [`ObjectStorage::objects`].
//!
//! # Names
//!
//! The key of a file is the prefix and its [`MediaPath`](private_media::MediaPath), unchanged. Keys that are no valid paths, such as `a//b`,
//! `../x` and `folder/`, are neither listed nor served.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod aws_files;
mod cache;
mod cached;
mod check;
mod clients;
mod connect;
mod create_only;
mod error;
mod exposure;
mod folders;
mod keys;
mod list;
mod metadata;
mod metadata_cache;
mod naming;
mod objects;
mod options;
mod origin;
mod pages;
mod parts;
mod read;
mod save;
mod signed;
mod storage;
mod sweep;
mod tls;
mod upload;
mod url;

pub use cache::{BlockCache, CacheOptions, CacheStats};
pub use connect::ConnectError;
pub use exposure::Exposure;
pub use objects::ListedObject;
pub use options::BucketOptions;
pub use storage::ObjectStorage;
pub use url::{BucketUrl, BucketUrlError, Provider};
