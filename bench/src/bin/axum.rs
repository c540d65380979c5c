//! An axum application with private-media on its listener: media and pages on one address. A cookie stands in for the session of the
//! application.

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::routing::get;
use private_media::storage::CacheOptions;
use private_media::{Grants, Identity, LocalStorage, PrivateMedia, User};
use private_media_listener::{Limits, bind, serve_per_core};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(root)) = (arguments.next(), arguments.next()) else {
        return Err("usage: axum HOST:PORT ROOT".into());
    };
    let cache = CacheOptions::new(Duration::from_secs(1));
    let media = PrivateMedia::builder(LocalStorage::open_root(root)?.cache(cache))
        .identify(current_user)
        .permissions("cars/{owner}/{*file}=owner,staff".parse::<Grants>()?)
        .build();
    let app = Router::new().route("/", get(|| async { "all cars\n" }));
    // The number of cores that this process may use.
    let listeners = bind(&[address.parse()?], std::thread::available_parallelism()?.get())?;
    let site = media.service().at("/private/").or(app);
    serve_per_core(listeners, site, Limits::default(), std::future::pending()).await?;
    Ok(())
}

fn current_user(head: &Parts) -> Identity {
    let cookie = head.headers.get(COOKIE).and_then(|cookie| cookie.to_str().ok()?.strip_prefix("user="));
    cookie.map_or(Identity::Anonymous, |id| User::new(id).into())
}
