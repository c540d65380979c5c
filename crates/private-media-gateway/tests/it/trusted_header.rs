//! Users that a front server names in a header: only its header counts, and only if it comes from there.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::fronts::server::{Front, FrontServer, Installed, free_address, open_to_all};
use crate::support::{Gateway, Place, Response, send};
use crate::unix_socket::UnixGateway;

const GRANTS: [&str; 4] = [
    "cars/{owner}/{*file}=owner,staff",
    "shared/{*file}=authenticated",
    "sales/{*file}=group:sales",
    "public/{*file}=everyone",
];
const FILES: [&str; 7] = [
    "cars/7/photo.jpg",
    "cars/8/photo.jpg",
    "cars/a@example.org/photo.jpg",
    "shared/photo.jpg",
    "sales/photo.jpg",
    "public/photo.jpg",
    "other/photo.jpg",
];

fn place() -> Place {
    Place::with_files(&FILES)
}

/// The inline table of a source that trusts these peers.
fn source(from: &str) -> String {
    format!(
        "{{source=\"header\", header=\"Remote-User\", name_header=\"Remote-Name\", groups_header=\"Remote-Groups\", \
         staff_group=\"admins\", from=[{from}]}}"
    )
}

fn arguments(source: &str) -> Vec<&str> {
    let grants = GRANTS.iter().flat_map(|grant| ["--grant", grant]);
    ["--identity", source].into_iter().chain(grants).collect()
}

fn serve(place: &Place, source: &str, listen: &str) -> Gateway {
    Gateway::start(&place.path(""), &[&["serve", "--listen", listen], &*arguments(source)].concat())
}

type Field = (&'static str, &'static str);

/// Headers of a request, and the files that they allow: those of the id, of signed-in users, of sales, and of staff.
fn headers() -> Vec<(Vec<Field>, &'static [&'static str])> {
    const NOBODY: &[&str] = &["public/photo.jpg"];
    const SEVEN: &[&str] = &["cars/7/photo.jpg", "shared/photo.jpg", "public/photo.jpg"];
    const OTHER: &[&str] = &["shared/photo.jpg", "public/photo.jpg"];
    const SALES: &[&str] = &["cars/7/photo.jpg", "shared/photo.jpg", "sales/photo.jpg", "public/photo.jpg"];
    const MAIL: &[&str] = &["cars/a@example.org/photo.jpg", "shared/photo.jpg", "public/photo.jpg"];
    const STAFF: &[&str] = &[
        "cars/7/photo.jpg",
        "cars/8/photo.jpg",
        "cars/a@example.org/photo.jpg",
        "shared/photo.jpg",
        "public/photo.jpg",
    ];
    vec![
        (vec![], NOBODY),
        (vec![("remote-user", "")], NOBODY),
        (vec![("remote-user", "   ")], NOBODY),
        (vec![("remote-user", "7")], SEVEN),
        (vec![("Remote-User", " 7 ")], SEVEN),
        (vec![("remote-user", "7"), ("remote-name", "alice"), ("remote-groups", "")], SEVEN),
        (vec![("remote-user", "77")], OTHER),
        (vec![("remote-user", "7/")], OTHER),
        (vec![("remote-user", "{owner}")], OTHER),
        (vec![("remote-user", "a@example.org")], MAIL),
        (vec![("remote-user", "7"), ("remote-groups", "press, sales")], SALES),
        (vec![("remote-user", "7"), ("remote-groups", "press"), ("remote-groups", "sales")], SALES),
        (vec![("remote-user", "7"), ("remote-groups", "salesmen,xsales,Sales")], SEVEN),
        (vec![("remote-user", "10"), ("remote-groups", "admins")], STAFF),
        (vec![("remote-user", "10"), ("remote-groups", "admins2")], OTHER),
        (vec![("remote-groups", "admins")], NOBODY),
        (vec![("remote-user", ""), ("remote-groups", "admins")], NOBODY),
        // Ambiguous or malformed.
        (vec![("remote-user", "7"), ("remote-user", "8")], NOBODY),
        (vec![("remote-user", "7"), ("remote-user", "7")], NOBODY),
        (vec![("remote-user", "7"), ("remote-user", "")], NOBODY),
        (vec![("remote-user", "7\t8")], NOBODY),
        (vec![("remote-user", "7"), ("remote-name", "a"), ("remote-name", "b")], NOBODY),
        // Other names.
        (vec![("x-remote-user", "7"), ("remote_user", "7"), ("x-forwarded-user", "7")], NOBODY),
        (vec![("cookie", "remote-user=7"), ("authorization", "Basic Nzo3")], NOBODY),
    ]
}

fn check(ask: impl Fn(&str, &[(&str, &str)]) -> Response, is_trusted: bool) -> usize {
    let mut cases = 0;
    for (fields, allowed) in headers() {
        for file in FILES {
            let allowed = if is_trusted { allowed } else { &["public/photo.jpg"][..] };
            let status = ask(&format!("GET /private/{file}"), &fields).status;
            assert_eq!(status, if allowed.contains(&file) { 200 } else { 404 }, "{file} {fields:?}");
            cases += 1;
        }
    }
    cases
}

#[test]
fn a_trusted_peer_names_the_user() {
    let place = place();
    let gateway = serve(&place, &source("\"127.0.0.1\""), "127.0.0.1:0");
    assert!(check(|line, fields| gateway.fetch(line, fields), true) >= 150);
    let answer = gateway.fetch("GET /private/cars/7/photo.jpg", &[("remote-user", "7")]);
    assert_eq!(answer.header("vary"), Some("remote-user, remote-name, remote-groups"));
    let log = gateway.access_log();
    assert!(log.iter().any(|line| line["user"] == "a@example.org" && line["decision"] == "allowed"));
}

#[test]
fn nobody_else_names_a_user() {
    let place = place();
    let gateway = serve(&place, &source("\"10.0.0.0/8\", \"::1\", \"unix\""), "127.0.0.1:0");
    check(|line, fields| gateway.fetch(line, fields), false);
    let log = gateway.log();
    let warned = log.lines().filter(|line| line.contains("ignored a header that names a user")).count();
    assert_eq!(warned, 1, "{log}");
    assert!(log.contains("\"from\":\"127.0.0.1\"") && log.contains("identity.from"), "{log}");
}

/// A client on the same machine that is not the front server.
#[test]
fn another_address_of_the_same_machine_is_another_peer() {
    let place = place();
    let gateway = serve(&place, &source("\"127.0.0.2\", \"127.0.1.0/24\""), "127.0.0.1:0");
    for (peer, is_trusted) in [
        ("127.0.0.2", true),
        ("127.0.1.7", true),
        ("127.0.0.1", false),
        ("127.0.0.3", false),
        ("127.0.2.1", false),
    ] {
        let ask = |line: &str, fields: &[(&str, &str)]| {
            ask_from(peer.parse().unwrap(), gateway.address, line, fields)
        };
        check(ask, is_trusted);
    }
}

pub(crate) fn ask_from(peer: Ipv4Addr, to: SocketAddr, line: &str, fields: &[(&str, &str)]) -> Response {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddr::new(IpAddr::V4(peer), 0)).unwrap();
    connect(&socket, &to).unwrap();
    let mut stream = TcpStream::from(socket);
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Response::parse(&bytes)
}

/// On an address for both versions of IP, a client of version 4 has another form.
#[test]
fn an_address_of_version_4_is_the_same_on_a_socket_of_version_6() {
    let place = place();
    for (from, is_trusted) in
        [("\"127.0.0.1\"", true), ("\"127.0.0.0/8\"", true), ("\"::1\"", false), ("\"::/8\"", false)]
    {
        let gateway = serve(&place, &source(from), "[::]:0");
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), gateway.address.port());
        let ask = |line: &str, fields: &[(&str, &str)]| {
            let mut bytes = Vec::new();
            send(address, line, fields, b"").read_to_end(&mut bytes).unwrap();
            Response::parse(&bytes)
        };
        check(ask, is_trusted);
    }
}

#[test]
fn a_unix_socket_is_a_peer_of_its_own() {
    let place = place();
    for (from, is_trusted) in [("\"unix\"", true), ("\"127.0.0.1\", \"::1\", \"10.0.0.0/8\"", false)] {
        let gateway = UnixGateway::start_with(&place, &arguments(&source(from)));
        check(|line, fields| gateway.fetch(line, fields), is_trusted);
    }
}

/// The client's own header does not get past nginx, which knows who has signed in.
#[test]
fn a_spoofed_header_does_not_pass_the_front_server() {
    if !FrontServer::Nginx.is_installed() {
        return;
    }
    let place = place();
    let gateway = serve(&place, &source("\"127.0.0.1\""), "127.0.0.1:0");
    let address = free_address();
    // alice and bob have the password "secret": openssl passwd -apr1 -salt xxxxxxxx secret
    place.write("users", "7:{PLAIN}secret\n8:{PLAIN}secret\n");
    open_to_all(&place.path(""));
    let block = format!(
        "server {{
    listen {address};
    location /private/ {{
        auth_basic private;
        auth_basic_user_file {};
        proxy_pass http://{};
        proxy_set_header Remote-User $remote_user;
        proxy_set_header Remote-Name \"\";
        proxy_set_header Remote-Groups \"\";
        proxy_set_header Authorization \"\";
    }}
}}
",
        place.path("users").display(),
        gateway.address
    );
    let _front = Front::start(FrontServer::Nginx, address, &block);
    let basic = |user: &str| format!("Basic {}", crate::support::base64(&format!("{user}:secret")));
    for (user, spoofed, file, expected) in [
        ("7", &[][..], "cars/7/photo.jpg", 200),
        ("7", &[], "cars/8/photo.jpg", 404),
        ("7", &[("remote-user", "8")], "cars/8/photo.jpg", 404),
        ("7", &[("remote-user", "8")], "cars/7/photo.jpg", 200),
        ("7", &[("Remote_User", "8"), ("REMOTE-USER", "8")], "cars/8/photo.jpg", 404),
        ("7", &[("remote-groups", "admins")], "cars/8/photo.jpg", 404),
        ("7", &[("connection", "remote-user")], "cars/7/photo.jpg", 200),
        ("8", &[("remote-user", "7"), ("remote-groups", "sales")], "sales/photo.jpg", 404),
    ] {
        let authorization = basic(user);
        let fields = [&[("authorization", &*authorization)], spoofed].concat();
        let mut bytes = Vec::new();
        send(address, &format!("GET /private/{file}"), &fields, b"").read_to_end(&mut bytes).unwrap();
        assert_eq!(Response::parse(&bytes).status, expected, "{user} {spoofed:?} {file}");
    }
}

#[test]
fn what_is_wrong_is_one_line() {
    let place = place();
    for (source, parts) in [
        ("header", &["--identity", "from", "Remote-User", "from = [\"127.0.0.1\"]"][..]),
        (
            "{source=\"header\", header=\"X-User\"}",
            &["from", "anyone could send X-User", "from = [\"127.0.0.1\"]"],
        ),
        ("{source=\"header\", from=[]}", &["from", "anyone could send"]),
        ("{source=\"header\", from=[\"0.0.0.0/0\"]}", &["\"0.0.0.0/0\"", "from", "trusts every client"]),
        ("{source=\"header\", from=[\"127.0.0.1\", \"::/0\"]}", &["\"::/0\"", "from", "trusts every client"]),
        ("{source=\"header\", from=[\"localhost\"]}", &["\"localhost\"", "from", "127.0.0.1", "unix"]),
        ("{source=\"header\", from=\"127.0.0.1\"}", &["from", "an array"]),
        (
            "{source=\"header\", from=[\"unix\"], header=\"Remote User\"}",
            &["\"Remote User\"", "header", "not the name of a header"],
        ),
        (
            "{source=\"header\", from=[\"unix\"], header=\"Cookie\"}",
            &["\"Cookie\"", "header", "front server"],
        ),
        (
            "{source=\"header\", from=[\"unix\"], groups_separator=\";\"}",
            &["\";\"", "groups_separator", "comma or space"],
        ),
        ("{source=\"header\", from=[\"unix\"], staff_group=\"admins\"}", &["staff_group", "groups_header"]),
        (
            "{source=\"header\", from=[\"unix\"], headers=\"x\"}",
            &["unknown key \"headers\"", "did you mean \"header\"?"],
        ),
    ] {
        let line = place.refusal(&["serve", "--identity", source]);
        assert!(parts.iter().all(|part| line.contains(part)), "{source}: {line}");
    }
}
