//! An outage is a 503 before the first byte, and a broken connection after it.

use std::time::{Duration, Instant};

use private_media::{SaveOptions, Storage as _, StorageError};
use private_media_buckets::BucketOptions;

use crate::proxy::{Fault, Proxy};
use crate::server::Server;
use crate::support::{bytes, get, patient, respond, save, service, storage_at};

fn impatient() -> BucketOptions {
    BucketOptions::new()
        .read_timeout(Duration::from_millis(300))
        .open_timeout(Duration::from_millis(700))
        .max_retries(2)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_before_the_first_byte_is_a_503() {
    let Some(server) = Server::start() else { return };
    save(&storage_at(server.port, patient()), "a.txt", &bytes(1000), SaveOptions::new()).await.unwrap();
    for (name, fault, method) in [
        ("503", Fault::Unavailable, ""),
        ("503 to GET", Fault::Unavailable, "GET"),
        ("no response", Fault::Hang, ""),
        ("no response to GET", Fault::Hang, "GET"),
        ("reset", Fault::LoseResponse, ""),
        ("reset of GET", Fault::LoseResponse, "GET"),
        ("no content", Fault::ResetAfter(0), "GET"),
        ("empty content", Fault::CloseAfter(0), "GET"),
    ] {
        let rule = move |seen: &crate::proxy::Seen, _| {
            if seen.method.contains(method) { fault } else { Fault::None }
        };
        let proxy = Proxy::start(server.port, rule).await;
        let storage = storage_at(proxy.port, impatient());
        // With one request to the bucket, and with two.
        for headers in [&[][..], &[("range", "bytes=0-")]] {
            let begin = Instant::now();
            let response = respond(&service(storage.clone()), "GET /a.txt", headers).await;
            assert_eq!(response.status(), 503, "{name}");
            assert_eq!(response.headers()["retry-after"], "5", "{name}");
            assert!(begin.elapsed() < Duration::from_secs(5), "{name}: {:?}", begin.elapsed());
        }
        if method.is_empty() {
            let ready = storage.ready().await;
            assert!(matches!(ready, Err(StorageError::Unavailable { .. })), "{name}: {ready:?}");
        }
    }
    // Nothing listens at the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let response = respond(&service(storage_at(port, impatient())), "GET /a.txt", &[]).await;
    assert_eq!(response.status(), 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_outage_is_not_noticed() {
    let Some(server) = Server::start() else { return };
    let content = bytes(1000);
    save(&storage_at(server.port, patient()), "a.txt", &content, SaveOptions::new()).await.unwrap();
    let proxy =
        Proxy::start(server.port, |_, count| if count % 2 == 0 { Fault::Unavailable } else { Fault::None })
            .await;
    let (status, body) = get(&service(storage_at(proxy.port, patient())), "/a.txt", &[]).await;
    assert_eq!((status, body.unwrap()), (200, content));
    assert_eq!(proxy.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_after_the_first_byte_breaks_the_connection() {
    let Some(server) = Server::start() else { return };
    save(&storage_at(server.port, patient()), "a.bin", &bytes(300_000), SaveOptions::new()).await.unwrap();
    for fault in [Fault::ResetAfter(100_000), Fault::CloseAfter(100_000), Fault::HangAfter(100_000)] {
        // No retry succeeds either.
        let rule = move |seen: &crate::proxy::Seen, count| match (&*seen.method, count) {
            ("GET", 0) => fault,
            _ => Fault::Unavailable,
        };
        let proxy = Proxy::start(server.port, rule).await;
        let options = patient().read_timeout(Duration::from_secs(2)).max_retries(2);
        let (status, body) = get(&service(storage_at(proxy.port, options)), "/a.bin", &[]).await;
        assert_eq!(status, 200, "{fault:?}");
        assert!(body.is_err(), "{fault:?}: a part of the content is no success");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_not_ready() {
    let Some(server) = Server::start() else { return };
    storage_at(server.port, patient()).ready().await.unwrap();
    server.python("s3.delete_bucket(Bucket='uploads')");
    let error = storage_at(server.port, patient()).ready().await.unwrap_err();
    let StorageError::Io { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);
}
