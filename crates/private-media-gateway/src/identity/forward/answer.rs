//! The answer of the application, from its response.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::LOCATION;
use http::{Response, StatusCode};
use private_media::identity::Rejection;
use private_media::{Identity, User};

use super::freshness::lifetime;
use super::options::ForwardOptions;
use crate::identity::user_headers::{MAX_ID, MAX_NAME, list, single};

/// The name of the source.
pub(super) const SOURCE: &str = "forward";

/// What the application says about a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) identity: Identity,
    /// Whether the answer is yes. With `permission`, it allows reading the path.
    pub(super) is_yes: bool,
}

/// An answer, and how long the application allows it to be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fresh {
    pub(super) answer: Answer,
    pub(super) lifetime: Duration,
    /// A mistake in the application's answer, for the log.
    pub(super) mistake: Option<String>,
}

/// Reads a response. An error describes what is invalid in it.
pub(super) fn read(response: &Response<Bytes>, options: &ForwardOptions) -> Result<Fresh, Arc<str>> {
    let status = response.status();
    let lifetime = lifetime(response.headers());
    let no = |reason: String| Answer { identity: Rejection::new(SOURCE, reason).into(), is_yes: false };
    let (answer, mistake) = if status.is_success() {
        match user(response, options)? {
            Some(user) => (Answer { identity: user.into(), is_yes: true }, None),
            // The credential may read the path, although no user is named.
            None if options.permission => (Answer { identity: Identity::Anonymous, is_yes: true }, None),
            None => {
                let problem = format!(
                    "the application responded {} without the header {}, so it is not known who the user is",
                    status.as_u16(),
                    options.names.id
                );
                (no(problem.clone()), Some(problem))
            }
        }
    } else if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        (no(format!("the application responded {}", status.as_u16())), None)
    } else {
        return Err(unexpected(response).into());
    };
    Ok(Fresh { answer, lifetime, mistake })
}

/// Returns the user that a response names.
fn user(response: &Response<Bytes>, options: &ForwardOptions) -> Result<Option<User>, String> {
    let (headers, names) = (response.headers(), &options.names);
    let Some(id) = single(headers, &names.id, MAX_ID)? else { return Ok(None) };
    let user = User::new(id).source(SOURCE);
    let user = match single(headers, &names.name, MAX_NAME)? {
        Some(name) => user.name(name),
        None => user,
    };
    let is_staff = match single(headers, &names.staff, MAX_ID)? {
        None => false,
        Some(value) if ["true", "1"].iter().any(|yes| value.eq_ignore_ascii_case(yes)) => true,
        Some(value) if ["false", "0"].iter().any(|no| value.eq_ignore_ascii_case(no)) => false,
        Some(_) => return Err(format!("the header {} is neither true nor false", names.staff)),
    };
    Ok(Some(list(headers, &names.groups, ',')?.into_iter().fold(user.staff(is_staff), User::group)))
}

/// Returns what is wrong with a response that is neither yes nor no.
fn unexpected(response: &Response<Bytes>) -> String {
    let status = response.status().as_u16();
    let expected = "expected 2xx, or 401 or 403 for a client that is not signed in";
    match response.headers().get(LOCATION).and_then(|to| to.to_str().ok()) {
        // Only the path: a query may have a token.
        Some(to) => {
            let to: String = to.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect();
            format!("the application responded {status}, a redirect to {to}; {expected}")
        }
        None => format!("the application responded {status}; {expected}"),
    }
}
