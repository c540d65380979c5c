//! Identities as text, for logs and diagnosis.

use std::fmt::{self, Write};

use super::Identity;

/// The longest part of an identity that is printed, in characters. Clients choose some of them.
const MAX_CHARACTERS: usize = 100;

/// Prints the identity for logs and diagnosis: `bob (id 8, by accounts)`, `anonymous`, or
/// `anonymous (jwt: the token expired)` for a rejected credential. Long texts are shortened, and control characters are escaped.
///
/// ```
/// use private_media::{Identity, User};
///
/// assert_eq!(Identity::from(User::new("8").name("bob")).to_string(), "bob (id 8)");
/// assert_eq!(Identity::Anonymous.to_string(), "anonymous");
/// ```
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = match self {
            Self::User(user) => user,
            Self::Anonymous => return f.write_str("anonymous"),
            Self::Rejected(rejection) => {
                let (source, reason) = (Printable(rejection.source()), Printable(rejection.reason()));
                return write!(f, "anonymous ({source}: {reason})");
            }
        };
        let (id, name) = (Printable(user.id()), Printable(user.display_name()));
        match (user.id() == user.display_name(), user.identified_by().map(Printable)) {
            (true, None) => write!(f, "user {id}"),
            (true, Some(source)) => write!(f, "user {id} (by {source})"),
            (false, None) => write!(f, "{name} (id {id})"),
            (false, Some(source)) => write!(f, "{name} (id {id}, by {source})"),
        }
    }
}

/// A text of a client, shortened, with its control characters escaped.
pub(crate) struct Printable<'a>(pub(crate) &'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(MAX_CHARACTERS) {
            match character {
                '\'' | '"' => f.write_char(character)?,
                _ => write!(f, "{}", character.escape_debug())?,
            }
        }
        if characters.next().is_some() { f.write_char('…') } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Rejection, User};

    #[test]
    fn identities_are_printed() {
        let long = "x".repeat(1000);
        let short = "x".repeat(100);
        for (identity, text) in [
            (Identity::Anonymous, "anonymous"),
            (
                Rejection::new("jwt", "the token expired 12 s ago").into(),
                "anonymous (jwt: the token expired 12 s ago)",
            ),
            (User::new("8").into(), "user 8"),
            (User::new("8").source("jwt").into(), "user 8 (by jwt)"),
            (User::new("8").name("bob").into(), "bob (id 8)"),
            (User::new("8").name("bob").source("accounts").into(), "bob (id 8, by accounts)"),
            (User::new("8").name("Zoë O'Brien").into(), "Zoë O'Brien (id 8)"),
            (User::new("8").name("a\nb\u{1b}[31m\u{202e}c").into(), "a\\nb\\u{1b}[31m\\u{202e}c (id 8)"),
            (User::new(&long).name("bob").into(), &format!("bob (id {short}…)")),
            (User::new("8").name(&long).into(), &format!("{short}… (id 8)")),
            (Rejection::new("jwt", long.clone()).into(), &format!("anonymous (jwt: {short}…)")),
        ] {
            let identity: Identity = identity;
            assert_eq!(identity.to_string(), text);
        }
    }
}
