//! Lookups: a [`Lookup`] returns the [`Attributes`] of a file that its path does not tell, such as its owner.

mod attributes;
mod cached;
mod error;

use std::sync::Arc;

use futures_core::future::BoxFuture;

pub use attributes::Attributes;
pub(crate) use attributes::Owner;
pub use cached::CachedLookup;
pub use error::LookupError;

use crate::request::MediaPath;

/// Looks up the attributes of files, for applications that give files random names and store owner, name and type in a table.
///
/// The service asks for them before it asks the permissions. The first lookup that [covers](Self::covers) a path decides: a file that
/// it does not know is not found, and a failure denies access. Files that no lookup covers have no attributes.
///
/// The crate `private-media-sql` has a lookup in the tables of an application. A closure is a lookup that covers every path:
///
/// ```
/// use private_media::lookup::{Attributes, LookupError};
/// use private_media::{MediaPath, MemoryStorage, PrivateMedia};
/// use private_media::permission::{Grants, Template};
///
/// let blobs: Template = "blobs/{key}".parse()?;
/// let media = PrivateMedia::builder(MemoryStorage::new())
///     .lookup(|path: &MediaPath| match path.file_name() {
///         "x7Fq2Ab" => Ok(Attributes::new().owner("7").name("photo.jpg")),
///         _ => Err(LookupError::NotFound),
///     })
///     .permissions(Grants::parse("blobs/{key}=owner,staff", &[blobs])?)
///     .build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Lookup: Send + Sync + 'static {
    /// Returns whether this lookup decides about a path. It is called for each request, so it has to be cheap.
    fn covers(&self, path: &MediaPath) -> bool;

    /// Returns the attributes of the file at a path that this lookup covers.
    fn look_up<'a>(&'a self, path: &'a MediaPath) -> BoxFuture<'a, Result<Attributes, LookupError>>;
}

impl<F> Lookup for F
where
    F: Fn(&MediaPath) -> Result<Attributes, LookupError> + Send + Sync + 'static,
{
    fn covers(&self, _: &MediaPath) -> bool {
        true
    }

    fn look_up<'a>(&'a self, path: &'a MediaPath) -> BoxFuture<'a, Result<Attributes, LookupError>> {
        Box::pin(std::future::ready(self(path)))
    }
}

macro_rules! delegate {
    () => {
        fn covers(&self, path: &MediaPath) -> bool {
            (**self).covers(path)
        }

        fn look_up<'a>(&'a self, path: &'a MediaPath) -> BoxFuture<'a, Result<Attributes, LookupError>> {
            (**self).look_up(path)
        }
    };
}

impl<L: Lookup + ?Sized> Lookup for Arc<L> {
    delegate!();
}

impl Lookup for Box<dyn Lookup> {
    delegate!();
}
