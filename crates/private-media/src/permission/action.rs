//! Actions: what permissions decide about.

use std::fmt;

use crate::request::MediaPath;

/// What an identity wants to do with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Read the content and the metadata of a file.
    Read,
    /// Store a file, or replace or edit one.
    Write,
    /// Delete a file, or a folder that is empty.
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

/// An [`Action`] as a type: the parameter of [`Permit`](super::Permit). Implemented by [`Read`], [`Write`], [`Delete`],
/// [`List`] and [`Share`], and by no type outside this crate.
pub trait ActionType: sealed::Sealed + Send + Sync + 'static {
    /// The action.
    const ACTION: Action;
    /// The target of the action: a [`MediaPath`], or for [`List`] an `Option<MediaPath>`, of which `None` is the root.
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
