//! An invalid lookup ends the start with one line that names the key, the value and the fix.

use super::{Application, with_each_database};
use crate::django::servers::Server;
use crate::support::Place;

with_each_database!(queries_are_checked_at_the_start);

const TABLE: &str =
    "create table files (path varchar(255), owner_id bigint, size double precision, content bytea_type)";

fn queries_are_checked_at_the_start(server: Option<Server>) {
    let bytes = if let Some(Server::Postgres(_)) = server { "bytea" } else { "blob" };
    let Some(application) = Application::new(server, &TABLE.replace("bytea_type", bytes)) else { return };
    application.place.write("private/files/x", "x");
    let is_sqlite = matches!(application.server, Server::Sqlite);
    for (query, part) in [
        ("select owner_id as owner from files", "uses no variable of the path"),
        (
            "select owner_id as owner from files where path = {id}",
            "{id} is no variable of the path files/{key}",
        ),
        ("select owner_id as owner from files where path = '{key}'", "{key} is inside quotes"),
        (
            "select owner_id from files where path = {key}",
            "unknown column \"owner_id\"; expected one of owner, group",
        ),
        ("select owner_id as owner, 1 as x from files where path = {key}", "unknown column \"x\""),
        ("select owner_id as owner, 1 as owner from files where path = {key}", "two columns are named owner"),
        ("select * from files where path = {key}", "unknown column \"path\""),
        ("select owner_id as owner from nothing where path = {key}", "nothing"),
        ("select owner_id as owner from files where nothing = {key}", "nothing"),
        ("select owner_id as owner from files whree path = {key}", "invalid query"),
        ("select owner_id as owner from files where path = {key}; drop table files", "a second statement"),
        ("delete from files where path = {key}", "begins with delete"),
        ("update files set owner_id = 1 where path = {key}", "begins with update"),
        ("insert into files values ({key}, 1, 1, null)", "begins with insert"),
        (
            "with x as (delete from files where path = {key} returning owner_id) select owner_id as owner from x",
            "the word delete",
        ),
        ("", "it is empty"),
    ] {
        application.configure(&format!(
            "[[lookup]]\npath = \"files/{{key}}\"\ndatabase = \"{{database}}\"\nquery = \"\"\"{query}\"\"\"\n"
        ));
        let line = application.place.refusal(&["serve"]);
        assert!(line.contains("lookup.query") && line.contains(part), "{query}: {line}");
        assert!(!line.contains("pen@cil") && !line.contains("pen%40cil"), "{line}");
    }
    // SQLite has no types before there is a row.
    for (query, part) in [
        ("select size as owner from files where path = {key}", "the column owner has the type"),
        ("select content as name from files where path = {key}", "the column name has the type"),
        ("select path as public from files where path = {key}", "the column public has the type"),
    ] {
        application.configure(&format!(
            "[[lookup]]\npath = \"files/{{key}}\"\ndatabase = \"{{database}}\"\ncache = \"0s\"\nquery = \"{query}\"\n"
        ));
        if is_sqlite {
            let value = if query.contains("path as") { "'x'" } else { "x'00'" };
            application.execute("delete from files");
            application.execute(&format!("insert into files values ('x', 1, {value}, {value})"));
            let gateway = application.serve(&[]);
            assert_eq!(gateway.get("/private/files/x", "carol").status, 404);
            assert!(gateway.logs(part), "{query}: {}", gateway.log());
        } else {
            let line = application.place.refusal(&["serve"]);
            assert!(line.contains(part), "{query}: {line}");
        }
    }
    assert_eq!(
        application.query("select cast(count(*) as char(9)) from files").trim(),
        if is_sqlite { "1" } else { "0" }
    );
}

#[test]
fn tables_are_checked_at_the_start() {
    let place = Place::new();
    place.write("db.sqlite3", "");
    place.write("private/db.sqlite3", "");
    let valid = "path = \"a/{key}\"\ndatabase = \"sqlite:db.sqlite3\"\nquery = \"select 1 as public where {key} = 1\"\n";
    for (toml, part) in [
        ("[lookup]\npath = \"a\"\n", "write [[lookup]] with double brackets"),
        ("[[lookup]]\n", "missing key \"path\"; set it, e.g. path = \"blobs/{key}\""),
        ("[[lookup]]\npath = \"a/{key}\"\n", "missing key \"database\""),
        ("[[lookup]]\npath = \"a/{key}\"\ndatabase = \"sqlite:db.sqlite3\"\n", "missing key \"query\""),
        ("[[lookup]]\npath = 7\n", "invalid value 7 for path: expected a text in quotes"),
        ("[[lookup]]\npaht = \"a\"\n", "did you mean \"path\"?"),
        ("[[lookup]]\nto = [\"owner\"]\n", "unknown key \"to\""),
        (&format!("[[lookup]]\n{valid}cache = \"5\"\n"), "missing unit"),
        (&format!("[[lookup]]\n{}", valid.replace("a/{key}", "/a/{key}")), "remove the '/'"),
        (&format!("[[lookup]]\n{}", valid.replace("sqlite:db", "oracle:db")), "unknown database scheme"),
        (
            &format!("[[lookup]]\n{}", valid.replace("sqlite:db", "sqlite:none")),
            "cannot connect to the database",
        ),
        (
            &format!("[[lookup]]\n{}", valid.replace("sqlite:db", "sqlite:private/db")),
            "the file is inside the root",
        ),
        (
            &format!(
                "[[lookup]]\n{}",
                valid.replace("sqlite:db.sqlite3", "postgres://a:pencil@127.0.0.1:1/b")
            ),
            "a:…@127.0.0.1:1",
        ),
        (&format!("[[lookup]]\n{valid}\n[[lookup]]\n{valid}"), "an earlier lookup has the same path"),
        (
            &format!("[[lookup]]\n{valid}\n[[grant]]\npath = \"b/{{key}}\"\nto = [\"owner\"]\n"),
            "needs {owner} in the path, or a lookup that covers the path",
        ),
        (
            &format!("[[lookup]]\n{valid}\n[[grant]]\npath = \"b/{{key}}\"\nto = [\"group\"]\n"),
            "the grantee group needs a lookup",
        ),
    ] {
        place.write("private-media.toml", toml);
        let line = place.refusal(&["serve"]);
        assert!(line.contains(part) && !line.contains("pencil"), "{toml}: {line}");
    }
    // A flag is named, too.
    place.write("private-media.toml", "");
    let line = place.refusal(&[
        "serve",
        "--lookup",
        "{path = \"a/{key}\", database = \"sqlite:none.sqlite3\", query = \"select 1; select 2\"}",
    ]);
    assert!(line.contains("database in --lookup \"sqlite:none.sqlite3\""), "{line}");
}

#[test]
fn the_configuration_shows_lookups_without_passwords() {
    let place = Place::new();
    let toml = "[[lookup]]\npath = \"a/{key}\"\ndatabase = \"postgres://a:pencil@h/b\"\nquery = \"select 'x;y' as name where {key} = 1\"\n\n[[grant]]\npath = \"a/{key}\"\nto = [\"owner\", \"group\"]\n";
    place.write("private-media.toml", toml);
    let output = place.run(&["config", "show"]);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    for part in [
        "[[lookup]]  # private-media.toml",
        "database = \"postgres://a:…@h/b\"",
        "cache = \"5s\"  # default",
        "'x;y'",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("pencil"), "{text}");
}
