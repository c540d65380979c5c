//! Creates the views of the pages. Every decision in them is made by the permissions; the demo has no rules of its own.

use private_media::delivery::ContentType;
use private_media::{Action, MediaPath, Permit, PrivateMedia, StorageError};

use super::people::{FILES, PEOPLE, Person, URL, folder_of, identity};
use super::problem::Problem;
use super::views::{FileView, Garage, Kind, Landing, Locked, OwnerFiles, Seen};

/// Returns the files that a user may read, by owner.
pub(super) async fn of(media: &PrivateMedia, me: Person) -> Result<Garage, Problem> {
    let mut groups = Vec::new();
    for (owner, _) in PEOPLE {
        let mut files = Vec::new();
        for path in files_of(media, owner).await? {
            if media.decide(&identity(Some(me)), Action::Read, &path).await.is_allowed() {
                files.push(view(media, path).await?);
            }
        }
        if owner == me || me.staff {
            groups.push(OwnerFiles { owner, files });
        }
    }
    Ok(Garage { me, groups })
}

/// Returns the URLs that a signed-out visitor sees.
pub(super) fn locked() -> Landing<'static> {
    let paths =
        FILES.iter().filter_map(|(owner, name, _)| MediaPath::for_upload(&folder_of(*owner), name).ok());
    let locked = paths.map(|path| Locked { url: format!("{URL}{}", path.to_url()), path: path.to_string() });
    Landing { accounts: &PEOPLE, locked: locked.collect() }
}

async fn files_of(media: &PrivateMedia, owner: Person) -> Result<Vec<MediaPath>, Problem> {
    let folder = MediaPath::new(&folder_of(owner)).map_err(|_| Problem::NOT_YOURS)?;
    match media.storage().list(&Permit::trusted(folder)).await {
        Ok(entries) => {
            Ok(entries.into_iter().filter(|entry| !entry.is_folder).map(|entry| entry.path).collect())
        }
        Err(StorageError::NotFound { .. }) => Ok(vec![]),
        Err(error) => Err(Problem::storage(error)),
    }
}

async fn view(media: &PrivateMedia, path: MediaPath) -> Result<FileView, Problem> {
    let [alice, bob, carol] = PEOPLE.map(|(person, _)| Some(person));
    let mut seen_by = [alice, bob, carol, None].map(|by| Seen { by, allowed: false });
    for seen in &mut seen_by {
        seen.allowed = media.decide(&identity(seen.by), Action::Read, &path).await.is_allowed();
    }
    let content_type = ContentType::of(path.file_name());
    let kind = match content_type.as_str().split('/').next() {
        Some("image") if content_type.is_inline() => Kind::Image,
        Some("video") => Kind::Video,
        _ => Kind::Other,
    };
    let metadata =
        media.storage().metadata(&Permit::trusted(path.clone())).await.map_err(Problem::storage)?;
    Ok(FileView {
        url: format!("{URL}{}", path.to_url()),
        name: path.file_name().to_owned(),
        path: path.to_string(),
        kind,
        len: metadata.len,
        seen_by,
    })
}
