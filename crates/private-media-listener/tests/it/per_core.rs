//! Servers on several threads.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::request::Parts;
use http::{HeaderMap, Request, Response};
use private_media_listener::{
    Drained, Handler, Limits, PeerState, RawResponse, RequestBody, TowerHandler, bind, serve_per_core,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

async fn get_root(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await.ok()?;
    Some(response.split_once("\r\n\r\n")?.1.to_owned())
}

fn thread_id() -> String {
    let id: ThreadId = std::thread::current().id();
    format!("{id:?}")
}

#[tokio::test]
async fn each_thread_serves_its_own_clients() {
    let sockets = bind(&["127.0.0.1:0".parse().unwrap()], 3).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let app = Router::new().route("/", get(|| async { thread_id() }));
    let (shutdown, requested) = oneshot::channel::<()>();
    let served = tokio::spawn(serve_per_core(sockets, TowerHandler::new(app), Limits::default(), async {
        let _ = requested.await;
    }));
    let mut threads = HashSet::new();
    for _ in 0..100 {
        threads.insert(get_root(address).await.unwrap());
    }
    assert_eq!(threads.len(), 3, "{threads:?}");
    assert!(!threads.contains(&thread_id()));
    shutdown.send(()).unwrap();
    assert_eq!(served.await.unwrap().unwrap(), Drained::Completed);
    assert_eq!(get_root(address).await, None);
}

/// A response that runs at the shutdown is completed, and one that takes too long is aborted.
#[tokio::test]
async fn a_shutdown_waits_for_all_threads() {
    for (lasts, timeout, expected) in [(200, 60_000, Drained::Completed), (60_000, 200, Drained::TimedOut)] {
        let sockets = bind(&["127.0.0.1:0".parse().unwrap()], 2).unwrap();
        let address = sockets[0].local_addr().unwrap();
        let started = Arc::new(tokio::sync::Semaphore::new(0));
        let begins = Arc::clone(&started);
        let app = Router::new().route(
            "/",
            get(move || async move {
                begins.add_permits(1);
                tokio::time::sleep(Duration::from_millis(lasts)).await;
                "done"
            }),
        );
        let limits = Limits::default().shutdown_timeout(Duration::from_millis(timeout));
        let clients: Vec<_> = (0..10).map(|_| tokio::spawn(get_root(address))).collect();
        let all = async { drop(started.acquire_many(10).await.unwrap()) };
        let drained = serve_per_core(sockets, TowerHandler::new(app), limits, all).await.unwrap();
        assert_eq!(drained, expected);
        for client in clients {
            assert_eq!(client.await.unwrap().is_some(), expected == Drained::Completed);
        }
    }
}

/// A handler whose clones fail from the third on. Each server gets one, and makes one for each connection.
struct Failing(Arc<AtomicUsize>);

impl Clone for Failing {
    fn clone(&self) -> Self {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) < 2, "for the test");
        Self(Arc::clone(&self.0))
    }
}

impl Handler for Failing {
    type Body = axum::body::Body;
    type Headers = HeaderMap;

    async fn respond_to_head(&self, _: &mut Parts, _: &PeerState) -> RawResponse<Self::Body> {
        Response::default().into()
    }

    async fn respond(&self, _: Request<RequestBody>, _: &PeerState) -> Response<Self::Body> {
        Response::default()
    }
}

#[tokio::test]
async fn a_failed_server_stops_the_others() {
    let sockets = bind(&["127.0.0.1:0".parse().unwrap()], 2).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let clones = Arc::new(AtomicUsize::new(0));
    let handler = Failing(Arc::clone(&clones));
    let serving = serve_per_core(sockets, handler, Limits::default(), std::future::pending());
    let served = tokio::spawn(serving);
    // Otherwise the clone of a server could be the third.
    while clones.load(Ordering::Relaxed) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let _ = get_root(address).await;
    let error = tokio::time::timeout(Duration::from_secs(30), served).await.unwrap().unwrap().unwrap_err();
    assert!(error.to_string().contains("panic"), "{error}");
    assert_eq!(get_root(address).await, None);
}
