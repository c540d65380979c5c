//! The service under an axum router, and on hyper alone.

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
async fn an_axum_router_nests_the_service() {
    let (root, service) = cars();
    std::fs::create_dir_all(root.path().join("private/cars")).unwrap();
    let mut router: Router = Router::new().nest_service("/private", service).layer(from_fn(authenticate));
    for (uri, status) in [
        ("/private/cars/7/photo.jpg", 200),
        ("/private/cars/7/photo%2ejpg", 200),
        ("/private/cars/7/none", 404),
        // axum strips both slashes. The rest is the path that is authorized and opened.
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

/// The authentication middleware of an application.
async fn authenticate(mut request: Request, next: Next) -> axum::response::Response {
    if let Some(id) = request.headers().get("x-user") {
        let identity = Identity::from(private_media::User::new(id.to_str().unwrap()));
        request.extensions_mut().insert(identity);
    }
    next.run(request).await
}

/// Starts a server on hyper, whose clients are all alice.
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
                        let response: Result<http::Response<MediaBody>, Infallible> =
                            service.call(request).await;
                        response
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
async fn hyper_serves_the_service_without_a_router() {
    let (_root, service) = cars();
    let address = serve(service.at("/private/")).await;
    let response =
        exchange(address, "GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await;
    assert!(
        response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\nthe photo"),
        "{response}"
    );
    let response =
        exchange(address, "HEAD /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await;
    assert!(response.contains("content-length: 9\r\n") && response.ends_with("\r\n\r\n"), "{response}");
    let two = "GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\nrange: bytes=0-2\r\n\r\n\
        GET /private/cars/8/photo.jpg HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let response = exchange(address, two).await;
    assert!(response.contains("\r\n\r\ntheHTTP/1.1 404 Not Found\r\n"), "{response}");
}

/// It sends neither padding nor the next response.
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
    // The connection may end with a reset.
    let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut received)).await.unwrap();
    let text = String::from_utf8_lossy(&received);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-length: 67108864"), "{head}");
    assert!(body.len() < 64 << 20 && body.bytes().all(|byte| byte == b'x'), "{} bytes", body.len());
}

async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

#[tokio::test]
async fn requests_may_have_any_body_type() {
    let (_root, mut service) = cars();
    let (head, ()) = request("GET", "/cars/7/photo.jpg", alice()).into_parts();
    let response = service.call(http::Request::from_parts(head, "some other type")).await.unwrap();
    assert_eq!(response.status(), 200);
}
