//! The front page, and the page of a denied or missing file. Existing and missing files stay one response.

use crate::support::{Gateway, PASSWORD, Place, Response, credentials};

const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");
/// The smallest SVG.
const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\"/>";

fn text(response: Response) -> String {
    String::from_utf8(response.body).unwrap()
}

/// Signs in with the form, and returns where it leads and the session cookie.
fn sign_in(gateway: &Gateway, name: &str, more: &str) -> (String, String) {
    let form = format!("name={name}&password={}{more}", PASSWORD.replace(' ', "+"));
    let response = gateway.send("POST /private/-/sign-in", &[], form.as_bytes());
    assert_eq!(response.status, 303);
    let cookie = response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    (response.header("location").unwrap().to_owned(), cookie)
}

#[test]
fn a_sign_in_leads_to_the_front_page() {
    let place = Place::new();
    let gateway = place.serve(&[
        "--grant",
        "cars/{owner}/{*file}=owner,staff",
        "--grant",
        "shared/{*file}=authenticated",
    ]);
    for line in ["GET /", "HEAD /"] {
        let root = gateway.fetch(line, &[]);
        assert_eq!((root.status, root.header("location")), (303, Some("/private/-/")), "{line}");
    }
    let (location, cookie) = sign_in(&gateway, "alice", "");
    assert_eq!(location, "/private/-/");
    let front = gateway.fetch(&format!("GET {location}"), &[("cookie", &cookie)]);
    assert_eq!((front.status, front.header("cache-control")), (200, Some("no-store")));
    let policy = front.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    let page = text(front);
    for part in [
        "<strong>alice</strong>",
        "id 7",
        "/private/cars/7/",
        "/private/shared/",
        "action=\"/private/-/sign-out\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("staff") && !page.contains("<script"), "{page}");
    // Staff see what staff may read.
    let (_, carol) = sign_in(&gateway, "carol", "");
    let page = text(gateway.fetch("GET /private/-/", &[("cookie", &carol)]));
    assert!(page.contains("/private/cars/<") && page.contains("staff"), "{page}");
    // Signing out leads back, and ends the session.
    let out = gateway.send("POST /private/-/sign-out", &[("cookie", &cookie)], b"next=/private/-/");
    assert_eq!((out.status, out.header("location")), (303, Some("/private/-/")));
    let page = text(gateway.fetch("GET /private/-/", &[("cookie", &cookie)]));
    assert!(page.contains("not signed in") && !page.contains("alice"), "{page}");
    assert!(page.contains("href=\"/private/-/sign-in?next=/private/-/\""), "{page}");
    let post = gateway.send("POST /private/-/", &[], b"x=y");
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    let head = gateway.fetch("HEAD /private/-/", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[test]
fn the_front_page_shadows_no_file() {
    let place = Place::new();
    place.write("private/-x", "a file");
    let gateway = place.serve(&["--url", "/", "--grant", "{*file}=everyone"]);
    let root = gateway.fetch("GET /", &[]);
    assert_eq!((root.status, root.header("location")), (303, Some("/-/")));
    assert!(text(gateway.fetch("GET /-/", &[])).contains("not signed in"));
    assert_eq!(text(gateway.fetch("GET /-x", &[])), "a file");
    assert_eq!(text(gateway.fetch("GET /cars/7/photo.jpg", &[])), "alice's photo");
}

#[test]
fn the_page_of_another_application_is_the_way_to_sign_in() {
    let place = Place::new();
    for (identity, link) in [
        ("{source = \"accounts\", login_url = \"/login/\"}", Some("href=\"/login/?next=/private/-/\"")),
        ("{source = \"accounts\", login_url = \"none\"}", None),
    ] {
        let gateway = place.serve(&["--identity", identity]);
        let page = text(gateway.fetch("GET /private/-/", &[]));
        match link {
            Some(link) => assert!(page.contains(link), "{page}"),
            None => assert!(!page.contains("href="), "{page}"),
        }
    }
}

#[test]
fn pages_have_the_name_and_the_logo_of_the_site() {
    let place = Place::new();
    place.write("logo.svg", SVG);
    place.write("private-media.toml", "[site]\nname = \"Cars & <Co>\"\nlogo = \"logo.svg\"\n[[grant]]\npath = \"{*file}\"\nto = [\"staff\"]\n[[identity]]\nsource = \"accounts\"\naccounts = \"accounts.toml\"\n");
    let gateway = Gateway::start(&place.path(""), &["serve", "--listen", "127.0.0.1:0"]);
    let (_, bob) = sign_in(&gateway, "bob", "");
    let browser = [HTML, NAVIGATE, ("cookie", bob.as_str())];
    for (line, fields) in [
        ("GET /private/-/", &[][..]),
        ("GET /private/-/", &[("cookie", bob.as_str())]),
        ("GET /private/-/sign-in", &[]),
        ("GET /private/-/sign-out", &[]),
        ("GET /private/cars/7/photo.jpg", &browser),
    ] {
        let page = text(gateway.fetch(line, fields));
        assert!(
            page.contains("Cars &amp; &lt;Co&gt;</p>") && page.contains("src=\"data:image/svg+xml;base64,"),
            "{line}: {page}"
        );
    }
    for (name, content, problem) in [
        ("none.svg", None, "cannot be read"),
        ("page.html", Some("<!doctype html>".to_owned()), "PNG, JPEG, WebP or SVG"),
        ("large.svg", Some(format!("{SVG}{}", " ".repeat(64 << 10))), "64 KiB"),
    ] {
        if let Some(content) = content {
            place.write(name, content);
        }
        let line = place.refusal(&["serve", "--listen", "127.0.0.1:0", "--site-logo", name]);
        assert!(line.contains(&format!("--site-logo \"{name}\"")) && line.contains(problem), "{line}");
    }
}

/// The lasting parts of a response, in which the path of the request is replaced.
fn without_path(response: &Response, path: &str) -> (u16, Vec<String>, String) {
    let (head, body) = response.normalized();
    let replaced = |text: &str| text.replace(path, "PATH");
    // The order of the lines depends on the part of the listener that wrote them, and the length on the path.
    let mut lines: Vec<_> =
        head.lines().filter(|line| !line.starts_with("content-length: ")).map(replaced).collect();
    lines.sort_unstable();
    (response.status, lines, replaced(&String::from_utf8(body).unwrap()))
}

/// For each kind of client, all paths that could be a file get one response, and all other paths another one.
#[test]
fn existing_and_missing_are_one_response_to_each_client() {
    type Headers<'a> = &'a [(&'a str, &'a str)];

    let place = Place::new();
    place.write("private/cars/7/.hidden", "x");
    place.write("private/cars/7/page.html", "<script>");
    let gateway = place.serve(&[]);
    let (_, bob) = sign_in(&gateway, "bob", "");
    let session = ("cookie", bob.as_str());
    let basic = credentials("bob")[0];
    let clients: [(&str, Headers<'_>, u16, &str); 6] = [
        ("signed-out browser", &[HTML, NAVIGATE], 303, ""),
        ("signed-out curl", &[("accept", "*/*")], 404, "not found\n"),
        ("signed-out image", &[("accept", "image/*"), ("sec-fetch-mode", "no-cors")], 404, "not found\n"),
        ("stranger in a browser", &[HTML, NAVIGATE, session], 404, "Not found, or not yours"),
        ("stranger with curl", &[("accept", "*/*"), basic], 404, "not found\n"),
        ("stranger's script", &[HTML, ("sec-fetch-mode", "cors"), session], 404, "not found\n"),
    ];
    let conditions: [Headers<'_>; 5] = [
        &[],
        &[("range", "bytes=0-1")],
        &[("if-none-match", "*")],
        &[("if-modified-since", "Thu, 01 Jan 2099 00:00:00 GMT")],
        // hyper serves a request with this header, and the fast loop the others.
        &[("upgrade", "nothing")],
    ];
    // A file, one that a browser could run, a missing one, a folder, a missing folder, below a file, and another owner.
    let files = [
        "cars/7/photo.jpg",
        "cars/7/page.html",
        "cars/7/none.jpg",
        "cars/7",
        "cars/9",
        "cars/7/photo.jpg/x",
        "nothing.bin",
        // A folder by its syntax, which the front page may have shown, existing or not.
        "cars/7/",
        "cars/9/",
    ];
    let forbidden = ["cars/7/.hidden", "cars/7/.none", "cars//7/photo.jpg", "cars/7/%2e%2e/x", "a%00"];
    for (client, fields, status, body) in clients {
        for method in ["GET", "HEAD"] {
            let mut first = None;
            for (path, condition) in
                files.iter().flat_map(|path| conditions.iter().map(move |condition| (path, condition)))
            {
                let response =
                    gateway.fetch(&format!("{method} /private/{path}"), &[fields, *condition].concat());
                assert_eq!(response.status, status, "{client}: {method} {path} {condition:?}");
                let found = without_path(&response, path.trim_end_matches('/'));
                assert!(method == "HEAD" || found.2.contains(body), "{client}: {found:?}");
                let first = first.get_or_insert_with(|| found.clone());
                assert_eq!(&found, first, "{client}: {method} {path} {condition:?}");
            }
            // These are no files by their syntax alone, so there is nothing to sign in for.
            let first = gateway.fetch(&format!("{method} /private/..."), &[]).normalized();
            for path in forbidden {
                let response = gateway.fetch(&format!("{method} /private/{path}"), fields);
                assert_eq!(
                    (response.status, response.normalized()),
                    (404, first.clone()),
                    "{client}: {method} {path}"
                );
            }
        }
    }
}

#[test]
fn the_private_url_itself_leads_to_the_front_page() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    for path in ["/", "/private", "/private/"] {
        let response = gateway.fetch(&format!("GET {path}"), &[HTML, NAVIGATE]);
        assert_eq!((response.status, response.header("location")), (303, Some("/private/-/")), "{path}");
    }
    // The log says what is wrong with a URL that lacks the prefix.
    assert_eq!(gateway.fetch("GET /cars/7/photo.jpg", &[]).status, 404);
    let log = gateway.access_log();
    let line = log.iter().find(|line| line["path"] == "/cars/7/photo.jpg").unwrap();
    assert_eq!(
        (&line["decision"], &line["refused"]),
        (&"denied".into(), &"the path is outside /private/".into())
    );
}

#[test]
fn the_page_of_denied_files_offers_another_sign_in() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let (_, bob) = sign_in(&gateway, "bob", "");
    let browser = [HTML, NAVIGATE, ("cookie", bob.as_str())];
    let denied = gateway.fetch("GET /private/cars/7/photo.jpg?a=%22", &browser);
    assert_eq!((denied.status, denied.header("cache-control")), (404, Some("no-store")));
    let page = text(denied);
    assert!(page.contains("<strong>bob</strong>"), "{page}");
    let next = page.split_once("name=\"next\" value=\"").unwrap().1.split_once('"').unwrap().0;
    assert_eq!(next, "/private/-/sign-in?next=/private/cars/7/photo.jpg%3Fa%3D%2522");
    // The form ends bob's session, and leads to the sign-in page and from there to the file.
    let form = format!("next={}", next.replace('%', "%25").replace('?', "%3F").replace('=', "%3D"));
    let out = gateway.send("POST /private/-/sign-out", &[("cookie", &bob)], form.as_bytes());
    assert_eq!((out.status, out.header("location")), (303, Some(next)));
    let form = text(gateway.fetch(&format!("GET {next}"), &[]));
    assert!(form.contains("value=\"/private/cars/7/photo.jpg?a=%22\""), "{form}");
    assert!(text(gateway.fetch("GET /private/-/", &[("cookie", &bob)])).contains("not signed in"));
    // The log has the decision of a file.
    let log = gateway.access_log();
    let line = log.iter().find(|line| line["status"] == 404).unwrap();
    assert_eq!((&line["decision"], &line["user"]), (&"denied".into(), &"8".into()), "{line}");
    // With `debug`, the reason is more useful.
    let gateway = place.serve(&["--debug"]);
    let (_, bob) = sign_in(&gateway, "bob", "");
    let denied = gateway.fetch("GET /private/cars/7/photo.jpg", &[HTML, NAVIGATE, ("cookie", &bob)]);
    assert_eq!(denied.status, 403);
    assert!(text(denied).starts_with("forbidden: bob "));
}

#[test]
fn a_wrong_password_keeps_the_name() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let attempt = |name: &str| {
        text(gateway.send("POST /private/-/sign-in", &[], format!("name={name}&password=x").as_bytes()))
    };
    let page = attempt("%3Cal%22ice%3E");
    assert!(page.contains("name=\"name\" value=\"&lt;al&quot;ice&gt;\""), "{page}");
    let [name, password] = ["name", "password"]
        .map(|id| page.split_once(&format!("<input id=\"{id}\"")).unwrap().1.split_once('>').unwrap().0);
    for input in [name, password] {
        assert!(input.contains("aria-describedby=\"problem\" aria-invalid=\"true\""), "{input}");
    }
    assert!(!name.contains("autofocus") && password.contains("autofocus"), "{page}");
    assert!(
        page.contains("<p role=\"alert\" id=\"problem\">The name or the password is wrong.</p>"),
        "{page}"
    );
    let page = attempt(&"a".repeat(257));
    assert!(page.contains("name=\"name\" value=\"\"") && !page.contains("aaa"), "{page}");
    let page = text(gateway.fetch("GET /private/-/sign-in", &[]));
    assert!(!page.contains("role=\"alert\"") && !page.contains("aria-describedby"), "{page}");
}
