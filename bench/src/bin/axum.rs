//! An axum application with private-media in it; who asks is what a header says, as a stand-in for the application's sign-in.

use std::error::Error;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use private_media::{Grants, Identity, LocalStorage, PrivateMedia, User};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(root)) = (arguments.next(), arguments.next()) else {
        return Err("usage: axum HOST:PORT ROOT".into());
    };
    let media = PrivateMedia::builder(LocalStorage::open_root(root)?)
        .permissions("cars/{owner}/{*file}=owner,staff".parse::<Grants>()?)
        .build();
    let identify = async |mut request: Request, next: Next| {
        if let Some(id) = request.headers().get("x-user").and_then(|id| id.to_str().ok()) {
            let user = Identity::from(User::new(id));
            request.extensions_mut().insert(user);
        }
        next.run(request).await
    };
    let app = Router::new().nest_service("/private", media.service()).layer(from_fn(identify));
    axum::serve(tokio::net::TcpListener::bind(address).await?, app).await?;
    Ok(())
}
