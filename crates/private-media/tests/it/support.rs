//! What the tests share.

use std::io::Write;
use std::process::Command;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use private_media::storage::{MediaFile, Storage, StorageError};
use private_media::{Grants, Identity, LocalStorage, MediaPath, MediaService, Permit, PrivateMedia, User};
use tower_service::Service;

/// A response, read to its end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A root with a file of alice (id 7), and the service over it: owner and staff may read `cars/{owner}/…`.
pub(crate) fn cars() -> (tempfile::TempDir, MediaService) {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("cars/7")).unwrap();
    std::fs::write(root.path().join("cars/7/photo.jpg"), "the photo").unwrap();
    let service = media(root.path()).service();
    (root, service)
}

pub(crate) fn media(root: &std::path::Path) -> PrivateMedia {
    let grants: Grants = "cars/{owner}/{*file}=owner,staff".parse().unwrap();
    PrivateMedia::builder(LocalStorage::open_root(root).unwrap()).permissions(grants).build()
}

/// Alice owns the files, bob does not, carol is staff.
pub(crate) fn alice() -> Identity {
    User::new("7").into()
}

pub(crate) fn bob() -> Identity {
    User::new("8").into()
}

pub(crate) fn carol() -> Identity {
    User::new("9").staff(true).into()
}

pub(crate) async fn ask(service: &MediaService, request: Request<()>) -> Answer {
    let response = service.clone().call(request).await.unwrap();
    let (head, body) = response.into_parts();
    Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

/// A request with an identity, as the application's own sign-in would put it there.
pub(crate) fn request(method: &str, uri: &str, identity: Identity) -> Request<()> {
    Request::builder().method(method).uri(uri).extension(identity).body(()).unwrap()
}

/// Opens what everybody may read.
pub(crate) async fn open(storage: &dyn Storage, path: &str) -> Result<MediaFile, StorageError> {
    let everybody = |_: &Identity, _: &MediaPath| true;
    let permit = Permit::ask(&everybody, Identity::Anonymous, MediaPath::new(path).unwrap()).await.unwrap();
    storage.open(&permit).await
}

/// The bytes of what everybody may read, or why not.
pub(crate) async fn read(storage: &dyn Storage, path: &str) -> Result<Vec<u8>, StorageError> {
    let file = open(storage, path).await?;
    let parts = futures_util::stream::unfold(0, |offset| {
        let bytes = file.bytes().clone();
        async move {
            let part = bytes.read_at(offset, 65_536).await.unwrap();
            (!part.is_empty()).then(|| (part.clone(), offset + part.len() as u64))
        }
    });
    Ok(parts.collect::<Vec<_>>().await.concat())
}

/// Whether a test can have what it needs. `cargo xtask test` has everything, and there it fails; elsewhere it says what it
/// leaves out, past the capture of output.
pub(crate) fn has(what: &str, available: bool) -> bool {
    if !available {
        assert!(std::env::var_os("PRIVATE_MEDIA_TEST_ALL").is_none(), "this test needs {what}");
        let _ = writeln!(std::io::stderr(), "left out: a test that needs {what}");
    }
    available
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Runs a program that has to succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
