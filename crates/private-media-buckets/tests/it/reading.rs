//! A client gets one version of a file, whole, whatever happens to connections.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use private_media::{Permit, SaveOptions, Storage};
use private_media_buckets::BucketOptions;

use crate::proxy::{Fault, Proxy};
use crate::server::Server;
use crate::support::{bytes, get, path, patient, respond, save, service, storage_at};

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_client_gets_is_requested() {
    let Some(server) = Server::start() else { return };
    let content = bytes(1_000_000);
    save(&storage_at(server.port, patient()), "cars/7/film.mp4", &content, SaveOptions::new()).await.unwrap();
    let proxy = Proxy::start(server.port, |_, _| Fault::None).await;
    let media = service(storage_at(proxy.port, patient()));
    let object = "/uploads/private/cars/7/film.mp4";
    let head = format!("HEAD {object}");

    let response = respond(&media, "GET /cars/7/film.mp4", &[]).await;
    let tag = response.headers()["etag"].to_str().unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.len() == 34, "{tag}");
    assert_eq!(response.headers()["content-length"], "1000000");
    assert_eq!(response.headers()["content-type"], "video/mp4");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), content);
    assert_eq!(proxy.requests(), [format!("GET {object}")]);

    for (headers, method, expected, status) in [
        (vec![("range", "bytes=5000-5999")], "GET", vec![format!("GET {object} 5000-5999")], 206),
        (vec![("range", "bytes=-10")], "GET", vec![format!("GET {object} 999990-999999")], 206),
        (
            vec![("range", "bytes=0-9,900000-900009")],
            "GET",
            vec![format!("GET {object} 0-9"), format!("GET {object} 900000-900009")],
            206,
        ),
        (vec![("range", "bytes=1000000-")], "GET", vec![], 416),
        (vec![("if-none-match", tag.as_str())], "GET", vec![], 304),
        (vec![("if-match", "\"other\"")], "GET", vec![], 412),
        (vec![], "HEAD", vec![], 200),
    ] {
        proxy.clear();
        let response = respond(&media, &format!("{method} /cars/7/film.mp4"), &headers).await;
        assert_eq!(response.status(), status, "{headers:?}");
        let len: u64 =
            response.headers().get("content-length").map_or(0, |len| len.to_str().unwrap().parse().unwrap());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(method == "HEAD" || body.len() as u64 == len, "{headers:?}");
        if headers == [("range", "bytes=5000-5999")] {
            assert_eq!(body, content[5000..6000]);
        }
        assert_eq!(proxy.requests(), [vec![head.clone()], expected].concat(), "{headers:?}");
    }
    proxy.clear();
    assert_eq!(get(&media, "/cars/7/none.mp4", &[]).await.0, 404);
    assert_eq!(proxy.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_never_mixed() {
    let Some(server) = Server::start() else { return };
    let storage = storage_at(server.port, patient());
    let replace = SaveOptions::new().replace(true);
    let (old, new) = (Bytes::from(vec![b'o'; 500_000]), Bytes::from(vec![b'n'; 500_000]));
    save(&storage, "a.bin", &old, replace).await.unwrap();

    // An open file is its own version, or an error.
    let open = storage.open(&Permit::trusted(path("a.bin"))).await.unwrap();
    save(&storage, "a.bin", &new, replace).await.unwrap();
    let error = open.bytes().clone().read_at(0, 10).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StaleNetworkFileHandle);
    let mut range = open.bytes().clone().read_range(0, 10).unwrap();
    assert_eq!(range.next().await.unwrap().unwrap_err().kind(), std::io::ErrorKind::StaleNetworkFileHandle);

    // A file that is replaced between HEAD and GET is opened again.
    let python = server.python_later();
    let proxy = Proxy::start(server.port, move |seen, _| {
        // The first GET finds another version.
        if seen.method == "GET" {
            python("s3.put_object(Bucket='uploads', Key='private/a.bin', Body=b'w' * 500_000)");
        }
        Fault::None
    })
    .await;
    let media = service(storage_at(proxy.port, patient()));
    let (status, body) = get(&media, "/a.bin", &[("range", "bytes=0-")]).await;
    assert_eq!(status, 206);
    assert_eq!(body.unwrap(), vec![b'w'; 500_000]);

    // A download that breaks is not continued with another version.
    let python = server.python_later();
    let proxy = Proxy::start(server.port, move |seen, _| match (&*seen.method, seen.range.as_deref()) {
        ("GET", None) => Fault::ResetAfter(100_000),
        ("GET", _) => {
            python("s3.put_object(Bucket='uploads', Key='private/a.bin', Body=b'x' * 500_000)");
            Fault::None
        }
        _ => Fault::None,
    })
    .await;
    let media = service(storage_at(proxy.port, patient()));
    let (status, body) = get(&media, "/a.bin", &[]).await;
    assert_eq!(status, 200);
    assert!(body.is_err(), "the rest of another version must not follow");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_downloads_continue_without_a_doubled_or_lost_byte() {
    let Some(server) = Server::start() else { return };
    let content = bytes(700_001);
    save(&storage_at(server.port, patient()), "film.mp4", &content, SaveOptions::new()).await.unwrap();
    // Each GET breaks in another way, after a different number of bytes; the last one does not.
    let cuts = [1, 99_999, 4096, 65_536, 0, 7];
    let proxy = Proxy::start(server.port, move |seen, count| match (&*seen.method, count % 7) {
        ("HEAD", _) => Fault::None,
        (_, at) if at < cuts.len() && at % 3 == 0 => Fault::ResetAfter(cuts[at]),
        (_, at) if at < cuts.len() && at % 3 == 1 => Fault::CloseAfter(cuts[at]),
        (_, at) if at < cuts.len() => Fault::HangAfter(cuts[at]),
        _ => Fault::None,
    })
    .await;
    let options = patient().read_timeout(Duration::from_secs(1)).max_retries(20);
    let media = service(storage_at(proxy.port, options));
    for (range, expected) in [
        ("bytes=0-", &content[..]),
        ("bytes=1000-699000", &content[1000..=699_000]),
        ("bytes=-5", &content[699_996..]),
    ] {
        let (status, body) = get(&media, "/film.mp4", &[("range", range)]).await;
        assert_eq!(status, 206, "{range}");
        assert!(body.unwrap() == expected, "{range}: the content");
    }
    let gets = proxy.requests().iter().filter(|request| request.starts_with("GET")).count();
    assert!(gets > 6, "{:?}", proxy.requests());
}

/// The limits of `object_store` are 30 seconds for a request and 180 for its retries. Here, all timeouts are small and the download is long.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_may_take_longer_than_every_timeout() {
    let Some(server) = Server::start() else { return };
    let content = bytes(400_000);
    save(&storage_at(server.port, patient()), "film.mp4", &content, SaveOptions::new()).await.unwrap();
    let long = Duration::from_secs(6);
    let proxy = Proxy::start(server.port, move |seen, count| match (&*seen.method, count) {
        // After the first connection breaks, its retry is as slow.
        ("GET", 0) => Fault::ResetAfter(200_000),
        _ => Fault::Slow(long),
    })
    .await;
    let short = Duration::from_secs(2);
    let options = BucketOptions::new().connect_timeout(short).read_timeout(short).open_timeout(short);
    let media = service(storage_at(proxy.port, options));
    let begin = Instant::now();
    let (status, body) = get(&media, "/film.mp4", &[]).await;
    assert_eq!(status, 200);
    assert!(body.unwrap() == content);
    assert!(
        begin.elapsed() > long.mul_f32(0.9),
        "the download was too fast to test anything: {:?}",
        begin.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_slows_down_the_bucket() {
    let Some(server) = Server::start() else { return };
    let content = bytes(64 << 20);
    server.python("s3.put_object(Bucket='uploads', Key='private/film.mp4', Body=b'x' * (64 << 20))");
    let proxy = Proxy::start(server.port, |_, _| Fault::None).await;
    let media = service(storage_at(proxy.port, patient()));
    let response = respond(&media, "GET /film.mp4", &[]).await;
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.len() < 1 << 20, "{}", first.len());
    tokio::time::sleep(Duration::from_millis(500)).await;
    let sent = proxy.sent();
    // Most of it is in the buffers of the kernel, for both sockets.
    assert!(sent < 16 << 20, "{sent} of {} bytes were sent to a client that reads nothing", content.len());
    let mut received = first.len();
    while let Some(frame) = body.frame().await {
        received += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!(received, content.len());
}
