//! Several identity sources: the first that recognizes a credential decides.

use crate::django::servers::Server;
use crate::django::shop::Shop;
use crate::support::{Gateway, PASSWORD, base64};

const ACCOUNTS: &str = "{source = \"accounts\"}";

/// Serves with these sources, and a grant that tells their users apart: carol is staff in both, erin is in Django alone.
fn serve(shop: &Shop, identities: &[&str]) -> Gateway {
    let identities = identities.iter().flat_map(|identity| ["--identity", identity]);
    let grants = ["--grant", "sales/{*file}=group:sales", "--cache-ttl", "0s"];
    shop.place.serve(&identities.chain(grants).collect::<Vec<_>>())
}

#[test]
fn each_credential_is_decided_by_its_source() {
    let Some(mut shop) = Shop::open("5.2", Some(Server::Sqlite), "db") else { return };
    let django = format!("{{source = \"django\", database = \"{}\"}}", shop.url);
    let session = |name: &str, shop: &mut Shop| format!("sessionid={}", shop.run(&format!("sign-in {name}")));
    let (alice, bob, erin) =
        (session("alice", &mut shop), session("bob", &mut shop), session("erin", &mut shop));
    let visitor = format!("sessionid={}", shop.run("visit"));
    let ended = session("alice", &mut shop);
    assert_eq!(shop.run(&format!("sign-out {}", ended.split_once('=').unwrap().1)), "ok");
    for order in [[django.as_str(), ACCOUNTS], [ACCOUNTS, django.as_str()]] {
        let gateway = serve(&shop, &order);
        let form = format!("name=alice&password={}", PASSWORD.replace(' ', "+"));
        let signed_in = gateway.send("POST /private/-/sign-in", &[], form.as_bytes());
        let account = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let forged = "private_media_session=forged";
        let basic = format!("Basic {}", base64(&format!("alice:{PASSWORD}")));
        let is_django_first = order[0] == django;
        for (cookies, authorization, django_first, accounts_first) in [
            (vec![], None, 404, 404),
            (vec![&*alice], None, 200, 200),
            (vec![&*account], None, 200, 200),
            (vec![], Some(&*basic), 200, 200),
            (vec![&*bob], None, 404, 404),
            // Both: the first source decides, also if it rejects.
            (vec![&*account, &*bob], None, 404, 200),
            (vec![&*alice, forged], None, 200, 404),
            (vec![&*account, &*ended], None, 404, 200),
            (vec![&*account, "sessionid=x"], None, 404, 200),
            // The session of a visitor is no credential.
            (vec![&*visitor], None, 404, 404),
            (vec![&*account, &*visitor], None, 200, 200),
            (vec![&*visitor], Some(&*basic), 200, 200),
            // With an Authorization header of another scheme, the accounts recognize nothing.
            (vec![&*account], Some("Bearer x"), 404, 404),
            (vec![&*alice], Some("Bearer x"), 200, 200),
            (vec![&*alice], Some("Basic x"), 200, 404),
        ] {
            let cookies = cookies.join("; ");
            let mut fields = vec![("cookie", cookies.as_str())];
            fields.extend(authorization.map(|value| ("authorization", value)));
            let response = gateway.fetch("GET /private/cars/7/photo.jpg", &fields);
            let expected = if is_django_first { django_first } else { accounts_first };
            assert_eq!(response.status, expected, "django first: {is_django_first}, {fields:?}");
            assert_eq!(response.header("vary"), Some("cookie, authorization"));
        }
        let prices =
            |cookie: &str| gateway.fetch("GET /private/sales/prices.txt", &[("cookie", cookie)]).status;
        assert_eq!((prices(&erin), prices(&account)), (200, 404));
        let rejected: Vec<_> = gateway
            .access_log()
            .into_iter()
            .filter_map(|line| Some(line["rejected"].as_str()?.to_owned()))
            .collect();
        assert!(!rejected.is_empty());
        for reason in &rejected {
            let is_reason = reason.starts_with("accounts: ") || reason.starts_with("django: ");
            assert!(is_reason && !reason.contains("forged"), "{reason}");
        }
        let log = gateway.log();
        assert!(
            ![&alice, &account, &visitor]
                .iter()
                .any(|secret| log.contains(secret.split_once('=').unwrap().1))
        );
    }
}

#[test]
fn an_error_of_the_deciding_source_denies() {
    let Some(mut shop) = Shop::open("5.2", Some(Server::Sqlite), "db") else { return };
    let django = format!("{{source = \"django\", database = \"{}\"}}", shop.url);
    let alice = format!("sessionid={}", shop.run("sign-in alice"));
    let gateway = serve(&shop, &[&django, ACCOUNTS]);
    let basic = format!("Basic {}", base64(&format!("alice:{PASSWORD}")));
    let status = |fields: &[(&str, &str)]| gateway.fetch("GET /private/cars/7/photo.jpg", fields).status;
    std::fs::rename(shop.place.path("db.sqlite3"), shop.place.path("away.sqlite3")).unwrap();
    assert_eq!(status(&[("cookie", &alice), ("authorization", &basic)]), 404);
    assert_eq!(status(&[("authorization", &basic)]), 200, "the source that failed is not asked");
}

#[test]
fn users_are_found_in_every_source() {
    let Some(shop) = Shop::open("5.2", Some(Server::Sqlite), "db") else { return };
    let django = format!("{{source = \"django\", database = \"{}\"}}", shop.url);
    let check = |user: &str| {
        let sources = ["--identity", &django, "--identity", ACCOUNTS, "--grant", "{*file}=authenticated"];
        shop.place.run(&[&["check", user, "cars/7/photo.jpg"], &sources[..]].concat())
    };
    assert!(check("erin").status.success() && check("alice").status.success());
    let output = check("dave");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    for part in
        ["\"dave\"", "no such user in Django's database", "no such account in accounts.toml", "anonymous"]
    {
        assert!(line.contains(part), "{line}");
    }
}
