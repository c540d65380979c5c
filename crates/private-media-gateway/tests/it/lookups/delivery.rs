//! Files are sent under the name and the type of their row.

use super::Application;
use crate::django::servers::Server;
use crate::fronts::printed;
use crate::fronts::server::{Front, FrontServer, Installed as _, free_address, open_to_all};
use crate::support::{Response, credentials, send};

const TABLE: &str =
    "create table files (path varchar(255), owner_id bigint, name varchar(255), type varchar(255));
    insert into files values ('x', 7, 'photo.jpg', 'image/jpeg')";
const CONFIGURATION: &str = "
[[lookup]]
path = \"files/{key}\"
database = \"{database}\"
cache = \"0s\"
query = \"select owner_id as owner, name, type as content_type from files where path = {key}\"

[[grant]]
path = \"files/{key}\"
to = [\"owner\", \"staff\"]
";

fn application() -> Application {
    let application = Application::new(Some(Server::Sqlite), TABLE).unwrap();
    application.place.write("private/files/x", "the content");
    application.configure(CONFIGURATION);
    application
}

/// Name and type of a row, and the headers that they make.
const ROWS: [(&str, &str, &str); 9] = [
    ("'photo.jpg', 'image/jpeg'", "image/jpeg", "inline; filename=\"photo.jpg\""),
    ("'other.jpg', 'image/jpeg'", "image/jpeg", "inline; filename=\"other.jpg\""),
    ("'other.jpg', 'image/png'", "image/png", "inline; filename=\"other.jpg\""),
    ("'notes.txt', null", "text/plain; charset=utf-8", "inline; filename=\"notes.txt\""),
    ("'page.html', 'text/html'", "text/html", "attachment; filename=\"page.html\""),
    ("'photo.jpg', 'text/html'", "text/html", "attachment; filename=\"photo.jpg\""),
    (
        "'photo.jpg', 'image/svg+xml; charset=utf-8'",
        "image/svg+xml; charset=utf-8",
        "attachment; filename=\"photo.jpg\"",
    ),
    (
        "'../a\r\nx: y\"é.pdf', null",
        "application/pdf",
        "inline; filename=\"ax: y__.pdf\"; filename*=UTF-8''ax%3A%20y%22%C3%A9.pdf",
    ),
    ("null, null", "application/octet-stream", "attachment; filename=\"x\""),
];

fn set(application: &Application, row: &str) {
    application.execute(&format!("delete from files; insert into files values ('x', 7, {row})"));
}

/// The gateway caches the file and its headers; the row is that of each request.
#[test]
fn a_changed_row_changes_the_headers() {
    let application = application();
    let gateway = application.serve(&["--revalidate-after", "1h"]);
    let get = |headers: &[(&str, &str)]| {
        gateway.fetch("GET /private/files/x", &[headers, &credentials("alice")].concat())
    };
    let mut before = None;
    for (row, content_type, disposition) in ROWS {
        set(&application, row);
        let etag = before.take().unwrap_or("\"none\"".to_owned());
        let response = get(&[("if-none-match", &etag)]);
        assert_eq!(
            (response.status, &*response.body),
            (200, &b"the content"[..]),
            "{row}: another name is no 304"
        );
        for response in [response, get(&[])] {
            assert_eq!(response.header("content-type"), Some(content_type), "{row}");
            assert_eq!(response.header("content-disposition"), Some(disposition), "{row}");
            let is_sandboxed = response.header("content-security-policy").is_some();
            assert_eq!(is_sandboxed, disposition.starts_with("attachment"), "{row}");
            before = response.header("etag").map(str::to_owned);
        }
        let etag = before.clone().unwrap();
        assert_eq!(get(&[("if-none-match", &etag)]).status, 304, "{row}");
        let part = get(&[("range", "bytes=4-6"), ("if-range", &etag)]);
        assert_eq!((part.status, &*part.body), (206, &b"con"[..]), "{row}");
        assert_eq!(part.header("content-disposition"), Some(disposition), "{row}");
        let download = gateway.get("/private/files/x?download", "alice");
        assert!(download.header("content-disposition").unwrap().starts_with("attachment; "), "{row}");
    }
    set(&application, "'photo.jpg', 'no type'");
    assert_eq!(get(&[]).status, 404);
    assert!(gateway.logs("the column content_type: invalid media type"), "{}", gateway.log());
}

fn behind(kind: FrontServer, mode: &str) {
    if !kind.is_installed() {
        return;
    }
    let application = application();
    let gateway = application.serve(&["--mode", mode]);
    open_to_all(&application.place.path("private"));
    // The front server passes through the place.
    std::fs::set_permissions(application.place.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let address = free_address();
    let blocks = printed(&application.place, kind, address, gateway.address, &["--mode", mode]);
    let front = Front::start(kind, address, &blocks);
    for (row, content_type, disposition) in ROWS {
        set(&application, row);
        let get = |user: &str, headers: &[(&str, &str)]| {
            let mut bytes = Vec::new();
            let headers = [headers, &credentials(user)].concat();
            let mut stream = send(front.address, "GET /private/files/x", &headers, b"");
            std::io::Read::read_to_end(&mut stream, &mut bytes).unwrap();
            Response::parse(&bytes)
        };
        let response = get("alice", &[]);
        assert_eq!((response.status, &*response.body), (200, &b"the content"[..]), "{row}: {}", front.log());
        let part = get("alice", &[("range", "bytes=4-6")]);
        assert_eq!((part.status, &*part.body), (206, &b"con"[..]), "{row}");
        for response in [response, part] {
            assert_eq!(response.header("content-type"), Some(content_type), "{row}");
            assert_eq!(response.header("content-disposition"), Some(disposition), "{row}");
            let is_sandboxed = response.header("content-security-policy").is_some();
            assert_eq!(is_sandboxed, disposition.starts_with("attachment"), "{row}");
        }
        assert_eq!(get("bob", &[]).status, 404);
    }
}

#[test]
fn nginx_sends_the_name_and_type_of_the_row() {
    behind(FrontServer::Nginx, "nginx");
}

#[test]
fn apache_sends_the_name_and_type_of_the_row() {
    behind(FrontServer::Apache, "apache");
}
