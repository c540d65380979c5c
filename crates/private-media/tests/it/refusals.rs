//! Refused requests. Denied and missing files have the same response, byte for byte.

use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL, HeaderName, VARY};
use private_media::{AccessRecord, IdentifyError, Identity, MemoryStorage, Permit, PrivateMedia};
use tower_service::Service;

use crate::support::{Received, alice, bob, carol, cars, media, request, respond};

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"];

#[tokio::test]
async fn denied_and_missing_look_the_same() {
    let (_root, service) = cars();
    for method in METHODS {
        for (name, value) in [
            ("x-nothing", "special"),
            ("range", "bytes=0-1"),
            ("range", "bytes=1000000-"),
            ("if-none-match", "*"),
            ("if-match", "\"x\""),
            ("if-modified-since", "Sun, 06 Nov 2994 08:49:37 GMT"),
            ("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("if-range", "\"x\""),
        ] {
            let mut responses = Vec::new();
            for (uri, identity) in [
                ("/cars/7/photo.jpg", bob()),
                ("/cars/7/photo.jpg", Identity::Anonymous),
                ("/cars/7/photo.jpg?download", bob()),
                ("/cars/7/nothing.jpg", bob()),
                ("/cars/7/nothing.jpg", alice()),
                ("/cars/7/nothing.jpg", carol()),
                ("/cars/7/nothing.svg", alice()),
                ("/cars/7", alice()),
                ("/cars/7/", alice()),
                ("/cars/7/photo.jpg/x", alice()),
                ("/cars/7/..%2f..%2fsecret", alice()),
                ("/cars/7/.hidden", alice()),
                ("/nothing/at/all", Identity::Anonymous),
                ("/", carol()),
                ("//", carol()),
            ] {
                let mut request = request(method, uri, identity);
                request.headers_mut().insert(name, value.parse().unwrap());
                responses.push((uri, respond(&service, request).await));
            }
            let (_, first) = responses[0].clone();
            let status = if matches!(method, "GET" | "HEAD") {
                StatusCode::NOT_FOUND
            } else {
                StatusCode::METHOD_NOT_ALLOWED
            };
            assert_eq!(first.status, status, "{method}");
            for (uri, response) in responses {
                assert_eq!(response, first, "{method} {uri} with {name}: {value}");
            }
        }
    }
}

#[tokio::test]
async fn other_methods_get_405_with_allow() {
    let (_root, service) = cars();
    let response = respond(&service, request("POST", "/cars/7/photo.jpg", alice())).await;
    assert_eq!(
        (response.status, &response.headers[ALLOW]),
        (StatusCode::METHOD_NOT_ALLOWED, &"GET, HEAD".parse().unwrap())
    );
}

#[tokio::test]
async fn head_responds_like_get_without_content() {
    let (_root, service) = cars();
    for (uri, identity) in
        [("/cars/7/photo.jpg", alice()), ("/cars/7/photo.jpg", bob()), ("/cars/7/none", carol())]
    {
        let get = respond(&service, request("GET", uri, identity.clone())).await;
        let head = respond(&service, request("HEAD", uri, identity)).await;
        assert_eq!((get.status, get.headers), (head.status, head.headers));
        assert!(head.body.is_empty() && !get.body.is_empty());
    }
}

/// No shared cache may store a response, and no browser may sniff its type.
#[tokio::test]
async fn every_response_is_private() {
    let (_root, service) = cars();
    let etag = respond(&service, request("GET", "/cars/7/photo.jpg", alice())).await.headers["etag"].clone();
    for (uri, identity, name, value, status) in [
        ("/cars/7/photo.jpg", alice(), "x-nothing", "special", 200),
        ("/cars/7/photo.jpg", alice(), "range", "bytes=0-1", 206),
        ("/cars/7/photo.jpg", alice(), "range", "bytes=0-1,4-5", 206),
        ("/cars/7/photo.jpg", alice(), "if-none-match", etag.to_str().unwrap(), 304),
        ("/cars/7/photo.jpg", alice(), "if-match", "\"x\"", 412),
        ("/cars/7/photo.jpg", alice(), "range", "bytes=100-", 416),
        ("/cars/7/photo.jpg", bob(), "x-nothing", "special", 404),
        ("/cars/../x", bob(), "x-nothing", "special", 404),
    ] {
        let mut request = request("GET", uri, identity);
        request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
        let Received { status: found, headers, .. } = respond(&service, request).await;
        assert_eq!(found, status, "{uri} {name}: {value}");
        assert_eq!(headers[CACHE_CONTROL], "private, no-cache");
        assert_eq!(headers[VARY], "cookie, authorization");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert!(!headers.contains_key("set-cookie"));
        // Only a response for the file, or a 304, has its validators.
        assert_eq!(headers.contains_key("etag"), matches!(status, 200 | 206 | 304), "{uri} {name}: {value}");
    }
}

#[tokio::test]
async fn active_content_is_an_attachment_in_a_sandbox() {
    let (root, service) = cars();
    for (name, inline) in [
        ("a.svg", false),
        ("a.html", false),
        ("a.xml", false),
        ("a.js", false),
        ("a", false),
        ("a.png", true),
        ("a.pdf", true),
    ] {
        std::fs::write(root.path().join("cars/7").join(name), "<script>alert(1)</script>").unwrap();
        for query in ["", "?download", "?a=b&download=1"] {
            let response =
                respond(&service, request("GET", &format!("/cars/7/{name}{query}"), alice())).await;
            let disposition = response.headers["content-disposition"].to_str().unwrap();
            let expected = if inline && query.is_empty() { "inline" } else { "attachment" };
            assert_eq!(disposition, format!("{expected}; filename=\"{name}\""), "{name}{query}");
            let policy =
                response.headers.get("content-security-policy").map(|policy| policy.to_str().unwrap());
            assert_eq!(policy, (!inline).then_some("sandbox; default-src 'none'"), "{name}");
        }
    }
}

#[tokio::test]
async fn unidentified_clients_are_denied() {
    struct Broken;
    impl private_media::Identify for Broken {
        fn identify<'a>(
            &'a self,
            _: &'a http::request::Parts,
        ) -> futures_core::future::BoxFuture<'a, Result<Identity, IdentifyError>> {
            Box::pin(std::future::ready(Err(IdentifyError::new("the database is down"))))
        }
    }
    let everyone = |_: &Identity, _: &private_media::MediaPath| true;
    let media = PrivateMedia::builder(MemoryStorage::new()).permissions(everyone).identify(Broken).build();
    let path = private_media::MediaPath::new("a").unwrap();
    media
        .storage()
        .save(
            &Permit::trusted(path),
            private_media::storage::content("x"),
            &private_media::SaveOptions::default(),
        )
        .await
        .unwrap();
    let response = respond(&media.service(), request("GET", "/a", alice())).await;
    assert_eq!((response.status, &response.body[..]), (StatusCode::NOT_FOUND, &b"not found\n"[..]));
}

#[tokio::test]
async fn with_debug_a_denial_is_403_with_its_reason() {
    let (root, _) = cars();
    let grants: private_media::Grants = "cars/{owner}/{*file}=owner".parse().unwrap();
    let storage = private_media::LocalStorage::open_root(root.path()).unwrap();
    let service = PrivateMedia::builder(storage).permissions(grants).debug(true).build().service();
    let denied = respond(&service, request("GET", "/cars/7/photo.jpg", bob())).await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    assert_eq!(&denied.body[..], b"forbidden: user 8 is not owner (7), by grant cars/{owner}/{*file}\n");
    assert_eq!(
        respond(&service, request("GET", "/cars/7/none", alice())).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn every_response_has_an_access_record() {
    let (_root, service) = cars();
    for (uri, identity, allowed_by, refused) in [
        ("/cars/7/photo.jpg", alice(), Some("owner, by grant cars/{owner}/{*file}"), None),
        ("/cars/7/photo.jpg", carol(), Some("staff, by grant cars/{owner}/{*file}"), None),
        ("/cars/7/none", alice(), Some("owner, by grant cars/{owner}/{*file}"), Some("not found: ")),
        ("/x", bob(), None, Some("no grant matches the path")),
        ("/a%", bob(), None, Some("the path is not percent-encoded UTF-8")),
    ] {
        let response = service.clone().call(request("GET", uri, identity.clone())).await.unwrap();
        let record = response.extensions().get::<AccessRecord>().unwrap();
        assert_eq!(record.allowed_by.as_deref(), allowed_by, "{uri}");
        assert!(record.refused.as_deref().unwrap_or("").starts_with(refused.unwrap_or("")), "{record:?}");
        assert_eq!(record.refused.is_some(), refused.is_some(), "{record:?}");
        if record.path.is_some() {
            assert_eq!(record.identity, identity);
        }
    }
}

#[tokio::test]
async fn at_strips_the_prefix_without_a_router() {
    let (root, _) = cars();
    for url in ["/private/", "/private"] {
        let service = media(root.path()).service().at(url);
        for (uri, status) in [
            ("/private/cars/7/photo.jpg", 200),
            ("/private/cars/7/photo.jpg?download", 200),
            ("/cars/7/photo.jpg", 404),
            ("/privatecars/7/photo.jpg", 404),
            ("/private", 404),
            ("/private//cars/7/photo.jpg", 404),
            ("/%70rivate/cars/7/photo.jpg", 404),
            ("/x/../private/cars/7/photo.jpg", 404),
        ] {
            assert_eq!(respond(&service, request("GET", uri, alice())).await.status, status, "{uri}");
        }
    }
}
