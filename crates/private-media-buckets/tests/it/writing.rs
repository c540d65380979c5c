//! Saves are whole, replace nothing unless told to, and leave nothing else.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use private_media::{Permit, SaveOptions, Storage, StorageError};
use private_media_buckets::ObjectStorage;

use crate::proxy::{Fault, Proxy};
use crate::server::{self, BUCKET, Server};
use crate::support::{bytes, path, patient, pieces, save, storage_at};

/// Content of three parts.
const LARGE: usize = (20 << 20) + 5;

/// Python that lists the keys of all objects, and the number of incomplete uploads.
const REMAINS: &str = "
keys = [o['Key'] for o in s3.list_objects_v2(Bucket='uploads').get('Contents', [])]
result = [keys, len(s3.list_multipart_uploads(Bucket='uploads').get('Uploads', []))]
";

#[tokio::test(flavor = "multi_thread")]
async fn large_content_is_uploaded_in_parts() {
    let Some(server) = Server::start() else { return };
    let (storage, content) = (storage_at(server.port, patient()), bytes(LARGE));
    let first =
        save(&storage, "cars/7/film.mp4", &content, SaveOptions::new().max_len(LARGE as u64)).await.unwrap();
    assert_eq!(first.as_str(), "cars/7/film.mp4");
    let file = storage.open(&Permit::trusted(first)).await.unwrap();
    assert!(file.metadata().etag.ends_with("-3"), "{}", file.metadata().etag);
    let head = server.python(
        "h = s3.head_object(Bucket='uploads', Key='private/cars/7/film.mp4'); result = [h['ContentType'], h['ContentLength']]",
    );
    assert_eq!(head, format!("[\"video/mp4\", {LARGE}]"));

    // Another save of the same name gets another one; two at the same time get two.
    let (second, third) = tokio::join!(
        save(&storage, "cars/7/film.mp4", &content, SaveOptions::new()),
        save(&storage, "cars/7/film.mp4", &content, SaveOptions::new())
    );
    let (second, third) = (second.unwrap(), third.unwrap());
    assert!(second != third && second.as_str().starts_with("cars/7/film_"), "{second} {third}");
    let again = save(&storage, "cars/7/film.mp4", &content, SaveOptions::new().create_new(true)).await;
    assert!(matches!(again, Err(StorageError::Exists)), "{again:?}");
    let other = bytes(LARGE - 1);
    save(&storage, "cars/7/film.mp4", &other, SaveOptions::new().replace(true)).await.unwrap();
    let file = storage.open(&Permit::trusted(path("cars/7/film.mp4"))).await.unwrap();
    assert_eq!(file.metadata().len, other.len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_during_an_upload_is_not_replaced() {
    let Some(server) = Server::start_conditional() else { return };
    storage_at(server.port, patient()).check_conditional_writes().await.unwrap();
    let python = server.python_later();
    let proxy = Proxy::start(server.port, move |seen, _| {
        // Another process stores a file with this name before the last part.
        if seen.target.starts_with("/uploads/private/film.mp4?partNumber=3&") {
            python("s3.put_object(Bucket='uploads', Key='private/film.mp4', Body=b'other')");
        }
        Fault::None
    })
    .await;
    let storage = storage_at(proxy.port, patient());
    let result = save(&storage, "film.mp4", &bytes(LARGE), SaveOptions::new()).await;
    assert!(matches!(result, Err(StorageError::Exists)), "{result:?}");
    assert_eq!(server.python(REMAINS), "[[\"private/film.mp4\"], 0]");
    let content = "result = s3.get_object(Bucket='uploads', Key='private/film.mp4')['Body'].read().decode()";
    assert_eq!(server.python(content), "\"other\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_ends_early_leaves_nothing() {
    let Some(server) = Server::start() else { return };
    let storage = storage_at(server.port, patient());
    let content = bytes(LARGE);
    let too_long = save(&storage, "a/film.mp4", &content, SaveOptions::new().max_len(LARGE as u64 - 1)).await;
    assert!(matches!(too_long, Err(StorageError::TooLarge { .. })), "{too_long:?}");

    let broken =
        pieces(&content).chain(stream::iter([Err(std::io::ErrorKind::ConnectionReset.into())])).boxed();
    let result = storage.save(&Permit::trusted(path("a/film.mp4")), broken, &SaveOptions::new()).await;
    assert!(matches!(result, Err(StorageError::Content(_))), "{result:?}");

    // The client disconnects: the save is dropped.
    let endless = pieces(&content).chain(stream::pending()).boxed();
    let (permit, options) = (Permit::trusted(path("a/film.mp4")), SaveOptions::new());
    let dropped =
        tokio::time::timeout(Duration::from_secs(3), storage.save(&permit, endless, &options)).await;
    assert!(dropped.is_err());
    let mut remains = String::new();
    for _ in 0..20 {
        remains = server.python(REMAINS);
        if remains == "[[], 0]" {
            return;
        }
    }
    panic!("{remains}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ignores_conditions_is_an_error() {
    let Some(server) = Server::start_conditional() else { return };
    // Some servers support conditional writes of objects, but not of multipart uploads.
    for is_for_parts in [false, true] {
        let rule = move |seen: &crate::proxy::Seen, _| {
            if !is_for_parts || seen.method == "POST" { Fault::Unconditional } else { Fault::None }
        };
        let proxy = Proxy::start(server.port, rule).await;
        let storage = storage_at(proxy.port, patient());
        let result = save(&storage, "a.txt", &bytes(10), SaveOptions::new()).await;
        let Err(StorageError::Io { source, .. }) = result else { panic!("{result:?}") };
        assert_eq!(source.kind(), std::io::ErrorKind::Unsupported);
        save(&storage, "b.txt", &bytes(10), SaveOptions::new().replace(true)).await.unwrap();
    }
    assert_eq!(server.python(REMAINS), "[[\"private/b.txt\"], 0]");
}

/// Names are checked by HEAD requests, and saves of one process wait for nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn without_conditional_writes_one_process_replaces_nothing() {
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::start(server.port, |_, _| Fault::Unconditional).await;
    // The header is signed, which moto does not check.
    let port = if server::is_conditional() { proxy.port } else { server.port };
    let storage = |is_conditional| {
        let (key, secret) = server::credentials();
        let options = patient().endpoint(format!("http://127.0.0.1:{port}")).allow_http(true);
        let options = options.access_key(key, secret).conditional_writes(is_conditional);
        let url = format!("s3://{BUCKET}/private").parse().unwrap();
        ObjectStorage::from_url(&url, options).unwrap()
    };
    let result = save(&storage(true), "a.txt", &bytes(10), SaveOptions::new()).await;
    let Err(StorageError::Io { source, .. }) = result else { panic!("{result:?}") };
    assert!(source.to_string().contains("set conditional_writes to false"), "{source}");
    let storage = storage(false);
    for len in [10, LARGE] {
        let (name, content) = (format!("{len}.txt"), bytes(len));
        let first = save(&storage, &name, &content, SaveOptions::new()).await.unwrap();
        assert_eq!(first.as_str(), name);
        let other = bytes(len - 1);
        let again = save(&storage, &name, &other, SaveOptions::new().create_new(true)).await;
        assert!(matches!(again, Err(StorageError::Exists)), "{again:?}");
        let (second, third) = tokio::join!(
            save(&storage, &name, &other, SaveOptions::new()),
            save(&storage, &name, &other, SaveOptions::new())
        );
        let (second, third) = (second.unwrap(), third.unwrap());
        assert!(first != second && first != third && second != third, "{first} {second} {third}");
        let file = storage.open(&Permit::trusted(first)).await.unwrap();
        assert_eq!(file.metadata().len, len as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_makes_no_second_file() {
    let Some(server) = Server::start_conditional() else { return };
    storage_at(server.port, patient()).check_conditional_writes().await.unwrap();
    let proxy = Proxy::start(server.port, |seen, _| {
        let is_file = seen.target.starts_with("/uploads/private/film");
        let is_stored = seen.method == "PUT" && !seen.target.contains("partNumber");
        let is_completed = seen.method == "POST" && seen.target.contains("uploadId");
        if is_file && (is_stored || is_completed) { Fault::LoseResponse } else { Fault::None }
    })
    .await;
    let options = patient().max_retries(2);
    let storage = storage_at(proxy.port, options);
    storage.check_conditional_writes().await.unwrap();
    for (name, len) in [("film-1.mp4", 100), ("film-2.mp4", LARGE)] {
        let used = save(&storage, name, &bytes(len), SaveOptions::new()).await.unwrap();
        assert_eq!(used.as_str(), name);
    }
    assert_eq!(server.python(REMAINS), "[[\"private/film-1.mp4\", \"private/film-2.mp4\"], 0]");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_temporary_objects_are_swept() {
    let Some(server) = Server::start() else { return };
    server.python("s3.put_object(Bucket='uploads', Key='private/.private-media-uploads/old', Body=b'x')");
    let storage = storage_at(server.port, patient());
    assert_eq!(storage.sweep(Duration::from_hours(1)).await.unwrap(), 0);
    save(&storage, "a.txt", &Bytes::from("a"), SaveOptions::new()).await.unwrap();
    assert!(server.python(REMAINS).contains("/old"), "a temporary object of a running save remains");
    // The times of objects are whole seconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(storage.sweep(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(server.python(REMAINS), "[[\"private/a.txt\"], 0]");
}
