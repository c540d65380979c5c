//! Uploads: one file as the body of a PUT from the script, or a form without it.

use std::io;

use axum::Json;
use axum::body::Body;
use axum::extract::multipart::Multipart;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use futures_util::TryStreamExt;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use private_media::storage::Content;
use private_media::{MediaPath, Permit, SaveOptions};

use super::app::Demo;
use super::people::{Person, URL, folder_of};
use super::problem::Problem;

/// The maximum size of a file, and the space that stays free on the disk, in bytes.
const MAX_LEN: u64 = 200 << 20;
const MIN_FREE: u64 = 64 << 20;
/// The maximum size of a form in bytes, and its maximum number of files. The script sends each file separately.
pub(super) const MAX_FORM: usize = 64 << 20;
const MAX_FILES: usize = 100;

#[derive(serde::Deserialize)]
pub(super) struct Named {
    name: String,
}

#[derive(serde::Serialize)]
struct Stored {
    url: String,
    path: String,
}

/// `PUT /upload?name=…`: stores the body as a file.
pub(super) async fn file(
    State(demo): State<Demo>,
    Query(Named { name }): Query<Named>,
    head: Parts,
    body: Body,
) -> Result<Response, Problem> {
    let me = demo.person(&head).await?.ok_or(Problem::SIGNED_OUT)?;
    let expected_len = head.headers.get(CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse().ok());
    let path =
        save(&demo, me, &name, expected_len, Box::pin(body.into_data_stream().map_err(io::Error::other)))
            .await?;
    let stored = Stored { url: format!("{URL}{}", path.to_url()), path: path.to_string() };
    Ok((StatusCode::CREATED, Json(stored)).into_response())
}

/// `POST /upload`: stores the files of a form.
pub(super) async fn form(State(demo): State<Demo>, head: Parts, form: Multipart) -> Response {
    match save_all(&demo, &head, form).await {
        Ok(()) => Redirect::to("/").into_response(),
        Err(problem) => problem.page(demo.person(&head).await.unwrap_or_default()),
    }
}

async fn save_all(demo: &Demo, head: &Parts, mut form: Multipart) -> Result<(), Problem> {
    let me = demo.person(head).await?.ok_or(Problem::SIGNED_OUT)?;
    let mut files = 0;
    while let Some(field) = form.next_field().await.map_err(|error| Problem::form(&error))? {
        let Some(name) = field.file_name().filter(|name| !name.is_empty()) else { continue };
        files += 1;
        if files > MAX_FILES {
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The form has more than 100 files."));
        }
        // Browsers encode quotation marks and line breaks only.
        let name = name.replace("%22", "\"");
        save(demo, me, &name, None, Box::pin(field.map_err(io::Error::other))).await?;
    }
    Ok(())
}

async fn save(
    demo: &Demo,
    me: Person,
    name: &str,
    expected_len: Option<u64>,
    content: Content<'_>,
) -> Result<MediaPath, Problem> {
    let unusable = |_| Problem::new(StatusCode::BAD_REQUEST, "The file's name cannot be used.");
    let path = MediaPath::for_upload(&folder_of(me), name).map_err(unusable)?;
    let options = SaveOptions::new().max_len(MAX_LEN).expected_len(expected_len).min_free(MIN_FREE);
    demo.media.storage().save(&Permit::trusted(path), content, &options).await.map_err(Problem::storage)
}
