//! Looks up the attributes of files in the tables of an application.
//!
//! Rails, Laravel, Wagtail and most Django models give files random names: owner, original name and media type are in a table. A
//! [`SqlLookup`] reads them by one query, so that [`private_media`] grants access by them, and sends files under their names.
//!
//! ```toml
//! [dependencies]
//! private-media = "0.1"
//! private-media-sql = "0.1"
//! ```
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use private_media::lookup::CachedLookup;
//! use private_media::permission::Template;
//! use private_media::{Grants, LocalStorage, PrivateMedia};
//! use private_media_sql::{Database, SqlLookup};
//!
//! # async fn media() -> Result<PrivateMedia, Box<dyn std::error::Error>> {
//! let database = Database::connect(&"postgres://reader@localhost/shop".parse()?).await?;
//! let path: Template = "blobs/{key}".parse()?;
//! let query = "select owner_id as owner, filename as name, content_type from blobs where key = {key}";
//! let lookup = SqlLookup::open(database, path.clone(), query).await?;
//! let media = PrivateMedia::builder(LocalStorage::open_root("private")?)
//!     .lookup(CachedLookup::new(lookup, Duration::from_secs(5)))
//!     .permissions(Grants::parse("blobs/{key}=owner,staff", &[path])?)
//!     .build();
//! # Ok(media)
//! # }
//! ```
//!
//! [`Database`] reads SQLite, PostgreSQL, MySQL and MariaDB, never writes, and needs a Tokio runtime.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod column;
mod database;
mod error;
mod lookup;
mod parameter;
mod pool;
mod query;
mod query_error;
mod row;
mod sqlite;
mod timestamp;
mod url;
mod value;

pub use database::{Database, Statement};
pub use error::DatabaseError;
pub use lookup::SqlLookup;
pub use query_error::QueryError;
pub use url::DatabaseUrl;
