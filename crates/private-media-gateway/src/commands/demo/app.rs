//! The state of the demo site.

use http::request::Parts;
use private_media::PrivateMedia;

use super::people::{PEOPLE, Person};
use super::problem::Problem;

#[derive(Clone)]
pub(super) struct Demo {
    pub(super) media: PrivateMedia,
}

impl Demo {
    /// Returns the signed-in user.
    pub(super) async fn person(&self, head: &Parts) -> Result<Option<Person>, Problem> {
        let identity = self.media.identify(head).await.map_err(|_| Problem::UNIDENTIFIED)?;
        let Some(user) = identity.user() else { return Ok(None) };
        Ok(PEOPLE.iter().map(|(person, _)| *person).find(|person| person.id == user.id()))
    }
}
