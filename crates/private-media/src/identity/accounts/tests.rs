//! Tests of the accounts, without sockets.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;

use super::*;
use crate::identity::User;

const PASSWORD: &str = "correct horse: battery staple é";

fn new(name: &str, id: &str, password: &str) -> NewAccount {
    NewAccount::new(name, id, password)
}

fn file() -> AccountsFile {
    let secret = STANDARD.encode([7; 32]).replace('=', "").replace('+', "-").replace('/', "_");
    let mut file = AccountsFile::parse(&format!("secret = \"{secret}\"")).unwrap();
    file.add(new("alice", "7", PASSWORD)).unwrap();
    file.add(new("carol", "9", PASSWORD).staff(true).groups(["sales"])).unwrap();
    file
}

fn accounts() -> Accounts {
    Accounts::new(file(), AccountsOptions::default()).unwrap()
}

fn copy(file: &AccountsFile) -> AccountsFile {
    AccountsFile::parse(&toml::to_string(file).unwrap()).unwrap()
}

fn basic_header(credentials: &str) -> String {
    format!("Basic {}", STANDARD.encode(credentials))
}

/// Returns the id of the user that a request with these headers identifies.
async fn identify(accounts: &Accounts, headers: &[(&str, &str)]) -> Option<String> {
    let mut request = Request::new(());
    for (name, value) in headers {
        let name = http::HeaderName::try_from(*name).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let (request, ()) = request.into_parts();
    let identity = accounts.identify(&request).await.unwrap();
    // Passwords are waited for, and cookies are not.
    let now = accounts.identify_now(&request).transpose().unwrap();
    let has_password = request.headers.contains_key(AUTHORIZATION);
    assert_eq!(now.as_ref().map(Identity::user), (!has_password).then(|| identity.user()));
    identity.user().map(|user| user.id().to_owned())
}

async fn post(
    accounts: &Accounts,
    page: &str,
    headers: &[(&str, &str)],
    form: &str,
) -> Response<Full<Bytes>> {
    let mut request = Request::post(page).header("host", "example.com");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    accounts.page(request.body(Full::<Bytes>::from(form.to_owned())).unwrap()).await.unwrap()
}

async fn text(response: Response<Full<Bytes>>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Returns a sign-in form with alice's password.
fn sign_in_form(next: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("name", "alice")
        .append_pair("password", PASSWORD)
        .append_pair("next", next)
        .finish()
}

/// Signs in with the form, and returns the cookie as a browser sends it.
async fn sign_in(accounts: &Accounts) -> String {
    let response = post(accounts, "/-/sign-in", &[], &sign_in_form("/")).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn basic_credentials_identify_a_user_only_if_they_are_right() {
    let accounts = accounts();
    for (header, user) in [
        (basic_header(&format!("alice:{PASSWORD}")), Some("7")),
        (basic_header(&format!("carol:{PASSWORD}")), Some("9")),
        (basic_header(&format!("alice:{PASSWORD}")).replace("Basic", "bAsIc"), Some("7")),
        (basic_header(&format!("Alice:{PASSWORD}")), None),
        (basic_header(&format!("7:{PASSWORD}")), None),
        (basic_header("alice:wrong"), None),
        (basic_header("alice:"), None),
        (basic_header("alice"), None),
        (basic_header(":"), None),
        (basic_header(""), None),
        ("Basic".into(), None),
        ("Basic ".into(), None),
        ("Basic !!!".into(), None),
        ("Basic YWxpY2U".into(), None),
        (format!("Basic {}", STANDARD.encode(b"alice:\xff")), None),
        ("Bearer YWxpY2U6eA==".into(), None),
        ("é".into(), None),
    ] {
        assert_eq!(identify(&accounts, &[("authorization", &header)]).await.as_deref(), user, "{header}");
    }
    let right = basic_header(&format!("alice:{PASSWORD}"));
    assert_eq!(
        identify(&accounts, &[("authorization", &right), ("authorization", &right)]).await,
        None,
        "two fields are ambiguous"
    );
}

#[tokio::test]
async fn basic_credentials_replace_the_cookie() {
    let accounts = accounts();
    let cookie = sign_in(&accounts).await;
    assert_eq!(identify(&accounts, &[("cookie", &cookie)]).await.as_deref(), Some("7"));
    for credentials in ["alice:wrong", "nobody:x"] {
        let headers = [("cookie", cookie.as_str()), ("authorization", &basic_header(credentials))];
        assert_eq!(identify(&accounts, &headers).await, None);
    }
    let carol = basic_header(&format!("carol:{PASSWORD}"));
    assert_eq!(
        identify(&accounts, &[("cookie", &cookie), ("authorization", &carol)]).await.as_deref(),
        Some("9")
    );
}

#[tokio::test]
async fn changed_and_ambiguous_cookies_are_anonymous() {
    let accounts = accounts();
    let cookie = sign_in(&accounts).await;
    let token = cookie.strip_prefix("private_media_session=").unwrap();
    for (cookie, user) in [
        (format!("a=b; {cookie}; c=d"), Some("7")),
        (format!("{cookie}; {cookie}"), None),
        (format!("{cookie}; private_media_session=x"), None),
        (format!("private_media_session=\"{token}\""), None),
        (format!("private_media_session={token}="), None),
        (format!("private_media_session={token}A"), None),
        (format!("private_media_session= {}", &token[1..]), None),
        (format!("Private_Media_Session={token}"), None),
        ("private_media_session=".into(), None),
        ("private_media_session".into(), None),
        ("private_media_session=AQ".into(), None),
        (String::new(), None),
    ] {
        let found = identify(&accounts, &[("cookie", &cookie)]).await;
        assert_eq!(found.as_deref(), user, "{cookie}");
    }
    for at in 0..token.len() {
        let mut tampered = token.as_bytes().to_vec();
        tampered[at] = if tampered[at] == b'A' { b'B' } else { b'A' };
        let cookie = format!("private_media_session={}", String::from_utf8(tampered).unwrap());
        assert_eq!(identify(&accounts, &[("cookie", &cookie)]).await, None, "changed at {at}");
    }
    assert_eq!(identify(&accounts, &[("cookie", &cookie), ("cookie", &cookie)]).await, None, "two lines");
}

/// The reason is for logs. A credential without one is not for the accounts, and another source may decide about it.
#[tokio::test]
async fn invalid_credentials_are_rejected_with_a_reason() {
    let mut file = file();
    file.add(new("bob", "8", PASSWORD)).unwrap();
    let accounts = Accounts::new(copy(&file), AccountsOptions::default()).unwrap();
    let now = SystemTime::now();
    let session = |name: &str, lifetime: Duration, ago: Duration| {
        let token = accounts.begin_session(&accounts.current().accounts[name], now + lifetime - ago).unwrap();
        format!("private_media_session={token}")
    };
    let (none, hour) = (Duration::ZERO, Duration::from_secs(3600));
    let valid = session("carol", hour, none);
    let ended = session("carol", hour, none);
    let token = ended.split_once('=').unwrap().1;
    accounts.end_session(token, now).await.unwrap();
    let (removed, changed) = (session("bob", hour, none), session("alice", hour, none));
    file.remove("bob").unwrap();
    file.set_password("alice", "another password").unwrap();
    accounts.replace(file);
    let expired = session("carol", none, hour);
    let basic = basic_header("carol:wrong");
    let bearer = "Bearer eyJhbGciOiJub25lIn0.e30.";
    for (headers, reason) in [
        (&[("cookie", expired.as_str())][..], "the session expired 36"),
        (&[("cookie", &ended)], "the session was signed out"),
        (&[("cookie", &removed)], "the account was removed"),
        (&[("cookie", &changed)], "the password was changed after the sign-in"),
        (&[("cookie", "private_media_session=x")], "the session cookie is malformed, or signed with another"),
        (&[("cookie", &format!("{valid}; {valid}"))], "the request has two session cookies"),
        (&[("cookie", &format!("{valid}; private_media_session="))], "the request has two session cookies"),
        (&[("authorization", &basic)], "the name or the password is wrong"),
        (&[("authorization", &basic_header("nobody:x"))], "the name or the password is wrong"),
        (&[("authorization", "Basic !")], "malformed HTTP Basic credentials"),
        (&[("authorization", bearer), ("authorization", &basic)], "malformed HTTP Basic credentials"),
        (&[("authorization", &basic), ("authorization", &basic)], "malformed HTTP Basic credentials"),
        (&[("authorization", bearer)], ""),
        (&[("authorization", bearer), ("cookie", &valid)], ""),
        (&[("authorization", "")], ""),
        (&[("cookie", "private_media_session=")], ""),
        (&[("cookie", "sessionid=x")], ""),
        (&[], ""),
    ] {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        let head = request.into_parts().0;
        let identity = accounts.identify(&head).await.unwrap();
        assert_eq!(accounts.recognizes(&head), !reason.is_empty(), "{headers:?}");
        match identity.rejection() {
            Some(rejection) => {
                let is_it = !reason.is_empty() && rejection.reason().starts_with(reason);
                assert!(is_it && rejection.source() == "accounts", "{headers:?}: {rejection}");
            }
            None => assert_eq!((identity, reason), (Identity::Anonymous, ""), "{headers:?}"),
        }
    }
    let mut request = Request::new(());
    request.headers_mut().insert("cookie", valid.parse().unwrap());
    let head = request.into_parts().0;
    let identity = accounts.identify(&head).await.unwrap();
    assert!(accounts.recognizes(&head));
    assert_eq!(identity.user().and_then(User::identified_by), Some("accounts"));
}

#[tokio::test]
async fn expired_forged_and_revoked_sessions_are_anonymous() {
    let accounts = accounts();
    let key = Key::new([7; 32]);
    let now = SystemTime::now();
    let lifetime = accounts.0.options.session_lifetime;
    let token = accounts.begin_session(&accounts.current().accounts["alice"], now + lifetime).unwrap();
    assert!(accounts.session(&token, now + lifetime - Duration::from_secs(2)).is_ok());
    assert!(accounts.session(&token, now + lifetime + Duration::from_secs(1)).is_err(), "expired");

    let session = Session::parse(&token, &key).unwrap();
    assert_eq!(Session::parse(&token, &Key::new([8; 32])), None, "another secret");
    for forged in [
        Session { name: "nobody".into(), ..session.clone() },
        Session { stamp: [0; 16], ..session.clone() },
        Session { expires: SystemTime::UNIX_EPOCH, ..session.clone() },
    ] {
        assert!(accounts.session(forged.to_token(&key), now).is_err(), "{forged:?}");
    }

    let mut changed = file();
    changed.remove("alice").unwrap();
    changed.add(new("alice", "7", "another password")).unwrap();
    accounts.replace(changed);
    assert!(accounts.session(&token, now).is_err(), "the password has changed");
    let token = accounts.begin_session(&accounts.current().accounts["alice"], now + lifetime).unwrap();
    assert!(accounts.session(&token, now).is_ok());
    let mut without = file();
    without.remove("alice").unwrap();
    accounts.replace(without);
    assert!(accounts.session(&token, now).is_err(), "the account was removed");
}

/// The cache contains only valid tokens, and never makes a session valid for longer.
#[tokio::test]
async fn the_signature_of_a_token_is_verified_once() {
    let accounts = accounts();
    let now = SystemTime::now();
    let token =
        |lifetime| accounts.begin_session(&accounts.current().accounts["alice"], now + lifetime).unwrap();
    let hour = Duration::from_secs(3600);
    let (one, other) = (token(hour), token(hour));
    for _ in 0..3 {
        assert!(accounts.session(&one, now).is_ok() && accounts.session(&other, now).is_ok());
        assert!(accounts.session(format!("{one}x"), now).is_err());
        assert!(accounts.session(&one[..one.len() - 2], now).is_err());
    }
    assert_eq!(accounts.current().sessions.len(), 2);
    accounts.end_session(&one, now).await.unwrap();
    assert!(accounts.session(&one, now).is_err(), "it has ended");
    assert!(accounts.session(&other, now + 2 * hour).is_err(), "it has expired");
    for n in 0..102_000 {
        accounts.session(token(hour + Duration::from_secs(n)), now).unwrap();
    }
    assert!(accounts.current().sessions.len() <= 100_000);
    accounts.replace(file());
    assert_eq!(accounts.current().sessions.len(), 0);
}

#[tokio::test]
async fn a_password_that_is_replaced_while_it_is_checked_is_rejected_afterwards() {
    let accounts = accounts();
    let guesser = Guesser::new("alice", None, None);
    let verified = accounts.verify_account("alice", PASSWORD, guesser, ClientClosed::default()).await;
    let verified = verified.unwrap();
    let mut changed = file();
    changed.remove("alice").unwrap();
    changed.add(new("alice", "7", "another password")).unwrap();
    accounts.replace(changed);
    let digest = accounts.0.memory.verified_key.sign(&[b"alice", PASSWORD.as_bytes()]);
    accounts.remember(digest, &verified);
    let basic = basic_header(&format!("alice:{PASSWORD}"));
    assert_eq!(identify(&accounts, &[("authorization", &basic)]).await, None);
    let now = SystemTime::now();
    let token = accounts.begin_session(&verified, now + accounts.0.options.session_lifetime).unwrap();
    assert!(accounts.session(&token, now).is_err());
}

#[tokio::test]
async fn signing_out_ends_the_session_on_the_server() {
    let accounts = accounts();
    let (cookie, other) = (sign_in(&accounts).await, sign_in(&accounts).await);
    let response = post(&accounts, "/-/sign-out", &[("cookie", &cookie)], "next=/bye").await;
    assert_eq!(
        (response.status(), &response.headers()["location"]),
        (StatusCode::SEE_OTHER, &HeaderValue::from_static("/bye"))
    );
    let cleared = response.headers()["set-cookie"].to_str().unwrap();
    assert!(cleared.starts_with("private_media_session=; ") && cleared.contains("Max-Age=0"), "{cleared}");
    assert_eq!(identify(&accounts, &[("cookie", &cookie)]).await, None, "a copy of the cookie is invalid");
    assert_eq!(
        identify(&accounts, &[("cookie", &other)]).await.as_deref(),
        Some("7"),
        "another session is still valid"
    );
}

#[tokio::test]
async fn a_removed_account_is_rejected_immediately() {
    let accounts = accounts();
    let basic = basic_header(&format!("alice:{PASSWORD}"));
    assert_eq!(identify(&accounts, &[("authorization", &basic)]).await.as_deref(), Some("7"));
    let mut without = file();
    without.remove("alice").unwrap();
    accounts.replace(without);
    assert_eq!(identify(&accounts, &[("authorization", &basic)]).await, None);
}

#[tokio::test]
async fn the_session_cookie_has_its_security_attributes() {
    let accounts = accounts();
    for (headers, secure) in [
        (vec![], false),
        (vec![("origin", "http://example.com")], false),
        (vec![("origin", "https://example.com")], true),
        (vec![("x-forwarded-proto", "https")], false),
    ] {
        let response = post(&accounts, "/-/sign-in", &headers, &sign_in_form("/")).await;
        let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
        for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=1209600"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert_eq!(cookie.contains("; Secure"), secure, "{headers:?}: {cookie}");
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let accounts = accounts();
    for (headers, allowed) in [
        (vec![], true),
        (vec![("sec-fetch-site", "same-origin")], true),
        (vec![("sec-fetch-site", "none")], true),
        (vec![("sec-fetch-site", "same-site")], false),
        (vec![("sec-fetch-site", "cross-site")], false),
        (vec![("sec-fetch-site", "")], false),
        (vec![("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")], true),
        (vec![("sec-fetch-site", "cross-site"), ("origin", "http://example.com")], false),
        (vec![("origin", "http://example.com")], true),
        (vec![("origin", "https://example.com")], true),
        (vec![("origin", "http://example.com:8080")], false),
        (vec![("origin", "https://evil.example")], false),
        (vec![("origin", "http://example.com.evil.example")], false),
        (vec![("origin", "http://evil-example.com")], false),
        (vec![("origin", "null")], false),
        (vec![("origin", "")], false),
        (vec![("origin", "ftp://example.com")], false),
    ] {
        for page in ["/-/sign-in", "/-/sign-out"] {
            let response = post(&accounts, page, &headers, &sign_in_form("/")).await;
            let expected = if allowed { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
            assert_eq!(response.status(), expected, "{page} {headers:?}");
            assert_eq!(response.headers().contains_key("set-cookie"), allowed);
        }
    }
}

#[tokio::test]
async fn next_is_a_path_of_this_site() {
    let accounts = accounts();
    for (next, location) in [
        ("/", "/"),
        ("/cars/7/?a=b&c=d#e", "/cars/7/?a=b&c=d#e"),
        ("/%5Cevil.example", "/%5Cevil.example"),
        ("/%2Fevil.example", "/%2Fevil.example"),
        ("/a//b", "/a//b"),
        ("", "/"),
        ("cars", "/"),
        ("//evil.example", "/"),
        ("///evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\/evil.example", "/"),
        ("\\\\evil.example", "/"),
        ("/\t/evil.example", "/"),
        ("/\n/evil.example", "/"),
        ("/\r\nSet-Cookie: a=b", "/"),
        ("\t//evil.example", "/"),
        (" //evil.example", "/"),
        (" /ok", "/"),
        ("/a b", "/"),
        ("/é", "/"),
        ("/\u{0}", "/"),
        ("https://evil.example", "/"),
        ("HTTPS:evil.example", "/"),
        ("https:/evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("data:text/html,x", "/"),
        ("@evil.example", "/"),
        (".evil.example", "/"),
        ("?next=//evil.example", "/"),
        ("#//evil.example", "/"),
        ("/\\/evil.example", "/"),
        ("/a\\b", "/"),
    ] {
        let response = post(&accounts, "/-/sign-in", &[], &sign_in_form(next)).await;
        assert_eq!(response.headers()["location"], location, "{next:?}");
    }
    let twice = format!("{}&next=//evil.example", sign_in_form("/a"));
    assert_eq!(post(&accounts, "/-/sign-in", &[], &twice).await.headers()["location"], "/");
}

#[tokio::test]
async fn form_values_are_escaped() {
    let accounts = accounts();
    let page =
        |query: &str| Request::get(format!("/-/sign-in?{query}")).body(Full::<Bytes>::default()).unwrap();
    let html =
        text(accounts.page(page("next=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E%26amp;%27")).await.unwrap())
            .await;
    assert!(
        !html.contains("<script")
            && html.contains("value=\"/&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp"),
        "{html}"
    );
    let html = text(accounts.page(page("next=/{url}{alert}{form}{style}{next}")).await.unwrap()).await;
    assert!(html.contains("value=\"/{url}{alert}{form}{style}{next}\""), "{html}");
    let refused = post(&accounts, "/-/sign-in", &[], "name=%3Cb%3E&password=x&next=/%22onfocus%3D").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let html = text(refused).await;
    assert!(
        html.contains("role=\"alert\"")
            && !html.contains("<b>")
            && html.contains("value=\"/&quot;onfocus=\""),
        "{html}"
    );
}

#[tokio::test]
async fn pages_respond_to_their_paths_and_methods() {
    let accounts = accounts();
    for (method, path, status) in [
        ("GET", "/-/sign-in", Some(200)),
        ("HEAD", "/-/sign-in", Some(200)),
        ("GET", "/-/sign-out", Some(200)),
        ("POST", "/-/sign-in", Some(403)),
        ("PUT", "/-/sign-in", Some(405)),
        ("DELETE", "/-/sign-out", Some(405)),
        ("GET", "/-/sign-in/", None),
        ("GET", "/-/", None),
        ("GET", "/cars/7/photo.jpg", None),
    ] {
        let request = Request::builder().method(method).uri(path).body(Full::<Bytes>::default()).unwrap();
        let response = accounts.page(request).await;
        assert_eq!(response.as_ref().map(|response| response.status().as_u16()), status, "{method} {path}");
        let Some(response) = response else { continue };
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
        ] {
            assert_eq!(response.headers()[name], value, "{method} {path}");
        }
        if response.headers()["content-type"] == "text/html; charset=utf-8" {
            let policy = response.headers()["content-security-policy"].to_str().unwrap();
            assert!(
                policy.contains("default-src 'none'; style-src 'sha256-")
                    && policy.contains("frame-ancestors 'none'")
            );
        }
        if method == "HEAD" {
            assert_eq!(text(response).await, "");
        }
    }
    let large = post(&accounts, "/-/sign-in", &[], &"a".repeat(9000)).await;
    assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_form_that_does_not_arrive_times_out() {
    let body = http_body_util::StreamBody::new(futures_util::stream::pending::<
        Result<http_body::Frame<Bytes>, std::io::Error>,
    >());
    let request = Request::post("/-/sign-in").body(body).unwrap();
    assert_eq!(accounts().page(request).await.unwrap().status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_with_one_password_hash_once() {
    let accounts = accounts();
    let tasks = (0..200).map(|_| {
        let accounts = accounts.clone();
        tokio::spawn(async move { accounts.verify("alice", PASSWORD, None).await.is_ok() })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert!(task.await.unwrap());
    }
    assert_eq!(accounts.0.memory.hashed.load(Ordering::Relaxed), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn throttled_guesses_are_not_hashed() {
    let accounts = accounts();
    let from = Some(ClientAddr::Ip("192.0.2.1".parse().unwrap()));
    let tasks = (0..200).map(|n| {
        let accounts = accounts.clone();
        tokio::spawn(async move { accounts.verify("alice", &format!("guess {n}"), from).await })
    });
    let mut waits = 0;
    for task in tasks.collect::<Vec<_>>() {
        waits += usize::from(task.await.unwrap().unwrap_err().retry_after().is_some());
    }
    let hashed = accounts.0.memory.hashed.load(Ordering::Relaxed);
    assert!(hashed == 5 && waits == 195, "{hashed} were hashed, {waits} were throttled");
    let page = post(&accounts, "/-/sign-in", &[], "name=alice&password=x").await;
    assert_eq!(page.status(), StatusCode::FORBIDDEN, "an attempt from another address is checked");
    assert!(accounts.verify("alice", PASSWORD, from).await.is_err(), "even the right password is throttled");
    assert!(
        accounts.verify("alice", PASSWORD, Some(ClientAddr::Ip("192.0.2.2".parse().unwrap()))).await.is_ok()
    );
}

/// A reload of the configuration gives nobody new attempts, and revives no session.
#[tokio::test]
async fn reconfigured_accounts_share_what_attackers_must_not_reset() {
    let file = file();
    let before = Accounts::new(copy(&file), AccountsOptions::default()).unwrap();
    let from = Some(ClientAddr::Ip("192.0.2.1".parse().unwrap()));
    let signed_in = |accounts: &Accounts, token: &str| accounts.session(token, SystemTime::now()).is_ok();
    let account = before.current().accounts["alice"].clone();
    let expires = SystemTime::now() + Duration::from_secs(3600);
    let [ended, open] = [0; 2].map(|_| before.begin_session(&account, expires).unwrap());
    before.end_session(&ended, SystemTime::now()).await.unwrap();
    before.verify("alice", PASSWORD, None).await.unwrap();
    let hashed = before.0.memory.hashed.load(Ordering::Relaxed);

    // The same file: nothing is verified again.
    let same = before.reconfigured(copy(&file), AccountsOptions::default().url("/media/"));
    assert!(same.0.options.url == "/media/" && before.0.options.url == "/private/");
    assert!(signed_in(&same, &open) && !signed_in(&same, &ended));
    assert!(same.verify("alice", PASSWORD, None).await.is_ok());
    assert_eq!(before.0.memory.hashed.load(Ordering::Relaxed), hashed);
    // A shorter cache time applies to what was cached before.
    let uncached = same.reconfigured(copy(&file), AccountsOptions::default().cache_ttl(Duration::ZERO));
    assert!(uncached.verify("alice", PASSWORD, None).await.is_ok());
    assert_eq!(before.0.memory.hashed.load(Ordering::Relaxed), hashed + 1);

    // Attempts and sign-outs count in all of them.
    for attempt in 0..5 {
        let accounts = [&before, &same][attempt % 2];
        let error = accounts.verify("alice", "wrong", from).await.unwrap_err();
        assert!(error.retry_after().is_none(), "{attempt}");
    }
    for accounts in [&before, &same, &same.reconfigured(AccountsFile::default(), AccountsOptions::default())]
    {
        let error = accounts.verify("alice", "wrong", from).await.unwrap_err();
        assert!(error.retry_after().is_some());
    }
    same.end_session(&open, SystemTime::now()).await.unwrap();
    assert!(!signed_in(&before, &open));

    // Another file is used by the new accounts alone.
    let empty = before.reconfigured(AccountsFile::default(), AccountsOptions::default());
    assert!(empty.verify("alice", PASSWORD, None).await.is_err());
    assert!(before.verify("alice", PASSWORD, None).await.is_ok());
}

#[tokio::test]
async fn throttled_clients_get_a_retry_after() {
    let accounts = accounts();
    guess(&accounts, "alice", 30);
    for name in ["alice", "nobody"] {
        guess(&accounts, name, 30);
        let response = post(&accounts, "/-/sign-in", &[], &format!("name={name}&password=x")).await;
        assert_eq!(
            (response.status(), &response.headers()["retry-after"]),
            (StatusCode::TOO_MANY_REQUESTS, &HeaderValue::from_static("1080"))
        );
        assert!(text(response).await.contains("Too many attempts; try again in 18 minutes."));
        // The same for Basic, even with the right password.
        let mut request = Request::new(());
        let basic = basic_header(&format!("{name}:{PASSWORD}"));
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::try_from(basic).unwrap());
        let error = accounts.identify(&request.into_parts().0).await.unwrap_err();
        let retry = error.retry().unwrap();
        assert_eq!((retry.status, retry.after.as_secs()), (StatusCode::TOO_MANY_REQUESTS, 1079));
    }
}

/// Counts wrong passwords from different addresses, without hashing them.
fn guess(accounts: &Accounts, name: &str, times: u32) {
    for n in 0..times {
        let guesser = Guesser::new(name, Some(IpAddr::from(n.to_be_bytes()).into()), None);
        let _ = locked(&accounts.0.memory.throttle).begin(&guesser, Instant::now());
    }
}

/// A guess that differs from the cached password counts, even if its client disconnects.
#[tokio::test]
async fn a_cached_password_allows_no_uncounted_guesses() {
    let accounts = accounts();
    let from = Some(ClientAddr::Ip("192.0.2.1".parse().unwrap()));
    assert!(accounts.verify("alice", PASSWORD, from).await.is_ok());
    for n in 0..5 {
        let guess = format!("guess {n}");
        let dropped = accounts.verify("alice", &guess, from);
        assert!(tokio::time::timeout(Duration::ZERO, dropped).await.is_err(), "it waits to be hashed");
    }
    let refused = accounts.verify("alice", PASSWORD, from).await.unwrap_err();
    assert!(refused.retry_after().is_some(), "a throttled client learns nothing about the right password");
    let elsewhere = Some(ClientAddr::Ip("192.0.2.2".parse().unwrap()));
    assert!(accounts.verify("alice", PASSWORD, elsewhere).await.is_ok());
}

/// Returns the cookies that a response sets, as a browser sends them.
fn set_cookies(response: &Response<Full<Bytes>>) -> Vec<String> {
    let lines = response.headers().get_all("set-cookie").iter();
    lines.map(|line| line.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_known_device_is_not_throttled_by_attempts_of_others() {
    let accounts = accounts();
    let response =
        post(&accounts, "/-/sign-in", &[("origin", "https://example.com")], &sign_in_form("/")).await;
    let line = response.headers().get_all("set-cookie").iter().nth(1).unwrap().to_str().unwrap().to_owned();
    for part in
        ["; HttpOnly", "; SameSite=Lax", "; Path=/private/-/sign-in", "; Max-Age=15552000", "; Secure"]
    {
        assert!(line.contains(part), "{line}");
    }
    let [session, device] = <[String; 2]>::try_from(set_cookies(&response)).unwrap();
    guess(&accounts, "alice", 200);
    let sign_in =
        async |cookie: &str| post(&accounts, "/-/sign-in", &[("cookie", cookie)], &sign_in_form("/")).await;
    assert_eq!(sign_in("").await.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(sign_in(&session).await.status(), StatusCode::TOO_MANY_REQUESTS);
    let again = sign_in(&device).await;
    assert_eq!(again.status(), StatusCode::SEE_OTHER);
    let id = |cookie: &str| {
        let key = device::key(&Key::new([7; 32]));
        Session::parse(cookie.split_once('=').unwrap().1, &key).unwrap().id
    };
    assert_eq!(id(&device), id(&set_cookies(&again)[1]), "it is the same device");
    // It is throttled by its own failures.
    let wrong = async |cookie: &str| {
        post(&accounts, "/-/sign-in", &[("cookie", cookie)], "name=alice&password=x").await.status()
    };
    for _ in 0..5 {
        assert_eq!(wrong(&device).await, StatusCode::FORBIDDEN);
    }
    assert_eq!(wrong(&device).await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn invalid_device_cookies_identify_no_device() {
    let accounts = accounts();
    let response = post(&accounts, "/-/sign-in", &[], &sign_in_form("/")).await;
    let [session, device] = <[String; 2]>::try_from(set_cookies(&response)).unwrap();
    let token = |cookie: &str| cookie.split_once('=').unwrap().1.to_owned();
    // A device cookie is not a session cookie, and vice versa.
    assert_eq!(
        identify(&accounts, &[("cookie", &format!("private_media_session={}", token(&device)))]).await,
        None
    );
    assert_eq!(identify(&accounts, &[("cookie", &device)]).await, None, "a device cookie identifies no user");
    let known = |accounts: &Accounts, cookie: &str, name: &str, now: SystemTime| {
        let current = accounts.current();
        let request = Request::get("/").header("cookie", cookie).body(()).unwrap();
        let account = current.accounts.get(name)?;
        device::known(request.headers(), account, &current.device_key, now)
    };
    let now = SystemTime::now();
    assert!(known(&accounts, &device, "alice", now).is_some());
    assert!(known(&accounts, &device, "alice", now + device::LIFETIME - Duration::from_secs(60)).is_some());
    assert!(known(&accounts, &device, "alice", now + device::LIFETIME + Duration::from_secs(1)).is_none());
    for (cookie, name) in [
        (device.clone(), "carol"),
        (format!("private_media_device={}", token(&session)), "alice"),
        (format!("{device}; {device}"), "alice"),
        (format!("{device}A"), "alice"),
        (device.replace('=', "=A"), "alice"),
        (String::new(), "alice"),
    ] {
        assert_eq!(known(&accounts, &cookie, name, now), None, "{cookie} for {name}");
    }
    // The cookie is invalid after the account was removed and added again, or has another password.
    let mut changed = file();
    changed.remove("alice").unwrap();
    accounts.replace(copy(&changed));
    guess(&accounts, "alice", 30);
    let response = post(&accounts, "/-/sign-in", &[("cookie", &device)], &sign_in_form("/")).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS, "as for any unknown name");
    changed.add(new("alice", "7", PASSWORD)).unwrap();
    accounts.replace(changed);
    assert_eq!(known(&accounts, &device, "alice", now), None);
}

#[tokio::test]
async fn responses_do_not_reveal_which_accounts_exist() {
    let accounts = accounts();
    let mut responses = Vec::new();
    for name in ["alice", "nobody"] {
        let mut seen = Vec::new();
        for n in 0..60_u8 {
            let form = format!("name={name}&password=guess+{n}");
            let mut request = Request::post("/-/sign-in").body(Full::<Bytes>::from(form)).unwrap();
            request.extensions_mut().insert(ClientAddr::from(IpAddr::from([192, 0, 2, n / 8])));
            let response = accounts.page(request).await.unwrap();
            let retry = response.headers().get("retry-after").map(|retry| retry.to_str().unwrap().to_owned());
            seen.push((response.status(), retry.map(|retry| retry.parse::<u64>().unwrap())));
        }
        assert_eq!(seen.iter().filter(|(status, _)| *status == StatusCode::FORBIDDEN).count(), 20);
        responses.push(seen);
    }
    for ((status, retry), (other_status, other_retry)) in responses[0].iter().zip(&responses[1]) {
        assert_eq!((status, retry.is_some()), (other_status, other_retry.is_some()));
        // Time passes between the two names.
        assert!(retry.unwrap_or(0).abs_diff(other_retry.unwrap_or(0)) <= 60, "{responses:?}");
    }
}

#[tokio::test]
async fn a_full_queue_is_503_for_every_path() {
    let accounts = accounts();
    // A hash that runs until the end of the test, and a full queue.
    let (end, may_end) = std::sync::mpsc::channel::<()>();
    let mut jobs = vec![];
    let mut may_end = Some(may_end);
    for n in 0..=256_u32 {
        let queue = accounts.0.memory.hashing.clone();
        let may_end = may_end.take();
        let lane = hashing::Lane::Network(IpAddr::from(n.to_be_bytes()));
        let work = move || {
            may_end.map(|may_end| may_end.recv());
            Err(LoginError::Wrong)
        };
        let job = queue.clone();
        jobs.push(tokio::spawn(async move { job.run(lane, [0; 32], ClientClosed::default(), work).await }));
        tokio::task::yield_now().await;
        while n == 0 && format!("{queue:?}").contains("waiting: 1") {
            tokio::task::yield_now().await;
        }
    }
    let response = post(&accounts, "/-/sign-in", &[], &sign_in_form("/")).await;
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &HeaderValue::from_static("5"))
    );
    assert!(text(response).await.contains("Too many sign-ins at the moment; try again in 5 s."));
    // The credentials are checked before storage, so the response does not depend on the file.
    let media = crate::PrivateMedia::builder(crate::MemoryStorage::new()).identify(accounts.clone()).build();
    let mut responses = vec![];
    for path in ["/cars/7/photo.jpg", "/cars/7/none.jpg"] {
        let mut request = Request::get(path).body(()).unwrap();
        let basic = basic_header(&format!("alice:{PASSWORD}"));
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::try_from(basic).unwrap());
        let (response, _) = media.service().respond(&request.into_parts().0).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "5");
        let headers = response.headers().clone();
        responses.push((headers, response.into_body().collect().await.unwrap().to_bytes()));
    }
    assert_eq!(responses[0], responses[1]);
    end.send(()).unwrap();
    for job in jobs {
        assert!(matches!(job.await.unwrap(), Ok(Err(LoginError::Wrong))));
    }
}

#[test]
fn invalid_files_are_rejected_with_one_line() {
    let hash = file().into_accounts().next().unwrap().password;
    let account = |text: &str| {
        format!("[[account]]\n{}", text.replace("HASH", &format!("password = \"{}\"", hash.expose())))
    };
    for (text, part) in [
        ("account = 5".to_owned(), "line 1"),
        ("[[acount]]\nname = \"a\"".into(), "unknown field `acount`"),
        (account("name = \"a\"\nid = \"1\""), "missing field `password`"),
        (account("name = \"a\"\nid = \"1\"\npassword = \"plain\""), "account add"),
        (
            account(
                "name = \"a\"\nid = \"1\"\npassword = \"$argon2i$v=19$m=16,t=2,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA\"",
            ),
            "account add",
        ),
        (account("name = \"a\"\nid = 1\nHASH"), "line 3"),
        (account("name = \"\"\nid = \"1\"\nHASH"), "invalid name"),
        (account("name = \"a:b\"\nid = \"1\"\nHASH"), "colons"),
        (account("name = \"anonymous\"\nid = \"1\"\nHASH"), "other than anonymous"),
        (account("name = \"a\"\nid = \"a/b\"\nHASH"), "\"a/b\""),
        (account("name = \"a\"\nid = \"\"\nHASH"), "id \"\""),
        (account("name = \"a\"\nid = \"1\"\ngroups = [\"x\", \"x\"]\nHASH"), "groups"),
        (account("name = \"a\"\nid = \"1\"\nstaf = true\nHASH"), "unknown field `staf`"),
        (
            format!(
                "{}\n{}",
                account("name = \"a\"\nid = \"1\"\nHASH"),
                account("name = \"a\"\nid = \"2\"\nHASH")
            ),
            "the name is already taken",
        ),
        (
            format!(
                "{}\n{}",
                account("name = \"a\"\nid = \"1\"\nHASH"),
                account("name = \"b\"\nid = \"1\"\nHASH")
            ),
            "already belongs to a",
        ),
        ("secret = \"short\"".into(), "secret"),
    ] {
        let error = AccountsFile::parse(&text).unwrap_err().to_string();
        assert!(error.contains(part) && !error.contains('\n'), "{text}\n{error}");
        assert!(!error.contains(hash.expose()), "the error contains a hash: {error}");
    }
    let mut file = file();
    assert!(file.add(new("dave", "10", "1234567")).unwrap_err().to_string().contains("too short"));
    assert!(
        file.add(new("alice", "10", PASSWORD)).unwrap_err().to_string().contains("the name is already taken")
    );
    assert!(file.remove("dave").unwrap_err().to_string().contains("no such account"));
}

#[test]
fn files_on_disk_are_private_and_keep_their_secret() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("accounts.toml");
    assert!(AccountsFile::load(&path).unwrap_err().is_missing());
    let written = AccountsFile::update(&path, |file| file.add(new("alice", "7", PASSWORD))).unwrap();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    let read = AccountsFile::load(&path).unwrap();
    assert_eq!(read.users().map(|user| user.id().to_owned()).collect::<Vec<_>>(), ["7"]);
    assert!(read.secret().is_some() && read.secret() == written.secret(), "the secret is unchanged");
    assert!(read.digest().is_some() && read.digest() == written.digest());
    assert_eq!(folder.path().read_dir().unwrap().count(), 1, "no draft remains");
    for bad in [0o640, 0o604, 0o620, 0o666] {
        std::fs::set_permissions(&path, PermissionsExt::from_mode(bad)).unwrap();
        let error = AccountsFile::load(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && error.contains(&format!("{bad:03o}")), "{error}");
    }
    let add = |file: &mut AccountsFile| file.add(new("bob", "8", PASSWORD));
    assert!(AccountsFile::update(folder.path().join("none/accounts.toml"), add).is_err());
    assert!(AccountsFile::update(&path, add).unwrap_err().to_string().contains("chmod 600"));
}

#[test]
fn debug_shows_no_secrets() {
    let file = file();
    let text = toml::to_string(&file).unwrap();
    let secret = text.lines().next().unwrap().split('"').nth(1).unwrap();
    let shown = format!("{file:?} {:?} {:?}", accounts(), new("alice", "7", PASSWORD));
    assert!(!shown.contains(secret) && !shown.contains("argon2") && !shown.contains(PASSWORD), "{shown}");
    assert_eq!(copy(&file).users().collect::<Vec<User>>(), file.users().collect::<Vec<User>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_headers_identify_nobody(value in prop::collection::vec(prop_oneof![Just(b'='), Just(b'"'), Just(b';'), 0x20_u8..0x7f, 0x80_u8..], 0..80), prefix in "(private_media_session=)?|(Basic )?") {
        let accounts = Accounts::new(AccountsFile::default(), AccountsOptions::default()).unwrap();
        let mut headers = HeaderMap::new();
        let value = [prefix.as_bytes(), &value].concat();
        for name in ["cookie", "authorization"] {
            headers.clear();
            headers.insert(name, HeaderValue::from_bytes(&value).unwrap());
            let mut request = Request::new(());
            *request.headers_mut() = headers.clone();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let head = request.into_parts().0;
            let identity = runtime.block_on(accounts.identify(&head)).unwrap();
            prop_assert_eq!(identity.user(), None);
            prop_assert_eq!(identity.rejection().is_some(), accounts.recognizes(&head));
        }
    }
}

#[tokio::test]
async fn session_of_creates_a_valid_session() {
    let accounts = Accounts::new(file(), AccountsOptions::default()).unwrap();
    let cookie = accounts.session_of("alice", Duration::from_secs(60)).unwrap();
    assert!(cookie.is_sensitive());
    assert_eq!(identify(&accounts, &[("cookie", cookie.to_str().unwrap())]).await.as_deref(), Some("7"));
    let token = cookie.to_str().unwrap().split_once('=').unwrap().1;
    assert!(accounts.session(token, SystemTime::now() + Duration::from_secs(61)).is_err());
    assert_eq!(accounts.session_of("mallory", Duration::from_secs(60)), None);
}
