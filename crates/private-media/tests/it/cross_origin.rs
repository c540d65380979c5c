//! Cross-origin requests: pages of listed origins may embed and read files, and pages of other origins may not.

use axum::Router;
use http::header::{ALLOW, HeaderMap, HeaderName};
use http::{HeaderValue, Request};
use private_media::cors::CorsOptions;
use private_media::{Identity, MediaService};
use tower_service::Service;

use crate::support::{Received, alice, bob, cars, media_builder, request, respond};

const APP: &str = "https://app.example";
const EVIL: &str = "https://evil.example";
const METHOD: (&str, &str) = ("access-control-request-method", "GET");

fn with_cors(credentials: bool) -> (tempfile::TempDir, MediaService) {
    let (root, _) = cars();
    let options = CorsOptions::new([APP.parse().unwrap(), "http://localhost:3000".parse().unwrap()]);
    let media = media_builder(root.path()).cors(options.credentials(credentials)).build();
    (root, media.service())
}

async fn respond_with(
    service: &MediaService,
    (method, uri, identity): (&str, &str, Identity),
    fields: &[(&str, &str)],
) -> Received {
    let mut request = request(method, uri, identity);
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
    }
    respond(service, request).await
}

/// Returns the headers by which browsers decide: resource policy, origin, credentials, exposed headers.
fn access(headers: &HeaderMap) -> [Option<&str>; 4] {
    [
        "cross-origin-resource-policy",
        "access-control-allow-origin",
        "access-control-allow-credentials",
        "access-control-expose-headers",
    ]
    .map(|name| headers.get(name).map(|value| value.to_str().unwrap()))
}

/// For every response, whatever its status.
#[tokio::test]
async fn the_origin_of_the_request_determines_the_access() {
    const EXPOSED: &str = "content-range, content-disposition, etag, accept-ranges, content-length";
    let read = |origin, credentials: bool| {
        [Some("cross-origin"), Some(origin), credentials.then_some("true"), Some(EXPOSED)]
    };
    for credentials in [false, true] {
        let (_root, service) = with_cors(credentials);
        let file = ("GET", "/cars/7/photo.jpg", alice());
        let etag = respond_with(&service, file, &[]).await.headers["etag"].to_str().unwrap().to_owned();
        for (method, uri, identity, field, status) in [
            ("GET", "/cars/7/photo.jpg", alice(), ("x-nothing", "special"), 200),
            ("HEAD", "/cars/7/photo.jpg", alice(), ("x-nothing", "special"), 200),
            ("GET", "/cars/7/photo.jpg", alice(), ("range", "bytes=0-1"), 206),
            ("GET", "/cars/7/photo.jpg", alice(), ("range", "bytes=0-1,4-5"), 206),
            ("GET", "/cars/7/photo.jpg", alice(), ("if-none-match", &*etag), 304),
            ("GET", "/cars/7/photo.jpg", alice(), ("if-match", "\"x\""), 412),
            ("GET", "/cars/7/photo.jpg", alice(), ("range", "bytes=100-"), 416),
            ("GET", "/cars/7/photo.jpg", bob(), ("x-nothing", "special"), 404),
            ("GET", "/cars/7/none.jpg", alice(), ("x-nothing", "special"), 404),
            ("GET", "/cars/../x", Identity::Anonymous, ("x-nothing", "special"), 404),
            ("POST", "/cars/7/photo.jpg", alice(), ("x-nothing", "special"), 405),
            ("OPTIONS", "/cars/7/photo.jpg", alice(), ("x-nothing", "special"), 405),
        ] {
            for (fields, expected) in [
                (&[("origin", APP)][..], read(APP, credentials)),
                (&[("origin", "http://localhost:3000")], read("http://localhost:3000", credentials)),
                (&[("referer", "https://app.example/cars")], [Some("cross-origin"), None, None, None]),
                (&[], [Some("same-origin"), None, None, None]),
                (&[("origin", EVIL)], [Some("same-origin"), None, None, None]),
                (&[("origin", "null")], [Some("same-origin"), None, None, None]),
                (&[("referer", "https://evil.example/")], [Some("same-origin"), None, None, None]),
            ] {
                let fields = [fields, &[field]].concat();
                let response = respond_with(&service, (method, uri, identity.clone()), &fields).await;
                assert_eq!(response.status, status, "{method} {uri} {fields:?}");
                assert_eq!(access(&response.headers), expected, "{method} {uri} {fields:?}");
                assert_eq!(response.headers["vary"], "cookie, authorization, origin, referer");
                assert_eq!(response.headers["cache-control"], "private, no-cache");
            }
        }
    }
}

/// A preflight request does not identify its client, so its response is the same for every path.
#[tokio::test]
async fn preflight_responses_do_not_depend_on_the_file() {
    let (_root, service) = with_cors(true);
    let mut responses = Vec::new();
    for (uri, identity) in [
        ("/cars/7/photo.jpg", alice()),
        ("/cars/7/photo.jpg", bob()),
        ("/cars/7/photo.jpg", Identity::Anonymous),
        ("/cars/7/none.jpg", alice()),
        ("/cars/7", alice()),
        ("/cars/../x", alice()),
        ("/", Identity::Anonymous),
    ] {
        for method in ["GET", "HEAD", "PUT"] {
            let fields = [("origin", APP), ("access-control-request-method", method)];
            responses.push(respond_with(&service, ("OPTIONS", uri, identity.clone()), &fields).await);
        }
    }
    let first = &responses[0];
    assert_eq!((first.status.as_u16(), first.body.len()), (204, 0));
    for (name, value) in [
        ("access-control-allow-origin", APP),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET, HEAD"),
        (
            "access-control-allow-headers",
            "authorization, if-match, if-modified-since, if-none-match, if-range, if-unmodified-since, range",
        ),
        ("access-control-max-age", "3600"),
        ("vary", "cookie, authorization, origin, referer"),
    ] {
        assert_eq!(first.headers[name], value);
    }
    assert!(responses.iter().all(|response| response == first), "{responses:#?}");
}

#[tokio::test]
async fn preflights_of_other_origins_are_refused() {
    let (_root, service) = with_cors(true);
    for fields in [
        &[("origin", EVIL), METHOD][..],
        &[("origin", "null"), METHOD],
        &[("origin", APP), ("origin", APP), METHOD],
        &[("referer", "https://app.example/"), METHOD],
        &[METHOD],
        &[("origin", APP)],
    ] {
        let response = respond_with(&service, ("OPTIONS", "/cars/7/photo.jpg", alice()), fields).await;
        assert_eq!(
            (response.status.as_u16(), &response.headers[ALLOW]),
            (405, &"GET, HEAD".parse().unwrap())
        );
        assert!(!response.headers.contains_key("access-control-allow-methods"), "{fields:?}");
    }
    // Only OPTIONS is a preflight request.
    let response =
        respond_with(&service, ("POST", "/cars/7/photo.jpg", alice()), &[("origin", APP), METHOD]).await;
    assert_eq!(response.status, 405);
}

#[tokio::test]
async fn by_default_no_other_origin_is_allowed() {
    let (_root, service) = cars();
    for (method, field) in [
        ("GET", ("origin", APP)),
        ("GET", ("origin", "null")),
        ("GET", ("referer", "https://app.example/")),
        ("OPTIONS", ("origin", APP)),
    ] {
        let fields = [field, METHOD];
        let response = respond_with(&service, (method, "/cars/7/photo.jpg", alice()), &fields).await;
        assert_eq!(access(&response.headers), [Some("same-origin"), None, None, None]);
        assert_eq!(response.headers["vary"], "cookie, authorization");
        assert_eq!(response.status, if method == "GET" { 200 } else { 405 });
    }
}

#[tokio::test]
async fn an_identity_that_does_not_depend_on_headers_varies_by_all() {
    let nobody = |_: &http::request::Parts| Identity::Anonymous;
    let (root, _) = cars();
    for (is_by_headers, expected) in [(true, "cookie, authorization, origin, referer"), (false, "*")] {
        let builder = media_builder(root.path()).cors(CorsOptions::new([APP.parse().unwrap()]));
        let media = if is_by_headers { builder.identify(nobody) } else { builder.identify(ByAddress) };
        let response = respond(&media.build().service(), request("GET", "/x", alice())).await;
        assert_eq!(response.headers["vary"], expected);
    }
}

struct ByAddress;

impl private_media::Identify for ByAddress {
    fn identify<'a>(
        &'a self,
        _: &'a http::request::Parts,
    ) -> futures_core::future::BoxFuture<'a, Result<Identity, private_media::IdentifyError>> {
        Box::pin(std::future::ready(Ok(Identity::Anonymous)))
    }

    fn vary(&self) -> Vec<HeaderName> {
        vec![]
    }
}

#[tokio::test]
async fn an_axum_router_passes_preflights_to_the_service() {
    let (_root, service) = with_cors(false);
    let mut router: Router = Router::new().nest_service("/private", service);
    for (method, status, methods) in [("OPTIONS", 204, Some("GET, HEAD")), ("GET", 404, None)] {
        let request = Request::builder().method(method).uri("/private/cars/7/photo.jpg");
        let request = request.header("origin", APP).header(METHOD.0, METHOD.1);
        let response = router.call(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["access-control-allow-origin"], APP);
        let found = response.headers().get("access-control-allow-methods");
        assert_eq!(found.map(|value| value.to_str().unwrap()), methods);
    }
}
