//! Passwords are checked in turn and attempts are throttled, over real connections from several addresses.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::support::{Gateway, PASSWORD, Place, Response, base64, credentials};

/// Connects from an address of the loopback network.
fn connect_from(from: [u8; 4], gateway: &Gateway) -> TcpStream {
    let stream = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&stream, &SocketAddr::from((Ipv4Addr::from(from), 0))).unwrap();
    connect(&stream, &gateway.address).unwrap();
    let stream = TcpStream::from(stream);
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream
}

fn form(name: &str, password: &str, cookie: &str) -> String {
    let form = format!("name={name}&password={}&next=/", password.replace(' ', "+"));
    let len = form.len();
    format!(
        "POST /private/-/sign-in HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncookie: {cookie}\r\ncontent-length: {len}\r\n\r\n{form}"
    )
}

fn read_response(stream: &mut TcpStream) -> Response {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Response::parse(&bytes)
}

fn sign_in(gateway: &Gateway, from: [u8; 4], name: &str, password: &str, cookie: &str) -> Response {
    let mut stream = connect_from(from, gateway);
    stream.write_all(form(name, password, cookie).as_bytes()).unwrap();
    read_response(&mut stream)
}

/// Returns the time of a correct sign-in from an address without other clients.
fn right_sign_in(gateway: &Gateway) -> Duration {
    let begin = Instant::now();
    assert_eq!(sign_in(gateway, [127, 0, 9, 9], "alice", PASSWORD, "").status, 303);
    begin.elapsed()
}

/// Returns a request with a wrong password and a unique name, by the form or by Basic.
fn guess(n: usize) -> String {
    let name = format!("user{n}");
    if n.is_multiple_of(2) {
        return form(&name, "wrong", "");
    }
    let credentials = base64(&format!("{name}:wrong"));
    format!("GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\nauthorization: Basic {credentials}\r\n\r\n")
}

#[test]
fn disconnected_clients_delay_no_sign_in() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let alone = right_sign_in(&gateway);
    for (kind, is_reset) in [("closed", false), ("reset", true)] {
        let begin = Instant::now();
        for n in 0..2000 {
            let from = [127, 0, u8::from(is_reset), 2 + u8::try_from(n % 8).unwrap()];
            let mut stream = connect_from(from, &gateway);
            stream.write_all(guess(n).as_bytes()).unwrap();
            if is_reset {
                rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
            }
        }
        let sent = begin.elapsed();
        let took = right_sign_in(&gateway);
        println!(
            "2,000 clients connected and {kind} in {sent:?}; then a sign-in took {took:?}, and {alone:?} without them"
        );
        assert!(took < Duration::from_secs(4), "{took:?} after 2,000 clients {kind}");
    }
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "bob").status, 404);
}

#[test]
fn clients_of_many_addresses_take_turns() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let mut waiting: Vec<_> = (0..500)
        .map(|n| {
            let mut stream = connect_from([127, 0, 2, 1 + u8::try_from(n % 50).unwrap()], &gateway);
            stream.write_all(form(&format!("user{n}"), "wrong", "").as_bytes()).unwrap();
            stream
        })
        .collect();
    let took = right_sign_in(&gateway);
    // Count the responses so far, then read all of them.
    let mut before = 0;
    for stream in &waiting {
        stream.set_nonblocking(true).unwrap();
        match stream.peek(&mut [0]) {
            Ok(_) => before += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        stream.set_nonblocking(false).unwrap();
    }
    let mut statuses = [0, 0];
    for stream in &mut waiting {
        let response = read_response(stream);
        match response.status {
            403 => statuses[0] += 1,
            503 => {
                assert_eq!(response.header("retry-after"), Some("5"));
                assert!(
                    String::from_utf8(response.body).unwrap().contains("Too many sign-ins at the moment")
                );
                statuses[1] += 1;
            }
            status => panic!("{status}"),
        }
    }
    let [checked, refused] = statuses;
    println!(
        "{before} of 500 clients got a response before a sign-in that took {took:?}; {checked} were checked, {refused} refused"
    );
    assert!(checked >= 256, "{checked} were checked");
    // Refused clients get an immediate response. Of the others, only one per address has its turn before the sign-in, and those that
    // had theirs while the clients connected.
    assert!(before - refused < 180, "{before} responses before, {refused} refused");
}

/// A client may shut down its sending side and wait for the response, for any kind of request.
#[test]
fn half_closed_connections_get_a_response() {
    let place = Place::new();
    place.write("private/cars/7/large.bin", vec![b'x'; 20 << 20]);
    let gateway = place.serve(&["--cache-ttl", "0s"]);
    let (name, value) = credentials("alice")[0];
    let wrong = "authorization: Basic YWxpY2U6d3Jvbmc=";
    let get = |path: &str, fields: &str| {
        format!("GET /private/cars/7/{path} HTTP/1.1\r\nhost: x\r\n{fields}\r\n\r\n").into_bytes()
    };
    let mut two = get("photo.jpg", &format!("{name}: {value}"));
    two.extend(get("none.jpg", &format!("{name}: {value}\r\nconnection: close")));
    for (request, status, len) in [
        (get("photo.jpg", &format!("{name}: {value}")), 200, 13),
        (get("photo.jpg", &format!("{name}: {value}\r\nupgrade: nothing")), 200, 13),
        (get("photo.jpg", wrong), 404, 10),
        (get("large.bin", &format!("{name}: {value}")), 200, 20 << 20),
        (get("large.bin", &format!("{name}: {value}\r\nupgrade: nothing")), 200, 20 << 20),
        (form("alice", PASSWORD, "").into_bytes(), 303, 0),
    ] {
        let text = String::from_utf8_lossy(&request).into_owned();
        for pause in [Duration::ZERO, Duration::from_millis(5)] {
            let mut stream = gateway.connect();
            let (first, rest) = request.split_at(request.len() - 3);
            stream.write_all(first).unwrap();
            std::thread::sleep(pause);
            stream.write_all(rest).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let response = read_response(&mut stream);
            assert_eq!((response.status, response.body.len()), (status, len), "{text}");
        }
    }
    let mut stream = gateway.connect();
    stream.write_all(&two).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200 ") && text.contains("\r\n\r\nalice's photoHTTP/1.1 404 "),
        "{text}"
    );
    // An incomplete form is rejected.
    let mut stream = gateway.connect();
    let form = form("alice", PASSWORD, "");
    stream.write_all(&form.as_bytes()[..form.len() - 1]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP/1.1 303"), "{}", String::from_utf8_lossy(&bytes));
}

/// Behind a front server all clients have the same address. Wrong attempts there delay unknown clients, but no browser that has signed in.
#[test]
fn a_known_browser_is_not_delayed_by_attempts_from_its_address() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let here = [127, 0, 0, 1];
    let first = sign_in(&gateway, here, "alice", PASSWORD, "");
    let cookies: Vec<_> =
        first.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")?.split(';').next()).collect();
    let [session, device] = cookies[..] else { panic!("{}", first.head) };
    for _ in 0..5 {
        assert_eq!(sign_in(&gateway, here, "alice", "wrong", "").status, 403);
    }
    // The waits start at one second and double, so some of these passwords are checked, too.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        sign_in(&gateway, here, "alice", "wrong", session);
    }
    let refused = sign_in(&gateway, here, "alice", PASSWORD, session);
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    assert!(String::from_utf8(refused.body).unwrap().contains("Too many attempts; try again in "));
    // Basic is throttled, too, and the response does not reveal whether the file exists.
    let basic = |path: &str| gateway.get(path, "alice");
    let [there, missing] = ["/private/cars/7/photo.jpg", "/private/cars/7/none.jpg"].map(basic);
    assert_eq!((there.status, &there.body[..]), (429, &b"try again later\n"[..]));
    let normalized = |response: &Response| {
        let (head, body) = response.normalized();
        (
            head.lines()
                .filter(|line| !line.starts_with("retry-after: "))
                .map(str::to_owned)
                .collect::<Vec<_>>(),
            body,
        )
    };
    assert_eq!(normalized(&there), normalized(&missing));
    assert!(there.header("retry-after").is_some());
    // Other accounts and the known browser are not affected.
    assert_eq!(sign_in(&gateway, here, "bob", PASSWORD, "").status, 303);
    assert_eq!(sign_in(&gateway, here, "alice", PASSWORD, device).status, 303);
    assert_eq!(gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", session)]).status, 200);
    assert_eq!(gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", device)]).status, 404);
    assert_eq!(IpAddr::from(here), gateway.address.ip());
}
