//! A signed-out browser is sent to the sign-in page; every other client gets the 404, and nobody learns which files exist.

use crate::django::servers::Server;
use crate::django::shop::Shop;
use crate::support::{Gateway, PASSWORD, Place, Response, base64, credentials};

type Field<'a> = (&'a str, &'a str);

const HTML: Field<'_> = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const BROWSER: [Field<'_>; 4] =
    [HTML, ("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];

/// Asks as a browser that shows a page.
fn browse(gateway: &Gateway, line: &str, fields: &[Field<'_>]) -> Response {
    gateway.fetch(line, &[&BROWSER[..], fields].concat())
}

/// The lasting parts of a response, without its location. The order of the lines depends on the part of the listener that wrote them.
fn without_location(response: &Response) -> (Vec<String>, Vec<u8>) {
    let (head, body) = response.normalized();
    let mut lines: Vec<_> =
        head.lines().filter(|line| !line.starts_with("location: ")).map(str::to_owned).collect();
    lines.sort_unstable();
    (lines, body)
}

#[test]
fn denied_and_missing_get_the_same_redirect() {
    let place = Place::new();
    place.write("private/cars/7/page.html", "<script>");
    let gateway = place.serve(&[]);
    let wrong = format!("Basic {}", base64("alice:wrong"));
    let first = browse(&gateway, "GET /private/cars/7/photo.jpg", &[]);
    for (method, path, fields) in [
        ("GET", "cars/7/photo.jpg", &[][..]),
        ("GET", "cars/7/photo.jpg", &[("range", "bytes=0-1")]),
        ("GET", "cars/7/photo.jpg", &[("if-none-match", "*")]),
        ("GET", "cars/7/photo.jpg?download&v=1", &[]),
        ("GET", "cars/7/page.html", &[]),
        ("GET", "cars/7/none.jpg", &[]),
        ("GET", "cars/7/none.jpg", &[("range", "bytes=0-1")]),
        ("GET", "cars/7", &[]),
        ("GET", "nothing/at/all", &[]),
        ("HEAD", "cars/7/photo.jpg", &[]),
        ("HEAD", "cars/7/none.jpg", &[]),
        // A credential that is recognized and invalid.
        ("GET", "cars/7/photo.jpg", &[("cookie", "private_media_session=forged")]),
        ("GET", "cars/7/none.jpg", &[("cookie", "private_media_session=forged")]),
        ("GET", "cars/7/photo.jpg", &[("authorization", &wrong)]),
        ("GET", "cars/7/none.jpg", &[("authorization", &wrong)]),
        // hyper serves a request with this header, and the fast loop the others.
        ("GET", "cars/7/photo.jpg", &[("upgrade", "nothing")]),
        ("GET", "cars/7/none.jpg", &[("upgrade", "nothing")]),
    ] {
        let response = browse(&gateway, &format!("{method} /private/{path}"), fields);
        assert_eq!(response.status, 303, "{method} {path} {fields:?}");
        let next = path.replace('?', "%3F").replace('&', "%26").replace('=', "%3D");
        let location = format!("/private/-/sign-in?next=/private/{next}");
        assert_eq!(response.header("location"), Some(location.as_str()), "{method} {path} {fields:?}");
        assert_eq!(without_location(&response), without_location(&first), "{method} {path} {fields:?}");
    }
    assert_eq!(first.header("cache-control"), Some("no-store"));
    assert_eq!(first.header("x-content-type-options"), Some("nosniff"));
    assert_eq!((first.header("set-cookie"), first.header("etag"), first.body.len()), (None, None, 0));
    let line = gateway.access_log().remove(0);
    assert_eq!(
        (&line["status"], &line["decision"], &line["user"]),
        (&303.into(), &"denied".into(), &"-".into())
    );
}

#[test]
fn every_other_client_gets_the_404() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let plain = gateway.get("/private/cars/7/photo.jpg", "nobody").normalized();
    let bob = credentials("bob")[0];
    for fields in [
        // An <img>, fetch(), curl, and a script of another page.
        &[("accept", "image/avif,image/webp,*/*;q=0.8"), ("sec-fetch-mode", "no-cors")][..],
        &[("accept", "*/*"), ("sec-fetch-mode", "cors")],
        &[("accept", "*/*")],
        &[HTML, ("sec-fetch-mode", "cors")],
        &[HTML, ("sec-fetch-dest", "image")],
        &[("sec-fetch-mode", "navigate")],
        // A user without permission, in no browser. A browser gets a page: `front_page.rs`.
        &[("accept", "*/*"), bob],
        &[HTML, ("sec-fetch-mode", "cors"), bob],
    ] {
        for path in ["cars/7/photo.jpg", "cars/7/none.jpg"] {
            let response = gateway.fetch(&format!("GET /private/{path}"), fields);
            assert_eq!(response.normalized(), plain, "{path} {fields:?}");
        }
    }
    // No file has these paths, signed in or not.
    for path in ["/private/a//b", "/private/.hidden", "/private/../x", "/private/%00", "/private/a%2fb"] {
        assert_eq!(browse(&gateway, &format!("GET {path}"), &[]).normalized(), plain, "{path}");
    }
    for (line, status) in [
        ("POST /private/cars/7/photo.jpg", 405),
        ("GET /elsewhere", 404),
        ("GET /private/-/health", 200),
        ("GET /private/-/sign-in", 200),
        ("GET /private/-/nothing", 404),
    ] {
        assert_eq!(browse(&gateway, line, &[]).status, status, "{line}");
    }
    assert_eq!(browse(&gateway, "GET /private/cars/7/photo.jpg", &credentials("alice")).status, 200);
}

/// The whole way of a person: to the file, to the sign-in page, and back.
#[test]
fn signing_in_leads_back_to_the_file() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let redirect = browse(&gateway, "GET /private/cars/7/photo.jpg?download", &[]);
    let page = browse(&gateway, &format!("GET {}", redirect.header("location").unwrap()), &[]);
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains("name=\"next\" value=\"/private/cars/7/photo.jpg?download\""), "{html}");
    let sign_in = |next: &str| {
        let form = format!("name=alice&password={}&next={next}", PASSWORD.replace(' ', "+"));
        gateway.send("POST /private/-/sign-in", &[], form.as_bytes())
    };
    let back = sign_in("/private/cars/7/photo.jpg%3Fdownload");
    assert_eq!((back.status, back.header("location")), (303, Some("/private/cars/7/photo.jpg?download")));
    let cookie = back.header("set-cookie").unwrap().split(';').next().unwrap();
    let photo = browse(&gateway, "GET /private/cars/7/photo.jpg?download", &[("cookie", cookie)]);
    assert_eq!((photo.status, photo.body), (200, b"alice's photo".to_vec()));
    // A link to the sign-in page may come from anyone.
    for next in [
        "//evil.example",
        "/%5Cevil.example",
        "https://evil.example/",
        "/%09/evil.example",
        "%2F%2Fevil.example",
    ] {
        assert_eq!(sign_in(next).header("location"), Some("/private/-/"), "{next}");
    }
}

#[test]
fn the_page_follows_the_settings() {
    let place = Place::new();
    let location = |identity: &str, more: &[&str]| {
        let gateway = place.serve(&[&["--identity", identity], more].concat());
        let response = browse(&gateway, "GET /private/cars/7/none.jpg", &[]);
        (response.status, response.header("location").map(str::to_owned))
    };
    let away = "{source = \"accounts\", login_url = \"https://sso.example.org/?a=b\", login_return = \"rd\", login_origin = \"https://media.example.org\"}";
    for (identity, more, expected) in [
        ("accounts", &[][..], (303, Some("/private/-/sign-in?next=/private/cars/7/none.jpg"))),
        (
            "{source = \"accounts\", login_url = \"/login/\", login_return = \"to\"}",
            &[],
            (303, Some("/login/?to=/private/cars/7/none.jpg")),
        ),
        (
            away,
            &[],
            (
                303,
                Some("https://sso.example.org/?a=b&rd=https%3A//media.example.org/private/cars/7/none.jpg"),
            ),
        ),
        ("{source = \"accounts\", login_url = \"none\"}", &[], (404, None)),
        ("accounts", &["--debug"], (403, None)),
        ("accounts", &["--mode", "nginx"], (303, Some("/private/-/sign-in?next=/private/cars/7/none.jpg"))),
    ] {
        let (status, found) = location(identity, more);
        assert_eq!((status, found.as_deref()), expected, "{identity} {more:?}");
    }
    let url = ["--url", "/files/"];
    let gateway = place.serve(&url);
    let response = browse(&gateway, "GET /files/cars/7/a%20%C3%A4.jpg", &[]);
    let next = "/files/-/sign-in?next=/files/cars/7/a%2520%25C3%25A4.jpg";
    assert_eq!(response.header("location"), Some(next));
}

/// A source that cannot answer has signed nobody out.
#[test]
fn an_outage_is_no_reason_to_sign_in() {
    let Some(shop) = Shop::open("5.2", Some(Server::Sqlite), "db") else { return };
    let identity = format!("{{source = \"django\", database = \"{}\", login_url = \"/login/\"}}", shop.url);
    let gateway = shop.place.serve(&["--identity", &identity, "--cache-ttl", "0s"]);
    let browse = |cookie: &str| browse(&gateway, "GET /private/cars/7/photo.jpg", &[("cookie", cookie)]);
    let cookie = "sessionid=0123456789abcdef0123456789abcdef";
    assert_eq!(browse(cookie).header("location"), Some("/login/?next=/private/cars/7/photo.jpg"));
    std::fs::rename(shop.place.path("db.sqlite3"), shop.place.path("away.sqlite3")).unwrap();
    let plain = gateway.get("/private/cars/7/photo.jpg", "nobody").normalized();
    assert_eq!(browse(cookie).normalized(), plain);
    assert_eq!(browse("theme=dark").status, 303, "without a credential, no source is asked");
}
