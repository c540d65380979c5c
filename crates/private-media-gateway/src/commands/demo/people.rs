//! The users of the demo and their files.

use private_media::{Identity, User};

/// A user with an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Person {
    /// The name to sign in with.
    pub name: &'static str,
    /// The id in the paths of the user's files.
    pub id: &'static str,
    /// Whether the user may read every file.
    pub staff: bool,
}

/// The URL prefix of the private files.
pub(super) const URL: &str = "/private/";
pub(super) const ALICE: Person = Person { name: "alice", id: "7", staff: false };
pub(super) const BOB: Person = Person { name: "bob", id: "8", staff: false };
pub(super) const CAROL: Person = Person { name: "carol", id: "9", staff: true };
/// All users with their passwords. The demo listens on the loopback interface by default.
pub(super) const PEOPLE: [(Person, &str); 3] =
    [(ALICE, "roadster-7"), (BOB, "hatchback-8"), (CAROL, "camper-staff")];

/// The files at the start: owner, name and content.
pub(super) const FILES: [(Person, &str, &[u8]); 6] = [
    (ALICE, "roadster.jpg", include_bytes!("../../../assets/roadster.jpg")),
    (ALICE, "coupé.jpg", include_bytes!("../../../assets/coupe.jpg")),
    (ALICE, "first drive.mp4", include_bytes!("../../../assets/first-drive.mp4")),
    (BOB, "hatchback.jpg", include_bytes!("../../../assets/hatchback.jpg")),
    (BOB, "camper van.jpg", include_bytes!("../../../assets/camper-van.jpg")),
    (CAROL, "pickup.jpg", include_bytes!("../../../assets/pickup.jpg")),
];

/// Returns the folder of a user's files.
pub(super) fn folder_of(owner: Person) -> String {
    format!("cars/{}", owner.id)
}

/// Returns the identity of a user, or of a signed-out visitor.
pub(super) fn identity(person: Option<Person>) -> Identity {
    person.map_or(Identity::Anonymous, |person| {
        User::new(person.id).name(person.name).staff(person.staff).into()
    })
}
