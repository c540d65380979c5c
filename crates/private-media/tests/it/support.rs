//! Helpers of the tests.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use private_media::storage::{LocalStorage, MediaFile, Storage, StorageError};
use private_media::{Builder, Grants, Identity, MediaPath, MediaService, Permit, PrivateMedia, User};
use tower_service::Service;

/// Returns whether a test can run that needs something of the machine. Otherwise reports on stderr that it is skipped, or fails if
/// `PRIVATE_MEDIA_TEST_ALL` is set.
pub(crate) fn needs(what: &str, available: bool) -> bool {
    if !available {
        assert!(std::env::var_os("PRIVATE_MEDIA_TEST_ALL").is_none(), "this machine has no {what}");
        // Not with `eprintln!`, whose output the test runner captures.
        let _ = writeln!(std::io::stderr(), "skipped: a test that needs {what}");
    }
    available
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Returns whether a command exists.
pub(crate) fn has_command(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
}

pub(crate) fn path(name: &str) -> MediaPath {
    MediaPath::new(name).unwrap_or_else(|error| panic!("{name:?}: {error}"))
}

/// Opens a file with a trusted permit.
pub(crate) async fn open(storage: &dyn Storage, name: &str) -> Result<MediaFile, StorageError> {
    storage.open(&Permit::trusted(path(name))).await
}

/// Reads a whole file.
pub(crate) async fn read(file: &MediaFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let piece = file.bytes().clone().read_at(bytes.len() as u64, 100_000).await.unwrap();
        if piece.is_empty() {
            return bytes;
        }
        bytes.extend_from_slice(&piece);
    }
}

/// An empty root, in a folder that is outside of it.
pub(crate) struct Root {
    pub(crate) outside: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Root {
    pub(crate) fn new() -> Self {
        let outside = tempfile::tempdir().unwrap();
        let path = outside.path().join("root");
        std::fs::create_dir(&path).unwrap();
        Self { outside, path }
    }

    pub(crate) fn storage(&self) -> LocalStorage {
        LocalStorage::open_root(&self.path).unwrap()
    }

    /// Returns everything in the root, including hidden names, relative to it. Folders end with `/`.
    pub(crate) fn tree(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            // Some tests call this while folders are being removed.
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            for entry in entries {
                let entry = entry.unwrap();
                let name = entry.path().strip_prefix(&self.path).unwrap().display().to_string();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                    names.push(name + "/");
                } else {
                    names.push(name);
                }
            }
        }
        names.sort();
        names
    }
}

/// Returns the path of the example program `save`, and builds it if necessary.
pub(crate) fn save_program() -> &'static Path {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        // target/PROFILE/deps/it-HASH
        let profile = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
        let program = profile.join("examples/save");
        if !program.exists() {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--package", "private-media", "--example", "save"]);
            build.args(profile.ends_with("release").then_some("--release"));
            build.arg("--target-dir").arg(profile.parent().unwrap());
            assert!(build.status().unwrap().success(), "the example `save` does not build");
        }
        program
    });
    &PROGRAM
}

/// A response with its whole body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Returns a root with a file of alice (id 7), and its service: owner and staff may read `cars/{owner}/…`.
pub(crate) fn cars() -> (tempfile::TempDir, MediaService) {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("cars/7")).unwrap();
    std::fs::write(root.path().join("cars/7/photo.jpg"), "the photo").unwrap();
    let service = media(root.path()).service();
    (root, service)
}

pub(crate) fn media(root: &Path) -> PrivateMedia {
    media_builder(root).build()
}

pub(crate) fn media_builder(root: &Path) -> Builder {
    let grants: Grants = "cars/{owner}/{*file}=owner,staff".parse().unwrap();
    PrivateMedia::builder(LocalStorage::open_root(root).unwrap()).permissions(grants)
}

/// Alice is the owner of the file, bob is not, carol is staff.
pub(crate) fn alice() -> Identity {
    User::new("7").into()
}

pub(crate) fn bob() -> Identity {
    User::new("8").into()
}

pub(crate) fn carol() -> Identity {
    User::new("9").staff(true).into()
}

pub(crate) async fn respond(service: &MediaService, request: Request<()>) -> Received {
    let response = service.clone().call(request).await.unwrap();
    let (head, body) = response.into_parts();
    Received { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}

/// Returns a request with an identity, as the authentication middleware of an application inserts it.
pub(crate) fn request(method: &str, uri: &str, identity: Identity) -> Request<()> {
    Request::builder().method(method).uri(uri).extension(identity).body(()).unwrap()
}
