//! Downloads use bounded memory, and contain exactly the announced bytes.

use std::os::unix::fs::FileExt;

use http_body_util::BodyExt;
use tower_service::Service;

use crate::support::{alice, cars, request};

/// Returns the peak memory of this process, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_gibibyte_is_sent_in_eight_mebibytes_of_memory() {
    const GIB: u64 = 1 << 30;
    let (root, mut service) = cars();
    let file = std::fs::File::create(root.path().join("cars/7/big.bin")).unwrap();
    file.set_len(GIB).unwrap();
    file.write_all_at(b"begin", 0).unwrap();
    file.write_all_at(b"end", GIB - 3).unwrap();
    // Allocates the memory that any download needs.
    for _ in 0..2 {
        service
            .call(request("GET", "/cars/7/photo.jpg", alice()))
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap();
    }
    let before = peak();
    let response = service.call(request("GET", "/cars/7/big.bin", alice())).await.unwrap();
    assert_eq!(response.headers()["content-length"], GIB.to_string());
    let (mut body, mut len, mut last) = (response.into_body(), 0, bytes::Bytes::new());
    while let Some(frame) = body.frame().await {
        let bytes = frame.unwrap().into_data().unwrap();
        assert!(len > 0 || bytes.starts_with(b"begin"));
        len += bytes.len() as u64;
        last = bytes;
    }
    assert_eq!(len, GIB);
    assert!(last.ends_with(b"end"));
    let grown = peak() - before;
    assert!(grown < 8 << 10, "the download needed {grown} KiB");
}

#[tokio::test]
async fn a_file_that_shrinks_ends_the_download() {
    let (root, mut service) = cars();
    let path = root.path().join("cars/7/shrinking.bin");
    std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
    let response = service.call(request("GET", "/cars/7/shrinking.bin", alice())).await.unwrap();
    let mut body = response.into_body();
    let mut len = body.frame().await.unwrap().unwrap().into_data().unwrap().len();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(500_000).unwrap();
    let error = loop {
        match body.frame().await.unwrap() {
            Ok(frame) => {
                let bytes = frame.into_data().unwrap();
                assert!(bytes.iter().all(|byte| *byte == b'x'), "no padding");
                len += bytes.len();
            }
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind(), len), (std::io::ErrorKind::UnexpectedEof, 500_000));
}

#[tokio::test]
async fn a_file_that_grows_is_sent_with_its_announced_length() {
    let (root, mut service) = cars();
    let path = root.path().join("cars/7/growing.bin");
    std::fs::write(&path, vec![b'x'; 100_000]).unwrap();
    let response = service.call(request("GET", "/cars/7/growing.bin", alice())).await.unwrap();
    let mut growing = std::fs::File::options().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut growing, &vec![b'y'; 100_000]).unwrap();
    let sent = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(sent, vec![b'x'; 100_000]);
}

#[tokio::test]
async fn several_ranges_are_sent_as_multipart() {
    let (root, mut service) = cars();
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(root.path().join("cars/7/a.png"), &bytes).unwrap();
    let mut request = request("GET", "/cars/7/a.png", alice());
    request.headers_mut().insert("range", "bytes=50000-59999,0-9,-5".parse().unwrap());
    let response = service.call(request).await.unwrap();
    assert_eq!(response.status(), 206);
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    assert!(!response.headers().contains_key("content-range"));
    let announced: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body.len(), announced);
    let mut expected = Vec::new();
    for (first, last) in [(50_000, 59_999), (0, 9), (99_995, 99_999)] {
        expected.extend_from_slice(format!("\r\n--{boundary}\r\nContent-Type: image/png\r\nContent-Range: bytes {first}-{last}/100000\r\n\r\n").as_bytes());
        expected.extend_from_slice(&bytes[first..=last]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(body == expected);
}

#[tokio::test]
async fn many_ranges_send_no_more_than_the_file() {
    let (root, mut service) = cars();
    std::fs::write(root.path().join("cars/7/a.bin"), vec![1; 10_000]).unwrap();
    for ranges in [
        "0-,".repeat(500),
        (0..500).map(|n| format!("{n}-,")).collect(),
        (0..500).map(|n| format!("{}-{},", n * 2, n * 2)).collect(),
        "-9999,".repeat(15),
    ] {
        let mut request = request("GET", "/cars/7/a.bin", alice());
        request.headers_mut().insert("range", format!("bytes={ranges}").parse().unwrap());
        let body = service.call(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        assert!(body.len() <= 10_000, "{} bytes", body.len());
    }
}
