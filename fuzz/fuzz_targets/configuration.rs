//! A configuration is refused with an error that names a key, or printed as a file with the same meaning.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use private_media_gateway::fuzzing::{Accepted, keys, load_config};
use tempfile::TempDir;
use toml::{Table, Value};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    file: File<'a>,
    flags: Vec<(u8, Text<'a>)>,
}

#[derive(Arbitrary, Debug)]
enum Text<'a> {
    Typical(u8),
    Raw(&'a str),
}

#[derive(Arbitrary, Debug)]
enum File<'a> {
    Raw(&'a str),
    Built(Vec<(u8, Setting<'a>)>),
}

#[derive(Arbitrary, Debug)]
enum Setting<'a> {
    Text(Text<'a>),
    Number(i64),
    Boolean(bool),
    List(Vec<Text<'a>>),
    Grants(Vec<(Text<'a>, Vec<Text<'a>>)>),
}

/// Values that some setting takes, or nearly takes.
const TYPICAL: [&str; 60] = [
    "127.0.0.1:0",
    "[::1]:80",
    "private",
    "/srv/private",
    "../private",
    "/",
    "/files/",
    "/a/b/",
    "/-/files/",
    "true",
    "false",
    "static",
    "2",
    "auto",
    "info",
    "warn",
    "private_media=debug",
    "accounts",
    "django",
    "accounts;django",
    "{source = \"django\", session_cookie = \"a\", login_url = \"/login/\"}",
    "[{source = \"accounts\", cache_ttl = \"1s\"}, {source = \"django\"}]",
    "{source = \"accounts\", login_url = \"none\"}",
    "accounts.toml",
    "5s",
    "0s",
    "14d",
    "1h 5m",
    "400d",
    "sqlite:db.sqlite3",
    "sqlite:///var/db",
    "postgres://reader:pencil@localhost/shop",
    "mysql://reader@localhost/shop",
    "mariadb://localhost/shop?password=pencil",
    "db",
    "cached_db",
    "signed_cookies",
    "django.contrib.sessions.backends.signed_cookies",
    "sessionid",
    "{*file}=staff",
    "cars/{owner}/{*file}=owner,staff",
    "a/{x}=group:a b,user: 7",
    "cars/{owner}/{*file}",
    "{*file}",
    "owner",
    "staff",
    "everyone",
    "group:sales",
    "user:7",
    "direct",
    "nginx",
    "apache",
    "full-path",
    "plain",
    "encoded",
    "007",
    "+5",
    "512",
    "9223372036854775808",
    "18446744073709551616",
];

static FOLDER: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let file = folder.path().join("private-media.toml");
    (folder, file)
});

fuzz_target!(|input: Input<'_>| {
    let text = match &input.file {
        File::Raw(text) => (*text).to_owned(),
        File::Built(settings) => to_toml(settings),
    };
    let flags: Vec<_> = input
        .flags
        .iter()
        .take(8)
        .map(|(key, value)| format!("--{}={}", pick(*key).1, value.as_str()))
        .collect();
    let accepted = match load(&text, &flags) {
        None => return,
        Some(Err(error)) => return check_error(&error),
        Some(Ok(accepted)) => accepted,
    };
    let again = load(&accepted.toml, &[]).expect("what is printed has a literal address");
    let again =
        again.unwrap_or_else(|error| panic!("what is printed is refused: {error}\n{}", accepted.toml));
    assert_eq!(meaning(&again), meaning(&accepted), "{}", accepted.toml);
    // A flag's value is printed as a file has it, so the second print is the last.
    let third = load(&again.toml, &[]).unwrap().unwrap();
    assert_eq!(third.toml, again.toml);
});

fn load(text: &str, flags: &[String]) -> Option<Result<Accepted, String>> {
    let path = &FOLDER.1;
    std::fs::write(path, text).unwrap();
    let config = format!("--config={}", path.display());
    load_config(&[&[config], flags].concat())
}

/// Paths in a file are relative to its folder, and those in flags to the current one.
fn meaning(accepted: &Accepted) -> String {
    let folder = |path: &Path| path.display().to_string();
    accepted.meaning.replace(&format!("{}/", folder(FOLDER.0.path())), "")
}

fn check_error(error: &str) {
    assert!(!error.chars().any(char::is_control), "{error:?} is not one line");
    let names_key = keys().any(|(name, flag)| error.contains(name) || error.contains(&format!("--{flag}")));
    let names_line = error.contains(": line ")
        || error.contains("unknown key")
        || error.contains("stream did not contain valid UTF-8");
    assert!(names_key || names_line, "{error:?} names no key");
}

fn pick(number: u8) -> (&'static str, &'static str) {
    let count = keys().count();
    keys().nth(usize::from(number) % count).unwrap()
}

fn to_toml(settings: &[(u8, Setting<'_>)]) -> String {
    let mut table = Table::new();
    for (number, setting) in settings.iter().take(12) {
        let (name, _) = pick(*number);
        match name.split_once('.') {
            // A key that is there already begins the next table.
            Some(("identity", name)) => {
                let tables = table.entry("identity").or_insert_with(|| Value::Array(Vec::new()));
                let Some(tables) = tables.as_array_mut() else { continue };
                let is_full = |table: &Value| table.get(name).is_some();
                if tables.last().is_none_or(is_full) {
                    let source = if matches!(name, "accounts") { "accounts" } else { "django" };
                    tables.push(Table::from_iter([("source".to_owned(), source.into())]).into());
                }
                if let Some(table) = tables.last_mut().and_then(Value::as_table_mut) {
                    table.insert(name.into(), setting.value());
                }
            }
            Some((within, name)) => {
                let inner = table.entry(within).or_insert_with(|| Value::Table(Table::new()));
                if let Some(inner) = inner.as_table_mut() {
                    inner.insert(name.into(), setting.value());
                }
            }
            None => {
                table.insert(name.into(), setting.value());
            }
        }
    }
    table.to_string()
}

impl Setting<'_> {
    fn value(&self) -> Value {
        let texts = |texts: &[Text<'_>]| Value::from(texts.iter().map(Text::as_str).collect::<Vec<_>>());
        match self {
            Self::Text(text) => text.as_str().into(),
            Self::Number(number) => (*number).into(),
            Self::Boolean(boolean) => (*boolean).into(),
            Self::List(items) => texts(items),
            Self::Grants(grants) => {
                let grants = grants.iter().map(|(path, to)| {
                    let fields =
                        [("path".to_owned(), Value::from(path.as_str())), ("to".to_owned(), texts(to))];
                    Value::Table(fields.into_iter().collect())
                });
                Value::Array(grants.collect())
            }
        }
    }
}

impl Text<'_> {
    fn as_str(&self) -> &str {
        match self {
            Self::Typical(number) => TYPICAL[usize::from(*number) % TYPICAL.len()],
            Self::Raw(text) => text,
        }
    }
}
