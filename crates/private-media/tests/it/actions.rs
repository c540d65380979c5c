//! Every action needs its own permission, and permissions grant only reading by default.

use std::sync::Arc;

use private_media::permission::{Delete, List, Read, Share, Write, by_action};
use private_media::storage::{MemoryStorage, SaveOptions, Storage, StorageError, content};
use private_media::{
    Action, Delivery, Direct, Grants, Identify, IdentifyError, Identity, MediaPath, Permissions, Permit,
    PrivateMedia,
};

use crate::support::{alice, bob, carol, path, request, respond};

const PHOTO: &str = "cars/7/photo.jpg";

/// Returns the actions that permissions allow on [`PHOTO`].
async fn allowed(permissions: &dyn Permissions, identity: Identity) -> Vec<Action> {
    let (photo, mut allowed) = (path(PHOTO), vec![]);
    for action in [Action::Read, Action::Write, Action::Delete, Action::List, Action::Share] {
        let by_permit = match action {
            Action::Read => {
                Permit::<Read>::authorize(permissions, identity.clone(), photo.clone()).await.is_ok()
            }
            Action::Write => {
                Permit::<Write>::authorize(permissions, identity.clone(), photo.clone()).await.is_ok()
            }
            Action::Delete => {
                Permit::<Delete>::authorize(permissions, identity.clone(), photo.clone()).await.is_ok()
            }
            Action::List => {
                Permit::<List>::authorize(permissions, identity.clone(), photo.clone()).await.is_ok()
            }
            Action::Share => {
                Permit::<Share>::authorize(permissions, identity.clone(), photo.clone()).await.is_ok()
            }
            other => panic!("{other} is not in this test"),
        };
        assert_eq!(permissions.may(&identity, action, &photo).await.is_allowed(), by_permit, "{action}");
        if by_permit {
            allowed.push(action);
        }
    }
    allowed
}

fn owners_and_staff() -> Grants {
    "cars/{owner}/{*file}=owner,staff".parse().unwrap()
}

/// Owners may write, staff may delete and list, and nobody may read.
fn may_change(identity: &Identity, action: Action, path: &MediaPath) -> bool {
    let Some(user) = identity.user() else { return false };
    match action {
        Action::Write => path.segments().nth(1) == Some(user.id()),
        Action::Delete | Action::List => user.is_staff(),
        _ => false,
    }
}

#[tokio::test]
async fn only_reading_is_granted_by_default() {
    let everyone = |_: &Identity, _: &MediaPath| true;
    assert_eq!(allowed(&owners_and_staff(), alice()).await, [Action::Read]);
    assert_eq!(allowed(&owners_and_staff(), bob()).await, []);
    assert_eq!(allowed(&everyone, bob()).await, [Action::Read]);
}

#[tokio::test]
async fn a_closure_can_decide_about_every_action() {
    let permissions = by_action(may_change);
    assert_eq!(allowed(&permissions, alice()).await, [Action::Write]);
    assert_eq!(allowed(&permissions, carol()).await, [Action::Delete, Action::List]);
    assert_eq!(allowed(&permissions, Identity::Anonymous).await, []);
}

#[tokio::test]
async fn arc_and_box_delegate_every_decision() {
    let shared: Arc<dyn Permissions> = Arc::new(by_action(may_change));
    let boxed: Box<dyn Permissions> = Box::new(Arc::clone(&shared));
    for permissions in [&shared as &dyn Permissions, &boxed] {
        assert_eq!(allowed(permissions, alice()).await, [Action::Write]);
    }
}

#[tokio::test]
async fn each_operation_needs_the_permission_of_its_action() {
    let storage: Arc<dyn Storage> = Arc::new(MemoryStorage::new());
    let media = PrivateMedia::builder(Arc::clone(&storage)).permissions(by_action(may_change)).build();
    let (photo, options) = (path(PHOTO), SaveOptions::default());
    let denied = |error: Option<StorageError>| matches!(error, Some(StorageError::NotFound { .. }));

    let by_bob = media.save(bob(), photo.clone(), content("new"), &options).await;
    assert!(denied(by_bob.err()));
    assert!(!storage.exists(&Permit::trusted(photo.clone())).await.unwrap(), "nothing was stored");
    assert_eq!(media.save(alice(), photo.clone(), content("new"), &options).await.unwrap(), photo);
    assert!(denied(media.open(alice(), photo.clone()).await.err()), "writing is not reading");
    assert!(denied(media.list(alice(), path("cars/7")).await.err()));
    assert_eq!(media.list(carol(), path("cars/7")).await.unwrap().len(), 1);
    assert!(denied(media.delete(alice(), photo.clone()).await.err()));
    assert!(storage.exists(&Permit::trusted(photo.clone())).await.unwrap(), "nothing was deleted");
    media.delete(carol(), photo.clone()).await.unwrap();
    let denied = media.permit::<Write>(bob(), photo.clone()).await.unwrap_err();
    assert_eq!((denied.action(), denied.path()), (Action::Write, &photo));
}

#[tokio::test]
async fn boxed_parts_can_be_chosen_at_run_time() {
    let identify: Box<dyn Identify> = Box::new(Arc::new(|_: &http::request::Parts| alice()));
    let permissions: Box<dyn Permissions> = Box::new(owners_and_staff());
    let storage: Box<dyn Storage> = Box::new(MemoryStorage::new());
    let delivery: Arc<dyn Delivery> = Arc::new(Direct);
    storage.save(&Permit::trusted(path(PHOTO)), content("the photo"), &SaveOptions::default()).await.unwrap();
    let media =
        PrivateMedia::builder(storage).identify(identify).permissions(permissions).delivery(delivery).build();
    let response = respond(&media.service(), request("GET", "/cars/7/photo.jpg", Identity::Anonymous)).await;
    assert_eq!((response.status.as_u16(), &response.body[..]), (200, &b"the photo"[..]));
    assert_eq!(response.headers["vary"], "cookie, authorization");
}

#[tokio::test]
async fn a_failed_identification_is_an_error_and_not_anonymous() {
    struct Down;
    impl Identify for Down {
        fn identify<'a>(
            &'a self,
            _: &'a http::request::Parts,
        ) -> futures_core::future::BoxFuture<'a, Result<Identity, IdentifyError>> {
            Box::pin(std::future::ready(Err(IdentifyError::new("the database is down"))))
        }
    }
    let media = PrivateMedia::builder(MemoryStorage::new()).identify(Down).build();
    let (head, ()) = request("GET", "/", alice()).into_parts();
    assert!(media.identify(&head).await.is_err());
}
