//! Whatever a path contains, it is data to the database.

use private_media::request::MAX_PATH;

use super::{Application, with_each_database};
use crate::django::servers::Server;

with_each_database!(no_path_changes_the_query paths_are_compared_as_they_are);

const TABLES: &str =
    "create table files (a varchar(255), b varchar(255), rest varchar(1024), owner_id bigint);
    create table secrets (secret varchar(255));
    insert into secrets values ('a secret');
    insert into files values ('x', 'y', 'z', 7);
    insert into files values ('other', 'y', 'z', 7);";

const CONFIGURATION: &str = "
[[lookup]]
path = \"files/{a}/{b}/{*rest}\"
database = \"{database}\"
cache = \"0s\"
query = \"select owner_id as owner, a, b, rest from files where a = {a} and b = {b} and rest = {rest}\"

[[grant]]
path = \"files/{*file}\"
to = [\"owner\", \"staff\"]
";

/// Payloads for parameters. Those with a percent sign are sent verbatim, all others percent-encoded.
const PAYLOADS: [&str; 44] = [
    "' or '1'='1",
    "' or 1=1 -- ",
    "' or 1=1 #",
    "') or ('1'='1",
    "\" or \"\"=\"",
    "` or 1=1",
    "1 or 1=1",
    "1; drop table files",
    "'; drop table files; --",
    "'; drop table secrets; select '",
    "'; update files set owner_id = 9; --",
    "'; insert into files values ('x', 'y', 'z', 8); --",
    "'; delete from files where '1'='1",
    "' union select 7, 'x', 'y', 'z' -- ",
    "' union all select secret, 'x', 'y', 'z' from secrets -- ",
    "x' and (select count(*) from secrets) > 0 and 'a'='a",
    "x'||'",
    "x' || (select secret from secrets) || '",
    "x'; select pg_sleep(9); --",
    "x' and sleep(9) and '",
    "x' and randomblob(999999999) and '",
    "x' into outfile 'injected.txt",
    "x'; attach database 'injected.db' as injected; --",
    "$1",
    "$$ or 1=1 $$",
    "?",
    "?1",
    ":a",
    "@@version",
    "{a}",
    "{rest}",
    "x",
    "%25",
    "_",
    "null",
    "0x78",
    "char(120)",
    "’ or 1=1",
    "＇ or ＇1＇=＇1",
    "x\u{200b}",
    "x\u{feff}",
    "🚗'",
    "%2527%2520or%25201=1",
    "x%E2%80%99",
];

/// What is no path at all: it is not found before a database is asked.
const NO_PATHS: [&str; 9] = [
    "x%00",
    "%00' or 1=1",
    "x%5C' or 1=1 -- ",
    "%5C",
    "%c0%a7 or 1=1",
    "%bf%27 or 1=1",
    "%ff%fe",
    "x%0a",
    "%2e%2e",
];

fn application(server: Option<Server>) -> Option<Application> {
    let application = Application::new(server, TABLES)?;
    // Even a user who may write cannot.
    let url = application.server.owner_url(&application.place);
    application.place.write("private-media.toml", CONFIGURATION.replace("{database}", &url));
    Some(application)
}

/// Returns all rows as text.
fn rows(application: &Application) -> String {
    let concat = match application.server {
        Server::MariaDb(_) => "group_concat(concat_ws('/', a, b, rest, owner_id) order by a separator ';')",
        Server::Postgres(_) => "string_agg(concat_ws('/', a, b, rest, owner_id), ';' order by a)",
        Server::Sqlite => "group_concat(a || '/' || b || '/' || rest || '/' || owner_id, ';')",
    };
    let files =
        application.query(&format!("select {concat} from (select * from files order by a) as ordered"));
    format!("{files} {}", application.query("select max(secret) from secrets"))
}

fn encoded(payload: &str) -> String {
    if payload.contains('%') {
        return payload.replace(' ', "%20");
    }
    payload.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Each capture has each payload, and each long text, in turn.
fn no_path_changes_the_query(server: Option<Server>) {
    let Some(application) = application(server) else { return };
    let before = rows(&application);
    assert!(before.contains("x/y/z/7") && before.ends_with(" a secret"), "{before}");
    let gateway = application.serve(&[]);
    application.place.write("private/files/x/y/z", "the file");
    let missing = gateway.get("/private/files/none/none/none", "carol").normalized();
    assert_eq!(gateway.get("/private/files/x/y/z", "alice").status, 200);
    let quotes: Vec<_> = [255, 256, MAX_PATH, 3 * MAX_PATH].into_iter().map(|len| "'".repeat(len)).collect();
    let payloads = PAYLOADS.into_iter().chain(NO_PATHS).chain(quotes.iter().map(String::as_str));
    for payload in payloads {
        let encoded = encoded(payload);
        for path in [
            format!("{encoded}/y/z"),
            format!("x/{encoded}/z"),
            format!("x/y/{encoded}"),
            format!("x/y/z/{encoded}"),
        ] {
            // The file exists, in case a row is found.
            if let Ok(path) = private_media::MediaPath::from_url(&format!("files/{path}")) {
                if path.as_str() == "files/x/y/z" || path.as_str().starts_with("files/x/y/z/") {
                    continue;
                }
                application.place.write(&format!("private/{path}"), "the file");
            }
            for user in ["alice", "carol"] {
                let response = gateway.get(&format!("/private/files/{path}"), user);
                if path != "x/y/z" && payload != "x" {
                    assert_eq!(response.normalized(), missing, "{user} {path}: {}", gateway.log());
                }
            }
        }
    }
    assert_eq!(rows(&application), before);
    let log = gateway.log();
    for text in ["syntax", "the lookup failed", "a secret"] {
        assert!(!log.contains(text), "a text is data, not SQL: {log}");
    }
    assert_eq!(gateway.get("/private/files/x/y/z", "alice").status, 200);
}

/// The same texts find their own rows.
fn paths_are_compared_as_they_are(server: Option<Server>) {
    let Some(application) = application(server) else { return };
    let keys = ["' or '1'='1", "'; drop table files; --", "%", "_", "$1", "{a}", "🚗'", "a\"b`c"];
    for key in keys {
        let quoted = key.replace('\'', "''");
        application.execute(&format!("insert into files values ('{quoted}', 'y', 'z', 8)"));
        application.place.write(&format!("private/files/{key}/y/z"), key);
    }
    let gateway = application.serve(&[]);
    for key in keys {
        let path = private_media::MediaPath::new(&format!("files/{key}/y/z")).unwrap().to_url();
        let response = gateway.get(&format!("/private/{path}"), "bob");
        assert_eq!((response.status, &*response.body), (200, key.as_bytes()), "{key}");
        assert_eq!(gateway.get(&format!("/private/{path}"), "alice").status, 404, "{key}");
    }
}
