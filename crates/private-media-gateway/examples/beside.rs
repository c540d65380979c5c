//! An axum application and a gateway on one address: the application serves its pages, and the gateway serves the private files.
//!
//! ```text
//! cargo run --release --package private-media-gateway --example beside -- 127.0.0.1:3000 ROOT
//! curl --cookie user=7 http://127.0.0.1:3000/private/cars/7/photo.jpg
//! ```

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::header::COOKIE;
use http::request::Parts;
use private_media::{Grants, Identity, LocalStorage, PrivateMedia, StorageError, User};
use private_media_gateway::Gateway;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(root)) = (arguments.next(), arguments.next()) else {
        return Err("usage: beside HOST:PORT ROOT".into());
    };
    let grants: Grants = "cars/{owner}/{*file}=owner".parse()?;
    let app = Router::new().route("/", get(|| async { "all cars\n" }));
    let gateway = Gateway::builder().pages(app).on_bound(|endpoint| println!("listening on {endpoint}"));
    gateway.run(&address, async || {
        let storage = LocalStorage::open_root(root)?.cache(Gateway::default_cache(Duration::from_secs(1)));
        Ok::<_, StorageError>(
            PrivateMedia::builder(storage).identify(current_user).permissions(grants).build(),
        )
    })?;
    Ok(())
}

/// Replace this with the session lookup of your application. The cookie here proves nothing.
fn current_user(request: &Parts) -> Identity {
    let cookie = request.headers.get(COOKIE).and_then(|line| line.to_str().ok()?.strip_prefix("user="));
    cookie.map_or(Identity::Anonymous, |id| User::new(id).into())
}
