//! Reads keys from a URL or a file.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AGE, CACHE_CONTROL};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::Full;
use private_media::identity::read_secret_file;

use super::key_set::KeySet;
use super::key_store::{Fetch, Fetched};
use crate::config::{KeyFile, KeyFormat};
use crate::http_client::{HttpClient, HttpOptions, shown};

/// The limits of a fetch. A set of a hundred RSA keys has some 60 KiB.
pub(super) const LIMITS: HttpOptions = HttpOptions {
    connect_timeout: Duration::from_secs(2),
    timeout: Duration::from_secs(4),
    max_body: 256 << 10,
};
/// The bounds of the time after which keys are fetched again, whatever the server says.
const MIN_LIFETIME: Duration = Duration::from_secs(60);
const MAX_LIFETIME: Duration = Duration::from_secs(86_400);
/// The time if the server says nothing.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);

/// Returns a function that fetches a JWK set.
pub(super) fn from_url(client: HttpClient, url: Uri) -> Fetch {
    let shared = Arc::new((client, url));
    Box::new(move || {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let (client, url) = &*shared;
            download(client, url).await
        })
    })
}

async fn download(client: &HttpClient, url: &Uri) -> Fetched {
    let request = Request::get(url)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .body(Full::<Bytes>::default())
        .map_err(|error| error.to_string())?;
    let response = client.send(request).await.map_err(|error| error.to_string())?;
    if response.status() != StatusCode::OK {
        return Err(format!("{}: status {}", shown(url), response.status()));
    }
    let keys = KeySet::from_jwks(response.body()).map_err(|error| format!("{}: {error}", shown(url)))?;
    Ok((keys, lifetime(response.headers())))
}

/// Returns a function that reads keys from a file, at this interval.
pub(super) fn from_file(file: KeyFile, every: Duration) -> Fetch {
    Box::new(move || {
        let file = file.clone();
        Box::pin(async move {
            let keys = tokio::task::spawn_blocking(move || read(&file)).await;
            Ok((keys.map_err(|error| error.to_string())??, every))
        })
    })
}

/// Reads the keys of a file. The error says what is wrong with the file, without its name.
pub(super) fn read(file: &KeyFile) -> Result<KeySet, String> {
    let path = &file.path;
    let keys = match file.format {
        KeyFormat::Secret => KeySet::from_secret(&read_secret_file(path).map_err(|error| io_error(&error))?),
        KeyFormat::JwkSet | KeyFormat::Pem => {
            let text = std::fs::read(path).map_err(|error| io_error(&error))?;
            if file.format == KeyFormat::Pem { KeySet::from_pem(&text) } else { KeySet::from_jwks(&text) }
        }
    };
    keys.map_err(str::to_owned)
}

fn io_error(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".into(),
        std::io::ErrorKind::Other => error.to_string(),
        _ => format!("cannot be read ({error})"),
    }
}

/// Returns how long a response is fresh (RFC 9111 section 4.2.1), within bounds.
fn lifetime(headers: &HeaderMap) -> Duration {
    let lines = headers.get_all(CACHE_CONTROL).iter().filter_map(|line| line.to_str().ok());
    let directives = lines.flat_map(|line| line.split(',')).map(|directive| directive.trim().to_lowercase());
    let mut lifetime = None;
    for directive in directives {
        match directive.split_once('=') {
            None if directive == "no-store" || directive == "no-cache" => return MIN_LIFETIME,
            Some(("max-age", seconds)) => lifetime = seconds.trim_matches('"').parse().ok(),
            _ => {}
        }
    }
    let Some(seconds) = lifetime else { return DEFAULT_LIFETIME };
    let age = headers.get(AGE).and_then(|age| age.to_str().ok()?.parse().ok()).unwrap_or(0);
    Duration::from_secs(u64::saturating_sub(seconds, age)).clamp(MIN_LIFETIME, MAX_LIFETIME)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn lifetimes_are_bounded() {
        for (cache_control, age, seconds) in [
            (&[][..], None, 600),
            (&["max-age=3600"], None, 3_600),
            (&["public, max-age=3600"], None, 3_600),
            (&["public", "Max-Age=\"3600\""], None, 3_600),
            (&["max-age=3600"], Some("600"), 3_000),
            (&["max-age=3600"], Some("9999"), 60),
            (&["max-age=0"], None, 60),
            (&["max-age=59"], None, 60),
            (&["max-age=86401"], None, 86_400),
            (&["max-age=18446744073709551616"], None, 600),
            (&["max-age=-1"], None, 600),
            (&["max-age"], None, 600),
            (&["max-age=3600, no-cache"], None, 60),
            (&["no-store"], None, 60),
            (&["s-maxage=5"], None, 600),
        ] {
            let mut headers = HeaderMap::new();
            for line in cache_control {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
            }
            if let Some(age) = age {
                headers.insert(AGE, HeaderValue::from_static(age));
            }
            assert_eq!(lifetime(&headers), Duration::from_secs(seconds), "{cache_control:?} {age:?}");
        }
    }
}
