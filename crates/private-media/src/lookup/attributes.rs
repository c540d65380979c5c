//! The attributes of a file.

use std::sync::Arc;
use std::time::SystemTime;

use crate::delivery::ContentType;
use crate::request::safe_name;

/// What the application knows about a file. Cheap to clone.
///
/// ```
/// use private_media::lookup::Attributes;
///
/// let attributes = Attributes::new().owner("7").name("../My photo.jpg");
/// assert_eq!(attributes.owner_id(), Some("7"));
/// assert_eq!(attributes.file_name(), Some("My photo.jpg"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes(Arc<Inner>);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Inner {
    owner: Owner,
    group: Option<String>,
    name: Option<String>,
    content_type: Option<ContentType>,
    is_public: bool,
    not_before: Option<SystemTime>,
    not_after: Option<SystemTime>,
}

/// Whose file it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Owner {
    /// The user whose id is at `{owner}` in the path.
    #[default]
    InPath,
    Nobody,
    User(String),
}

impl Attributes {
    /// Returns attributes without a value: the path alone decides.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the id of the owner. It replaces the owner that the path names, if it names one.
    #[must_use]
    pub fn owner(mut self, id: impl Into<String>) -> Self {
        self.inner().owner = Owner::User(id.into());
        self
    }

    /// Sets that the file has no owner, whatever its path is.
    #[must_use]
    pub fn without_owner(mut self) -> Self {
        self.inner().owner = Owner::Nobody;
        self
    }

    /// Sets the group to which the file belongs. The grantee `group` means its members.
    #[must_use]
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.inner().group = Some(name.into());
        self
    }

    /// Sets the name under which browsers save the file, made safe by [`safe_name`]. It also decides the media type, unless
    /// [`content_type`](Self::content_type) is set. Unless told, the name is that of the path.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.inner().name = Some(safe_name(name));
        self
    }

    /// Sets the media type. Active content remains a sandboxed attachment.
    #[must_use]
    pub fn content_type(mut self, content_type: ContentType) -> Self {
        self.inner().content_type = Some(content_type);
        self
    }

    /// Sets whether everyone may read the file, whatever the permissions are.
    #[must_use]
    pub fn public(mut self, is_public: bool) -> Self {
        self.inner().is_public = is_public;
        self
    }

    /// Sets the time before which nobody may read the file.
    #[must_use]
    pub fn not_before(mut self, time: SystemTime) -> Self {
        self.inner().not_before = Some(time);
        self
    }

    /// Sets the time from which on nobody may read the file.
    #[must_use]
    pub fn not_after(mut self, time: SystemTime) -> Self {
        self.inner().not_after = Some(time);
        self
    }

    /// Returns the id of the owner.
    #[must_use]
    pub fn owner_id(&self) -> Option<&str> {
        match &self.0.owner {
            Owner::User(id) => Some(id),
            Owner::InPath | Owner::Nobody => None,
        }
    }

    /// Returns whether nobody is the owner, whatever the path is.
    #[must_use]
    pub fn is_ownerless(&self) -> bool {
        self.0.owner == Owner::Nobody
    }

    /// Returns the group to which the file belongs.
    #[must_use]
    pub fn group_name(&self) -> Option<&str> {
        self.0.group.as_deref()
    }

    /// Returns the name under which browsers save the file.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// Returns the media type.
    #[must_use]
    pub fn media_type(&self) -> Option<&ContentType> {
        self.0.content_type.as_ref()
    }

    /// Returns whether everyone may read the file.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.0.is_public
    }

    /// Returns the time before which nobody may read the file.
    #[must_use]
    pub fn valid_from(&self) -> Option<SystemTime> {
        self.0.not_before
    }

    /// Returns the time from which on nobody may read the file.
    #[must_use]
    pub fn valid_until(&self) -> Option<SystemTime> {
        self.0.not_after
    }

    pub(crate) fn owned_by(&self) -> &Owner {
        &self.0.owner
    }

    /// Returns whether responses differ from those for the path alone.
    pub(crate) fn has_presentation(&self) -> bool {
        self.0.name.is_some() || self.0.content_type.is_some()
    }

    /// Returns whether responses have the same name and media type.
    pub(crate) fn has_same_presentation(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.name == other.0.name && self.0.content_type == other.0.content_type)
    }

    fn inner(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }
}
