//! The service works where an application puts it: under axum's router, and on hyper alone.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use private_media::{Identity, MediaBody, MediaService};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_service::Service;

use crate::support::{alice, cars, request};

#[tokio::test]
async fn under_axum() {
    let (root, service) = cars();
    std::fs::create_dir_all(root.path().join("private/cars")).unwrap();
    let mut router: Router = Router::new().nest_service("/private", service).layer(from_fn(sign_in));
    for (uri, status) in [
        ("/private/cars/7/photo.jpg", 200),
        ("/private/cars/7/photo%2ejpg", 200),
        ("/private/cars/7/none", 404),
        // axum takes the mount off with both slashes; what is left is the one path that is authorised and opened.
        ("/private//cars/7/photo.jpg", 200),
        ("/private/cars/7/../7/photo.jpg", 404),
        ("/private/", 404),
        ("/private", 404),
        ("/cars/7/photo.jpg", 404),
    ] {
        let request = http::Request::get(uri).header("x-user", "7").body(axum::body::Body::empty()).unwrap();
        let response = router.call(request).await.unwrap();
        assert_eq!(response.status(), status, "{uri}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(&body[..] == b"the photo", status == 200, "{uri}");
    }
    let request = http::Request::get("/private/cars/7/photo.jpg").body(axum::body::Body::empty()).unwrap();
    assert_eq!(router.call(request).await.unwrap().status(), 404, "signed out");
}

/// Stands for the sign-in that an application has.
async fn sign_in(mut request: Request, next: Next) -> axum::response::Response {
    if let Some(id) = request.headers().get("x-user") {
        let identity = Identity::from(private_media::User::new(id.to_str().unwrap()));
        request.extensions_mut().insert(identity);
    }
    next.run(request).await
}

/// A server of nothing but hyper, where everybody is alice.
async fn serve(service: MediaService) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service.clone();
            let service =
                hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
                    let mut service = service.clone();
                    async move {
                        request.extensions_mut().insert(alice());
                        let answer: Result<http::Response<MediaBody>, Infallible> =
                            service.call(request).await;
                        answer
                    }
                });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    address
}

#[tokio::test]
async fn on_hyper_alone() {
    let (_root, service) = cars();
    let address = serve(service.at("/private/")).await;
    let answer =
        exchange(address, "GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nthe photo"), "{answer}");
    let answer =
        exchange(address, "HEAD /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await;
    assert!(answer.contains("content-length: 9\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    let two = "GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\nrange: bytes=0-2\r\n\r\n\
        GET /private/cars/8/photo.jpg HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answer = exchange(address, two).await;
    assert!(answer.contains("\r\n\r\ntheHTTP/1.1 404 Not Found\r\n"), "{answer}");
}

/// On the wire: the connection ends, and what comes after the file's end is neither padding nor the next response.
#[tokio::test]
async fn a_file_that_shrinks_ends_the_connection() {
    let (root, service) = cars();
    let path = root.path().join("cars/7/shrinking.bin");
    std::fs::write(&path, vec![b'x'; 64 << 20]).unwrap();
    let address = serve(service).await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /cars/7/shrinking.bin HTTP/1.1\r\nhost: x\r\n\r\nGET /cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut received = vec![0; 1000];
    stream.read_exact(&mut received).await.unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
    // A reset is as good an end as a close.
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut received)).await.unwrap();
    let text = String::from_utf8_lossy(&received);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 67108864"), "{head}");
    assert!(body.len() < 64 << 20 && body.bytes().all(|byte| byte == b'x'), "{} bytes", body.len());
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn any_request_body_will_do() {
    let (_root, mut service) = cars();
    let (head, ()) = request("GET", "/cars/7/photo.jpg", alice()).into_parts();
    let response = service.call(http::Request::from_parts(head, "some other type")).await.unwrap();
    assert_eq!(response.status(), 200);
}
