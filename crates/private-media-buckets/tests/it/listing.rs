//! Lists contain what can be served, and nothing else is served.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use private_media::{MediaPath, Permit, SaveOptions, Storage, StorageError};
use private_media_buckets::ListedObject;

use crate::proxy::{Fault, Proxy};
use crate::server::{Server, is_conditional};
use crate::support::{bytes, get, path, patient, save, service, storage_at};

async fn names(storage: &impl Storage, folder: &str) -> Vec<String> {
    let entries = storage.list(&Permit::trusted(path(folder))).await.unwrap();
    entries.iter().map(|entry| format!("{}{}", entry.path, if entry.is_folder { "/" } else { "" })).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_no_paths_are_skipped() {
    let Some(server) = Server::start() else { return };
    server.python(
        r"
odd = ['f/', 'f//', 'f//x', 'f/../x', 'f/..', 'f/.', 'f/./x', 'f/.hidden', 'f/.git/x', 'f/a\\b', 'f/\x7f', 'f/x\x7fy', 'f/sub//x']
good = ['f/a', 'f/a b', 'f/é', 'f/z%2f', 'f/sub/x', 'f/marker/', 'f/zz', 'only//x', 'marked/']
for key in odd + good + [f'f/n{n:04}' for n in range(40)]:
    s3.put_object(Bucket='uploads', Key='private/' + key, Body=key.encode())
# Some servers ignore a slash at the beginning of a key.
s3.put_object(Bucket='uploads', Key='/private/f/outside', Body=b'outside')
s3.delete_object(Bucket='uploads', Key='private/f/outside')
for key in ['private', 'privateer/x', '-/x', 'private/-/x']:
    s3.put_object(Bucket='uploads', Key=key, Body=b'outside')
",
    );
    let storage = storage_at(server.port, patient());
    let numbered = (0..40).map(|n| format!("f/n{n:04}"));
    let mut expected: Vec<_> =
        ["f/a", "f/a b", "f/marker/", "f/sub/", "f/z%2f", "f/zz", "f/é"].map(String::from).into();
    expected.splice(3..3, numbered);
    assert_eq!(names(&storage, "f").await, expected);
    assert_eq!(names(&storage, "f/sub").await, ["f/sub/x"]);
    assert_eq!(names(&storage, "f/marker").await, [""; 0], "a folder of some tools");
    assert_eq!(names(&storage, "only").await, [""; 0], "nothing in it can be served");
    let root = storage.list(&Permit::trusted(None)).await.unwrap();
    let root: Vec<_> = root.iter().map(|entry| (entry.path.as_str(), entry.is_folder)).collect();
    assert_eq!(root, [("f", true), ("marked", true), ("only", true)]);
    let missing = storage.list(&Permit::trusted(path("none"))).await;
    assert!(matches!(missing, Err(StorageError::NotFound { .. })), "{missing:?}");

    let media = service(storage.clone());
    for (url, status) in [
        ("/f/a", 200),
        ("/f/a%20b", 200),
        ("/f/%C3%A9", 200),
        ("/f/z%252f", 200),
        ("/f/sub/x", 200),
        ("/f/", 404),
        ("/f", 404),
        ("/f//", 404),
        ("/f//x", 404),
        ("/f/../x", 404),
        ("/f/%2e%2e/x", 404),
        ("/f/..", 404),
        ("/f/./x", 404),
        ("/f/.hidden", 404),
        ("/f/a%5Cb", 404),
        ("/f/%7F", 404),
        ("/f/marker/", 404),
        ("/f/marker", 404),
        ("/../privateer/x", 404),
        ("/-/x", 404),
    ] {
        assert_eq!(get(&media, url, &[]).await.0, status, "{url}");
    }
    // What cannot be served takes names nevertheless.
    assert_ne!(save(&storage, "only", &bytes(1), SaveOptions::new()).await.unwrap().as_str(), "only");
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_of_several_pages_are_listed() {
    let Some(server) = Server::start() else { return };
    server.python(
        "
for n in range(1100):
    s3.put_object(Bucket='uploads', Key=f'private/big/{n:05}', Body=b'')
for n in (0, 500, 999, 1050, 1099):
    s3.put_object(Bucket='uploads', Key=f'private/big/{n:05}//x', Body=b'')
    s3.put_object(Bucket='uploads', Key=f'private/big/{n:05}\\x7f', Body=b'')
s3.put_object(Bucket='uploads', Key='private/big//x', Body=b'')
",
    );
    let storage = storage_at(server.port, patient());
    let entries = storage.list(&Permit::trusted(path("big"))).await.unwrap();
    let files: Vec<_> =
        entries.iter().filter(|entry| !entry.is_folder).map(|entry| entry.path.clone()).collect();
    let expected: Vec<_> = (0..1100).map(|n| MediaPath::new(&format!("big/{n:05}")).unwrap()).collect();
    assert!(files == expected, "{} files", files.len());
    assert_eq!(entries.len(), 1105, "five names are also those of folders");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_objects_are_listed_once() {
    let Some(server) = Server::start() else { return };
    server.python(
        "
odd = ['f//x', 'f/../x', 'f/./x', 'f/.hidden', 'g/\\x7f', 'zz//']
for key in odd + [f'f/sub{n % 7}/n{n:04}' for n in range(1100)] + ['g/a b', 'g/é', 'marker/', 'z']:
    s3.put_object(Bucket='uploads', Key='private/' + key, Body=b'abc')
for key in ['private', 'privateer/x', 'a']:
    s3.put_object(Bucket='uploads', Key=key, Body=b'outside')
",
    );
    let storage = storage_at(server.port, patient());
    let listed: Vec<_> = storage.objects().try_collect().await.unwrap();
    let (mut files, mut invalid) = (BTreeSet::new(), BTreeSet::new());
    for object in &listed {
        assert!(
            match object {
                ListedObject::File(path, len) => *len == 3 && files.insert(path.as_str()),
                ListedObject::Invalid(key) => invalid.insert(key.as_str()),
                _ => false,
            },
            "{object:?} once"
        );
    }
    let numbered: Vec<_> = (0..1100).map(|n| format!("f/sub{}/n{n:04}", n % 7)).collect();
    let mut expected: BTreeSet<_> = numbered.iter().map(String::as_str).collect();
    // The slash at the end of a key is lost. No such file can be opened.
    expected.extend(["g/a b", "g/é", "marker", "z"]);
    assert_eq!(files, expected);
    assert_eq!(invalid, BTreeSet::from(["f//x", "f/../x", "f/./x", "f/.hidden", "g/\x7f", "zz//"]));
    let marker = storage.read(&Permit::trusted(path("marker"))).await;
    assert!(matches!(marker.map(drop), Err(StorageError::NotFound { .. })));
}

/// A sole writer checks each folder once, and none if nothing is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_sole_writer_needs_fewer_requests() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::start(server.port, |_, _| Fault::None).await;
    for is_empty in [true, false] {
        let storage = storage_at(proxy.port, patient()).sole_writer();
        let numbered = async |range: std::ops::Range<u32>| {
            for n in range {
                let options = SaveOptions::new().create_new(true);
                let name = format!("cars/7/{is_empty}/{n}");
                save(&storage, &name, &bytes(1), options).await.unwrap();
            }
        };
        // The first save makes checks of its own.
        numbered(0..1).await;
        proxy.clear();
        numbered(1..11).await;
        let requests = proxy.requests();
        let puts = requests.iter().filter(|request| request.starts_with("PUT ")).count();
        // Without conditional writes, each name is checked.
        let checks = [!is_empty, !is_conditional()].into_iter().filter(|is_checked| *is_checked).count();
        assert_eq!((puts, requests.len()), (10, 10 + 10 * checks), "{requests:#?}");
    }
    // What was there before the first save is respected.
    let storage = storage_at(proxy.port, patient()).sole_writer();
    let create = SaveOptions::new().create_new(true);
    let below_a_file = save(&storage, "cars/7/true/1/x", &bytes(1), create).await;
    assert!(matches!(below_a_file, Err(StorageError::Io { .. })), "{below_a_file:?}");
    let folder = save(&storage, "cars/7", &bytes(1), create).await;
    assert!(matches!(folder, Err(StorageError::Exists)), "{folder:?}");
}
