//! Lookups decide whose file it is, and under which name and type it is sent.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE};
use private_media::delivery::{ContentType, NginxXAccelRedirect};
use private_media::lookup::{Attributes, LookupError};
use private_media::permission::{Delete, Grants, Template};
use private_media::storage::CacheOptions;
use private_media::{
    AccessRecord, Action, Identity, LocalStorage, MediaPath, MediaService, Permit, PrivateMedia, User,
};
use tower_service::Service;

use crate::support::{Received, Root, alice, bob, carol, path, request, respond};

/// What a lookup returns next.
type Row = Arc<Mutex<Result<Attributes, LookupError>>>;

/// A root with one file, and its row.
struct Blobs {
    root: Root,
    row: Row,
}

impl Blobs {
    fn new() -> Self {
        let root = Root::new();
        std::fs::create_dir(root.path.join("blobs")).unwrap();
        std::fs::write(root.path.join("blobs/x7Fq2Ab"), "the content").unwrap();
        Self { root, row: Arc::new(Mutex::new(Err(LookupError::NotFound))) }
    }

    fn media(&self, build: impl FnOnce(private_media::Builder) -> private_media::Builder) -> PrivateMedia {
        let row = Arc::clone(&self.row);
        let lookup = move |_: &MediaPath| row.lock().unwrap().clone();
        let template: Template = "blobs/{key}".parse().unwrap();
        let storage = LocalStorage::open_root(&self.root.path).unwrap();
        let storage = storage.cache(CacheOptions::new(Duration::from_secs(60)));
        let media = PrivateMedia::builder(storage)
            .lookup(lookup)
            .permissions(Grants::parse("blobs/{key}=owner,group,staff", &[template]).unwrap());
        build(media).build()
    }

    fn service(&self) -> MediaService {
        self.media(|builder| builder).service()
    }

    fn set(&self, attributes: Attributes) {
        *self.row.lock().unwrap() = Ok(attributes);
    }

    fn fail(&self, error: LookupError) {
        *self.row.lock().unwrap() = Err(error);
    }
}

const BLOB: &str = "/blobs/x7Fq2Ab";

async fn get(service: &MediaService, identity: Identity) -> Received {
    respond(service, request("GET", BLOB, identity)).await
}

fn dave() -> Identity {
    User::new("10").group("sales").into()
}

#[tokio::test]
async fn attributes_decide_who_reads() {
    let (blobs, hour) = (Blobs::new(), Duration::from_secs(3600));
    let (past, future) = (SystemTime::now() - hour, SystemTime::now() + hour);
    let service = blobs.service();
    let none = Attributes::new;
    for (attributes, readers) in [
        (none().owner("7"), "alice carol"),
        (none().owner("8").group("sales"), "bob carol dave"),
        (none().without_owner(), "carol"),
        (none(), "carol"),
        (none().public(true), "alice bob carol dave nobody"),
        (none().owner("7").not_before(past).not_after(future), "alice carol"),
        (none().owner("7").not_before(future), ""),
        (none().owner("7").public(true).not_after(past), ""),
    ] {
        blobs.set(attributes.clone());
        let people = [
            ("alice", alice()),
            ("bob", bob()),
            ("carol", carol()),
            ("dave", dave()),
            ("nobody", Identity::Anonymous),
        ];
        for (name, identity) in people {
            let response = get(&service, identity).await;
            let expected = if readers.split(' ').any(|reader| reader == name) { 200 } else { 404 };
            assert_eq!(response.status.as_u16(), expected, "{name} {attributes:?}");
        }
    }
}

#[tokio::test]
async fn without_a_row_or_a_database_everything_is_not_found() {
    let blobs = Blobs::new();
    let (service, debugging) = (blobs.service(), blobs.media(|media| media.debug(true)).service());
    blobs.set(Attributes::new().owner("8"));
    let denied = get(&service, alice()).await;
    for (error, debug_status, reason) in [
        (LookupError::NotFound, StatusCode::NOT_FOUND, "the lookup has no such file"),
        (LookupError::failed("away"), StatusCode::FORBIDDEN, "the lookup failed: away"),
    ] {
        blobs.fail(error);
        for identity in [alice(), carol(), Identity::Anonymous] {
            assert_eq!(get(&service, identity).await, denied);
        }
        let response = debugging.clone().call(request("GET", BLOB, carol())).await.unwrap();
        assert_eq!(response.status(), debug_status);
        let record = response.extensions().get::<AccessRecord>().unwrap();
        assert_eq!(record.refused.as_deref(), Some(reason));
    }
}

#[tokio::test]
async fn the_first_lookup_that_covers_a_path_decides() {
    struct First;

    impl private_media::lookup::Lookup for First {
        fn covers(&self, path: &MediaPath) -> bool {
            path.as_str().starts_with("blobs/")
        }

        fn look_up<'a>(
            &'a self,
            _: &'a MediaPath,
        ) -> futures_util::future::BoxFuture<'a, Result<Attributes, LookupError>> {
            Box::pin(std::future::ready(Ok(Attributes::new().owner("7"))))
        }
    }

    let blobs = Blobs::new();
    blobs.set(Attributes::new().owner("8"));
    std::fs::write(blobs.root.path.join("other"), "x").unwrap();
    let row = Arc::clone(&blobs.row);
    let storage = LocalStorage::open_root(&blobs.root.path).unwrap();
    let all: Template = "{*file}".parse().unwrap();
    let media = PrivateMedia::builder(storage)
        .lookup(First)
        .lookup(move |_: &MediaPath| row.lock().unwrap().clone())
        .permissions(Grants::parse("{*file}=owner", &[all]).unwrap())
        .build();
    let service = media.service();
    for (uri, owner) in [(BLOB, "7"), ("/other", "8")] {
        for id in ["7", "8"] {
            let response = respond(&service, request("GET", uri, User::new(id).into())).await;
            assert_eq!(response.status == StatusCode::OK, id == owner, "{uri} {id}");
        }
    }
}

/// Name and type of a row are headers of the response, whatever was prepared for the cached file before.
#[tokio::test]
async fn a_changed_name_or_type_is_sent_at_once() {
    let blobs = Blobs::new();
    let service = blobs.service();
    let png = || ContentType::parse("image/png").unwrap();
    let html = ContentType::parse("text/html").unwrap();
    let unknown = "application/octet-stream";
    let own = || Attributes::new().owner("7");
    let mut etags = vec![];
    for (attributes, content_type, disposition, sandboxed) in [
        (own(), unknown, "attachment; filename=\"x7Fq2Ab\"", true),
        (own().name("photo.jpg"), "image/jpeg", "inline; filename=\"photo.jpg\"", false),
        (own().name("other.jpg"), "image/jpeg", "inline; filename=\"other.jpg\"", false),
        (own().name("photo.jpg").content_type(png()), "image/png", "inline; filename=\"photo.jpg\"", false),
        (own().content_type(png()), "image/png", "inline; filename=\"x7Fq2Ab\"", false),
        (own().name("photo.jpg").content_type(html), "text/html", "attachment; filename=\"photo.jpg\"", true),
        (own().name("a\r\nx-a: b\0.svg"), "image/svg+xml", "attachment; filename=\"ax-a: b.svg\"", true),
        (own().name("../../etc/passwd"), unknown, "attachment; filename=\"passwd\"", true),
    ] {
        blobs.set(attributes);
        // The second response is made of what the first one has prepared.
        for _ in 0..2 {
            let response = get(&service, alice()).await;
            assert_eq!(response.body, "the content");
            assert_eq!(response.headers[CONTENT_TYPE], content_type);
            assert_eq!(response.headers[CONTENT_DISPOSITION], disposition);
            assert_eq!(response.headers.contains_key("content-security-policy"), sandboxed, "{disposition}");
            assert!(!response.headers.contains_key("x-a"));
            etags.push(response.headers[ETAG].clone());
        }
    }
    for (index, etag) in etags.iter().enumerate() {
        let first = etags.iter().position(|other| other == etag).unwrap();
        assert_eq!(first, index - index % 2, "each name and type has an entity tag of its own: {etags:?}");
    }
}

#[tokio::test]
async fn conditions_and_ranges_are_about_the_present_name() {
    let blobs = Blobs::new();
    let service = blobs.service();
    blobs.set(Attributes::new().owner("7").name("draft.pdf"));
    let old = get(&service, alice()).await.headers[ETAG].clone();
    let conditional = |name: http::HeaderName| {
        let mut request = request("GET", BLOB, alice());
        request.headers_mut().insert(name, old.clone());
        request.headers_mut().insert(RANGE, "bytes=4-6".parse().unwrap());
        request
    };
    let response = respond(&service, conditional(IF_NONE_MATCH)).await;
    assert_eq!((response.status, &response.headers[ETAG]), (StatusCode::NOT_MODIFIED, &old));
    let response = respond(&service, conditional(IF_RANGE)).await;
    assert_eq!((response.status, &*response.body), (StatusCode::PARTIAL_CONTENT, &b"con"[..]));
    blobs.set(Attributes::new().owner("7").name("final.pdf"));
    let response = respond(&service, conditional(IF_NONE_MATCH)).await;
    assert_eq!(response.status, StatusCode::PARTIAL_CONTENT, "a 304 would leave the old name to the client");
    assert_eq!(response.headers[CONTENT_DISPOSITION], "inline; filename=\"final.pdf\"");
    let response = respond(&service, conditional(IF_RANGE)).await;
    assert_eq!((response.status, &*response.body), (StatusCode::OK, &b"the content"[..]));
    blobs.set(Attributes::new().owner("8").name("draft.pdf"));
    let response = respond(&service, conditional(IF_NONE_MATCH)).await;
    assert_eq!(response.status, StatusCode::NOT_FOUND, "conditions come after the permission");
}

#[tokio::test]
async fn a_hand_off_has_the_name_and_type() {
    let blobs = Blobs::new();
    // Without a cache: bytes in memory have no name for a front server.
    let storage = LocalStorage::open_root(&blobs.root.path).unwrap();
    let row = Arc::clone(&blobs.row);
    let service = PrivateMedia::builder(storage)
        .lookup(move |_: &MediaPath| row.lock().unwrap().clone())
        .permissions(Grants::parse("{*file}=owner", &["{*file}".parse().unwrap()]).unwrap())
        .delivery(NginxXAccelRedirect::new("/internal/"))
        .build()
        .service();
    for name in ["one.jpg", "two.html"] {
        blobs.set(Attributes::new().owner("7").name(name));
        let response = get(&service, alice()).await;
        assert_eq!(response.headers["x-accel-redirect"], "/internal/blobs/x7Fq2Ab");
        assert!(response.headers[CONTENT_DISPOSITION].to_str().unwrap().ends_with(&format!("\"{name}\"")));
        assert_eq!(response.headers.contains_key("content-security-policy"), name == "two.html");
    }
}

#[tokio::test]
async fn permits_carry_the_attributes() {
    let blobs = Blobs::new();
    let media = blobs.media(|media| media);
    blobs.set(Attributes::new().owner("7").name("photo.jpg"));
    let permit: Permit<private_media::permission::Read> =
        media.permit(alice(), path("blobs/x7Fq2Ab")).await.unwrap();
    assert_eq!(permit.attributes().unwrap().file_name(), Some("photo.jpg"));
    assert_eq!(permit.decision().reason(), "owner, by grant blobs/{key}");
    assert!(media.open(bob(), path("blobs/x7Fq2Ab")).await.is_err());
    let denied = media.permit::<Delete>(alice(), path("blobs/x7Fq2Ab")).await.unwrap_err();
    assert!(denied.decision().reason().contains("permission to delete is never granted"), "{denied}");
    blobs.set(Attributes::new().public(true));
    let decision = media.decide(&Identity::Anonymous, Action::Read, &path("blobs/x7Fq2Ab")).await;
    assert_eq!(decision.to_string(), "allowed: public, by its lookup");
    assert!(
        media.permit::<Delete>(alice(), path("blobs/x7Fq2Ab")).await.is_err(),
        "public is about reading alone"
    );
    blobs.fail(LookupError::failed("away"));
    let decision = media.decide(&carol(), Action::Read, &path("blobs/x7Fq2Ab")).await;
    assert_eq!(decision.to_string(), "denied: the lookup failed: away");
}
