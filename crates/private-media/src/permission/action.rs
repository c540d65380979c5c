//! The actions that permissions decide about.

use std::fmt;
use std::str::FromStr;

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

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        let all = [Self::Read, Self::Write, Self::Delete, Self::List, Self::Share];
        all.into_iter()
            .find(|action| action.to_string() == text)
            .ok_or_else(|| UnknownAction(text.to_owned()))
    }
}

/// The error of a text that is not an [`Action`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAction(String);

impl fmt::Display for UnknownAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown action {:?}; expected read, write, delete, list or share", self.0)
    }
}

impl std::error::Error for UnknownAction {}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_parsed_as_they_are_printed() {
        for action in [Action::Read, Action::Write, Action::Delete, Action::List, Action::Share] {
            assert_eq!(action.to_string().parse(), Ok(action));
        }
        for text in ["", "Read", "reed", "read "] {
            let error = text.parse::<Action>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("unknown action {text:?}; expected read")), "{error}");
        }
    }
}
