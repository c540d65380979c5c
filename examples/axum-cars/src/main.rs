//! The smallest complete application: sign in, upload a photo of your car, and nobody else but staff gets it.
//!
//! `cargo run -p axum-cars`, then open the address that it prints.

use std::error::Error;

use axum::extract::{DefaultBodyLimit, Multipart, Request, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Router, serve};
use http::StatusCode;
use http::request::Parts;
use private_media::identity::accounts::{AccountsFile, AccountsOptions, NewAccount};
use private_media::identity::is_cross_site;
use private_media::{
    Accounts, Grants, IdentifyError, LocalStorage, MediaPath, Permit, PrivateMedia, SaveOptions, storage,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener =
        tokio::net::TcpListener::bind(std::env::args().nth(1).unwrap_or("127.0.0.1:3000".into())).await?;
    println!(
        "listening on http://{} (alice, bob or staff carol; the password is {PASSWORD})",
        listener.local_addr()?
    );
    std::fs::create_dir_all("private")?;

    // Who asks, may they, and where are the bytes.
    let accounts = accounts()?;
    let media = PrivateMedia::builder(LocalStorage::open_root("private")?)
        .identify(accounts.clone())
        .permissions("cars/{owner}/{*file}=owner,staff".parse::<Grants>()?)
        .build();

    let app = Router::new()
        .route("/", get(garage).post(upload).layer(DefaultBodyLimit::max(MAX_LEN)))
        .with_state(media.clone())
        .route("/private/-/{page}", get(sign_in).post(sign_in).with_state(accounts))
        .nest_service("/private", media.service());
    Ok(serve(listener, app).await?)
}

const PASSWORD: &str = "open sesame";
const MAX_LEN: usize = 20 << 20;

fn accounts() -> Result<Accounts, Box<dyn Error>> {
    let mut file = AccountsFile::default();
    for (name, id, staff) in [("alice", "7", false), ("bob", "8", false), ("carol", "9", true)] {
        file.add(NewAccount::new(name, id, PASSWORD).staff(staff))?;
    }
    Ok(Accounts::new(file, AccountsOptions::default())?)
}

/// The library's own pages, for an application that has no sign-in.
async fn sign_in(State(accounts): State<Accounts>, mut request: Request) -> Response {
    if let Some(path) = request.uri().path_and_query().and_then(|path| path.as_str().strip_prefix("/private"))
        && let Ok(uri) = path.parse()
    {
        *request.uri_mut() = uri;
    }
    match accounts.page(request).await {
        Some(page) => page.into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Your own photos, each under its private URL.
async fn garage(State(media): State<PrivateMedia>, head: Parts) -> Response {
    let Ok(folder) = own_folder(&media, &head).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let Some(folder) = folder else {
        return Redirect::to("/private/-/sign-in").into_response();
    };
    let entries = media.storage().list(&Permit::trusted(folder)).await.unwrap_or_default();
    let photos: String = entries
        .iter()
        .map(|photo| format!("<img src=\"/private/{}\" height=200>", photo.path.to_url()))
        .collect();
    let form = "<form method=post enctype=multipart/form-data><input type=file name=photo required><button>Upload</button></form>";
    Html(format!("<!doctype html><title>Cars</title>{form}{photos}")).into_response()
}

async fn upload(State(media): State<PrivateMedia>, head: Parts, mut form: Multipart) -> Response {
    if is_cross_site(&head) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let folder = match own_folder(&media, &head).await {
        Ok(Some(folder)) => folder,
        Ok(None) => return StatusCode::FORBIDDEN.into_response(),
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    while let Ok(Some(photo)) = form.next_field().await {
        let name = photo.file_name().unwrap_or("photo").to_owned();
        let (Ok(path), Ok(bytes)) = (MediaPath::for_upload(folder.as_str(), &name), photo.bytes().await)
        else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        // It is the user's own folder, so the application itself decides.
        let permit = Permit::trusted(path.clone());
        let saved = media.storage().save(&permit, storage::content(bytes), &SaveOptions::default()).await;
        if let Err(error) = saved {
            eprintln!("{path}: {error}");
            return StatusCode::INSUFFICIENT_STORAGE.into_response();
        }
    }
    Redirect::to("/").into_response()
}

/// Returns the folder of the signed-in user, `cars/ID`.
async fn own_folder(media: &PrivateMedia, head: &Parts) -> Result<Option<MediaPath>, IdentifyError> {
    let identity = media.identify(head).await?;
    Ok(identity.user().and_then(|user| MediaPath::new(&format!("cars/{}", user.id())).ok()))
}
