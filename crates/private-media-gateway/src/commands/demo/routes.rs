//! The routes of the demo site.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post, put};
use axum::{Form, Router};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, VARY};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use maud::Markup;
use private_media::identity::is_cross_site;
use private_media::{MediaPath, Permit, PrivateMedia};

use super::app::Demo;
use super::people::{Person, folder_of};
use super::problem::Problem;
use super::{garage, pages, upload};

/// The maximum size of a form without files, in bytes.
const MAX_FORM: usize = 8 << 10;
/// The timeout of a form without files.
const FORM_TIME: Duration = Duration::from_secs(10);

/// Returns the routes of the demo site.
pub(super) fn router(media: PrivateMedia) -> Router {
    let asset = |content_type: &'static str, text: &'static str| {
        get(async move || ([(CONTENT_TYPE, content_type)], text))
    };
    Router::new()
        .route("/", get(index))
        // The size of a PUT is limited when it is saved.
        .route(
            "/upload",
            post(upload::form).layer(DefaultBodyLimit::max(upload::MAX_FORM)).merge(put(upload::file)),
        )
        .route("/delete", post(delete))
        .route(pages::STYLE_URL, asset("text/css; charset=utf-8", pages::STYLE))
        .route(pages::SCRIPT_URL, asset("text/javascript; charset=utf-8", pages::SCRIPT))
        .route(pages::ICON_URL, asset("image/svg+xml", pages::ICON))
        .fallback(not_found)
        .layer(middleware::from_fn(safety))
        .with_state(Demo { media })
}

async fn index(State(demo): State<Demo>, head: Parts) -> Result<Markup, Problem> {
    match demo.person(&head).await? {
        Some(me) => Ok(pages::garage(&garage::of(&demo.media, me).await?)),
        None => Ok(pages::landing(&garage::locked())),
    }
}

#[derive(serde::Deserialize)]
struct Deletion {
    path: String,
}

async fn delete(State(demo): State<Demo>, head: Parts, body: Body) -> Response {
    let me = match demo.person(&head).await {
        Ok(me) => me,
        Err(problem) => return problem.page(None),
    };
    let deleted = match me {
        Some(me) => delete_file(&demo, me, &head, body).await,
        None => Err(Problem::SIGNED_OUT),
    };
    match deleted {
        Ok(()) => Redirect::to("/").into_response(),
        Err(problem) => problem.page(me),
    }
}

/// Reads the form of a deletion, within the limits of a small form.
async fn read_form(head: &Parts, body: Body) -> Result<Deletion, Problem> {
    let body = tokio::time::timeout(FORM_TIME, to_bytes(body, MAX_FORM))
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "The form arrived too slowly."))?
        .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large or incomplete."))?;
    let form = Form::from_request(Request::from_parts(head.clone(), body.into()), &()).await;
    let Form(form) = form.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "The form is incomplete."))?;
    Ok(form)
}

async fn not_found(State(demo): State<Demo>, head: Parts) -> (StatusCode, Markup) {
    let me = demo.person(&head).await.unwrap_or_default();
    (StatusCode::NOT_FOUND, pages::not_found(me.as_ref()))
}

async fn delete_file(demo: &Demo, me: Person, head: &Parts, body: Body) -> Result<(), Problem> {
    let Deletion { path } = read_form(head, body).await?;
    let path = MediaPath::new(&path).map_err(|_| Problem::NOT_YOURS)?;
    if path.parent().is_none_or(|folder| folder.as_str() != folder_of(me)) {
        return Err(Problem::NOT_YOURS);
    }
    demo.media.storage().delete(&Permit::trusted(path)).await.map_err(Problem::storage)
}

/// Sets the security headers of the private files, and rejects forms of other sites.
async fn safety(request: Request, next: Next) -> Response {
    const POLICY: &str = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'; script-src 'self'; \
        connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let (head, body) = request.into_parts();
    let mut response = if !head.method.is_safe() && is_cross_site(&head) {
        Problem::CROSS_SITE.into_response()
    } else {
        next.run(Request::from_parts(head, body)).await
    };
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("cookie, authorization"));
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(http::header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
