//! A small complete application: sign in, upload a photo of your car, and only you and staff can see it.
//!
//! `cargo run -p axum-cars`, then open the address that it prints.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{DefaultBodyLimit, Form, Multipart, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use axum::{Router, http::StatusCode};
use futures_util::{StreamExt, TryStreamExt, future::BoxFuture};
use http::header::{COOKIE, HeaderName, SET_COOKIE};
use http::request::Parts;
use private_media::identity::is_cross_site;
use private_media::{
    Grants, Identify, IdentifyError, Identity, LocalStorage, MediaPath, Permit, PrivateMedia, SaveOptions,
    StorageError, User,
};
use private_media_listener::{Limits, serve_handler};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:3000".into());
    let listener = tokio::net::TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address} (alice, bob or staff carol; the password is {PASSWORD})");
    std::fs::create_dir_all("private")?;

    let sessions = Sessions::default();
    let media = PrivateMedia::builder(LocalStorage::open_root("private")?)
        .identify(sessions.clone())
        .permissions("cars/{owner}/{*file}=owner,staff".parse::<Grants>()?)
        .build();
    let app = Router::new()
        .route("/", get(garage).post(upload).layer(DefaultBodyLimit::max(MAX_LEN)))
        .with_state(media.clone())
        .route("/sign-in", get(sign_in_form).post(sign_in).with_state(sessions));
    // The listener sends private files itself, and passes all other requests to the application.
    serve_handler(listener, media.service().at("/private/").or(app), Limits::default()).await;
    Ok(())
}

const PASSWORD: &str = "open sesame";
const MAX_LEN: usize = 20 << 20;

/// The sessions of the application: a random token in a cookie names a user. A real application keeps them in its database.
#[derive(Clone, Default)]
struct Sessions(Arc<RwLock<HashMap<String, User>>>);

impl Sessions {
    fn begin(&self, user: User) -> Result<String, getrandom::Error> {
        let mut token = [0; 32];
        getrandom::fill(&mut token)?;
        let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), user);
        Ok(token)
    }

    fn user(&self, head: &Parts) -> Option<User> {
        let cookies = head.headers.get(COOKIE)?.to_str().ok()?;
        let token = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("session="))?;
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }
}

impl Identify for Sessions {
    fn identify<'a>(&'a self, head: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(async { Ok(self.user(head).map_or(Identity::Anonymous, Identity::from)) })
    }

    fn vary(&self) -> Vec<HeaderName> {
        vec![COOKIE]
    }
}

async fn sign_in_form() -> Html<&'static str> {
    Html(
        "<!doctype html><title>Sign in</title><form method=post><input name=name><input name=password type=password><button>Sign in</button></form>",
    )
}

async fn sign_in(
    State(sessions): State<Sessions>,
    head: Parts,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let user = match form.get("name").map(String::as_str) {
        Some("alice") => User::new("7"),
        Some("bob") => User::new("8"),
        Some("carol") => User::new("9").staff(true),
        _ => return StatusCode::FORBIDDEN.into_response(),
    };
    if is_cross_site(&head) || form.get("password").is_none_or(|password| password != PASSWORD) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match sessions.begin(user) {
        Ok(token) => {
            let cookie = format!("session={token}; Path=/; HttpOnly; SameSite=Lax");
            ([(SET_COOKIE, cookie)], Redirect::to("/")).into_response()
        }
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Shows the user's own photos, each under its private URL.
async fn garage(State(media): State<PrivateMedia>, head: Parts) -> Response {
    let Some(folder) = own_folder(&media, &head).await else {
        return Redirect::to("/sign-in").into_response();
    };
    let photos = match media.storage().list(&Permit::trusted(folder)).await {
        Ok(photos) => photos,
        // The first upload creates the folder.
        Err(StorageError::NotFound { .. }) => vec![],
        Err(error) => {
            eprintln!("{error}");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let photos =
        photos.iter().map(|photo| format!("<img src=\"/private/{}\" height=200>", photo.path.to_url()));
    let photos: String = photos.collect();
    let form = "<form method=post enctype=multipart/form-data><input type=file name=photo required><button>Upload</button></form>";
    Html(format!("<!doctype html><title>Cars</title>{form}{photos}")).into_response()
}

async fn upload(State(media): State<PrivateMedia>, head: Parts, mut form: Multipart) -> Response {
    let Some(folder) = own_folder(&media, &head).await.filter(|_| !is_cross_site(&head)) else {
        return StatusCode::FORBIDDEN.into_response();
    };
    loop {
        let photo = match form.next_field().await {
            Ok(Some(photo)) => photo,
            Ok(None) => return Redirect::to("/").into_response(),
            Err(error) => return error.into_response(),
        };
        let Ok(path) = MediaPath::for_upload(folder.as_str(), photo.file_name().unwrap_or("photo")) else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        // The application permits uploads to the user's own folder. The photo is written as it arrives.
        let (permit, content) = (Permit::trusted(path.clone()), photo.map_err(std::io::Error::other).boxed());
        if let Err(error) = media.storage().save(&permit, content, &SaveOptions::default()).await {
            eprintln!("{path}: {error}");
            return StatusCode::INSUFFICIENT_STORAGE.into_response();
        }
    }
}

/// Returns the folder of the signed-in user, `cars/ID`.
async fn own_folder(media: &PrivateMedia, head: &Parts) -> Option<MediaPath> {
    let identity = media.identify(head).await.ok()?;
    MediaPath::new(&format!("cars/{}", identity.user()?.id())).ok()
}
