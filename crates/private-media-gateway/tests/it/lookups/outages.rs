//! While a database is away, nobody reads what depends on it.

use super::Application;
use crate::django::servers::Server;

const TABLE: &str =
    "create table files (path varchar(255), owner_id bigint); insert into files values ('x', 7)";
const CONFIGURATION: &str = "
[[lookup]]
path = \"files/{key}\"
database = \"{database}\"
cache = \"0s\"
query = \"select owner_id as owner from files where path = {key}\"

[[grant]]
path = \"{*file}\"
to = [\"owner\", \"staff\"]
";

fn application(server: Option<Server>) -> Option<Application> {
    let application = Application::new(server, TABLE)?;
    application.place.write("private/files/x", "x");
    application.place.write("private/other", "x");
    application.configure(CONFIGURATION);
    Some(application)
}

#[test]
fn a_server_that_is_away_denies_until_it_is_back() {
    for server in [Server::postgres(), Server::mariadb()] {
        let Some(mut application) = application(server) else { return };
        let gateway = application.serve(&[]);
        let status = |path: &str, user: &str| gateway.get(&format!("/private/{path}"), user).status;
        assert_eq!(status("files/x", "alice"), 200);
        application.server.stop();
        for user in ["alice", "carol", "nobody"] {
            assert_eq!(status("files/x", user), 404, "{user}");
        }
        assert_eq!(status("other", "carol"), 200, "a file that no lookup covers needs no database");
        assert!(gateway.logs("the lookup failed: files/{key}: "), "{}", gateway.log());
        assert!(!gateway.log().contains("cil@"), "{}", gateway.log());
        application.server.start_again();
        let begin = std::time::Instant::now();
        while status("files/x", "alice") == 404 {
            assert!(begin.elapsed().as_secs() < 30, "{}", gateway.log());
        }
        assert_eq!(status("files/x", "bob"), 404);
    }
}

#[test]
fn a_replaced_sqlite_file_is_read() {
    let Some(application) = application(Some(Server::Sqlite)) else { return };
    let (database, copy) = (application.place.path("db.sqlite3"), application.place.path("copy.sqlite3"));
    std::fs::copy(&database, &copy).unwrap();
    application.execute("update files set owner_id = 8");
    let gateway = application.serve(&[]);
    let statuses = || ["alice", "bob"].map(|user| gateway.get("/private/files/x", user).status);
    assert_eq!(statuses(), [404, 200]);
    std::fs::rename(&copy, &database).unwrap();
    assert_eq!(statuses(), [200, 404], "{}", gateway.log());
    std::fs::rename(&database, &copy).unwrap();
    assert_eq!(statuses(), [404, 404]);
    assert!(gateway.logs("cannot read the database"), "{}", gateway.log());
    std::fs::rename(&copy, &database).unwrap();
    assert_eq!(statuses(), [200, 404], "{}", gateway.log());
    assert!(gateway.logs("the database can be read again"), "{}", gateway.log());
}

/// Writers of the application and readers of the gateway use the file at the same time.
#[test]
fn a_sqlite_file_is_read_while_it_is_written() {
    for mode in ["delete", "wal"] {
        let Some(application) = application(Some(Server::Sqlite)) else { return };
        application.execute(&format!("pragma journal_mode = {mode}"));
        let gateway = application.serve(&[]);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..40 {
                        let response = gateway.get("/private/files/x", "alice");
                        assert_eq!(response.status, 200, "{mode}: {}", gateway.log());
                    }
                });
            }
            for number in 0..30 {
                application.execute(&format!("insert into files values ('y{number}', 8)"));
            }
        });
        application.execute("update files set owner_id = 8 where path = 'x'");
        assert_eq!(gateway.get("/private/files/x", "alice").status, 404, "{mode}: a change is seen at once");
        assert_eq!(gateway.get("/private/files/x", "bob").status, 200, "{mode}");
    }
}
