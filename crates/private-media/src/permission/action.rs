//! The actions that permissions decide about.

use std::fmt;

use crate::request::MediaPath;

/// An action of an identity on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Read the content and the metadata of a file.
    Read,
    /// Store, replace or edit a file.
    Write,
    /// Delete a file or an empty folder.
    Delete,
    /// List the entries of a folder.
    List,
    /// Give others access to a file.
    Share,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Share => "share",
        })
    }
}

/// An [`Action`] as a type: the parameter of [`Permit`](super::Permit). It is sealed: only [`Read`], [`Write`], [`Delete`], [`List`] and
/// [`Share`] implement it.
pub trait ActionType: sealed::Sealed + Send + Sync + 'static {
    /// The action.
    const ACTION: Action;
    /// The target of the action: a [`MediaPath`], or for [`List`] an `Option<MediaPath>`, where `None` is the root.
    type Target: From<MediaPath> + fmt::Debug + Clone + Send + Sync;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! action_types {
    ($($name:ident: $target:ty,)*) => {$(
        #[doc = concat!("[`Action::", stringify!($name), "`] as a type.")]
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl sealed::Sealed for $name {}

        impl ActionType for $name {
            const ACTION: Action = Action::$name;
            type Target = $target;
        }
    )*};
}

action_types! {
    Read: MediaPath,
    Write: MediaPath,
    Delete: MediaPath,
    List: Option<MediaPath>,
    Share: MediaPath,
}
