//! tower-http's `ServeDir` on axum, serving a folder to everybody: what a Rust application has without us.

use std::error::Error;

use axum::Router;
use axum::serve::ListenerExt;
use tower_http::services::ServeDir;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(root)) = (arguments.next(), arguments.next()) else {
        return Err("usage: servedir HOST:PORT ROOT".into());
    };
    // Without this a head that is sent before its content waits for the client's acknowledgement.
    let listener = tokio::net::TcpListener::bind(address).await?.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().nest_service("/private", ServeDir::new(root))).await?;
    Ok(())
}
