//! The data that the pages show, including the decisions of the permissions.

use super::people::Person;

/// The page for signed-out visitors.
#[derive(Debug)]
pub(super) struct Landing<'a> {
    /// The accounts with their passwords, as buttons.
    pub accounts: &'a [(Person, &'static str)],
    /// Files that exist but are not readable for the visitor.
    pub locked: Vec<Locked>,
}

/// A file of which the visitor knows only the URL.
#[derive(Debug)]
pub(super) struct Locked {
    /// Its URL, percent-encoded, from `/`.
    pub url: String,
    /// Its path below the private root, for people to read.
    pub path: String,
}

/// The page for signed-in users.
#[derive(Debug)]
pub(super) struct Garage {
    /// The signed-in user.
    pub me: Person,
    /// The readable files by owner, including the user's own group, even if it is empty.
    pub groups: Vec<OwnerFiles>,
}

/// The files of one person.
#[derive(Debug)]
pub(super) struct OwnerFiles {
    /// The owner of the files.
    pub owner: Person,
    /// The files, in the order in which they are shown.
    pub files: Vec<FileView>,
}

/// One file.
#[derive(Debug)]
pub(super) struct FileView {
    /// Its URL, percent-encoded, from `/`.
    pub url: String,
    /// Its path below the private root.
    pub path: String,
    /// The last segment of the path.
    pub name: String,
    /// How to show it.
    pub kind: Kind,
    /// Its length in bytes.
    pub len: u64,
    /// The decision for each of the four users.
    pub seen_by: [Seen; 4],
}

/// How a file can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// In the page, as a picture.
    Image,
    /// In the page, with controls.
    Video,
    /// As a download. So are images that can contain scripts (SVG).
    Other,
}

/// The decision for one user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The user; `None` if signed out.
    pub by: Option<Person>,
    /// Whether the user may read the file.
    pub allowed: bool,
}
