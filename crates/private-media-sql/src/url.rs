//! The URL of a database.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::error::DatabaseError;

/// The URL of a database: `sqlite:PATH`, `postgres://USER:PASSWORD@HOST:PORT/NAME` or `mysql://USER:PASSWORD@HOST:PORT/NAME`. `Display`
/// and `Debug` hide the password.
///
/// ```
/// use private_media_sql::DatabaseUrl;
///
/// let url: DatabaseUrl = "postgres://reader:pencil@localhost/shop".parse()?;
/// assert_eq!(url.to_string(), "postgres://reader:…@localhost/shop");
/// assert!("oracle://localhost/shop".parse::<DatabaseUrl>().is_err());
/// # Ok::<(), private_media_sql::DatabaseError>(())
/// ```
#[derive(Clone)]
pub struct DatabaseUrl {
    options: Options,
    shown: String,
    file: Option<PathBuf>,
}

/// The options of the database driver.
#[derive(Clone)]
pub(crate) enum Options {
    Sqlite(SqliteConnectOptions),
    Postgres(PgConnectOptions),
    MySql(MySqlConnectOptions),
}

impl DatabaseUrl {
    /// Resolves a relative SQLite path against this folder.
    #[must_use]
    pub fn relative_to(mut self, folder: &Path) -> Self {
        if let Some(file) = self.file.take() {
            let file = folder.join(file);
            self.options = Options::Sqlite(SqliteConnectOptions::new().filename(&file));
            self.file = Some(file);
        }
        self
    }

    /// Returns the file of a SQLite database.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns a database URL without its password, for messages; the URL need not be valid.
    #[must_use]
    pub fn redacted(url: &str) -> String {
        let Some((scheme, rest)) = url.split_once(':') else { return "…".into() };
        match scheme {
            "sqlite" => return url.to_owned(),
            "postgres" | "postgresql" | "mysql" | "mariadb" => {}
            _ => return "…".into(),
        }
        // The query may contain a password, too.
        let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?…"));
        let Some((user, place)) = rest.rsplit_once('@') else {
            // Without a user, a password can only be in the wrong place.
            let is_plain = rest.chars().all(|c| c.is_ascii_alphanumeric() || "/.-_".contains(c));
            return format!("{scheme}:{}{query}", if is_plain { rest } else { "//…" });
        };
        let user = user.strip_prefix("//").unwrap_or(user);
        match user.split_once(':') {
            Some((user, _)) => format!("{scheme}://{user}:…@{place}{query}"),
            None => format!("{scheme}://{user}@{place}{query}"),
        }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseError;

    fn from_str(url: &str) -> Result<Self, DatabaseError> {
        let invalid = |problem: &dyn fmt::Display| {
            DatabaseError::new(format!(
                "{problem}; expected sqlite:PATH, postgres://USER:PASSWORD@HOST/NAME or mysql://USER:PASSWORD@HOST/NAME"
            ))
        };
        let parsed = |error: sqlx::Error| invalid(&format_args!("not a database URL ({error})"));
        let shown = Self::redacted(url);
        let (options, file) = match url.split_once(':') {
            Some(("sqlite", path)) => {
                let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
                if path.as_os_str().is_empty() {
                    return Err(invalid(&"no file name"));
                }
                (Options::Sqlite(SqliteConnectOptions::new().filename(&path)), Some(path))
            }
            Some(("postgres" | "postgresql", _)) => (Options::Postgres(url.parse().map_err(parsed)?), None),
            Some(("mysql" | "mariadb", _)) => (Options::MySql(url.parse().map_err(parsed)?), None),
            _ => return Err(invalid(&"unknown database scheme")),
        };
        Ok(Self { options, shown, file })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            ("postgres://reader:pencil@localhost:5432/shop", "postgres://reader:…@localhost:5432/shop"),
            ("mysql://reader@localhost/shop", "mysql://reader@localhost/shop"),
            ("mysql://:pencil@localhost/shop", "mysql://:…@localhost/shop"),
            ("postgres://a:pen@cil/x@localhost/shop", "postgres://a:…@localhost/shop"),
            ("postgres:a:pencil@localhost/shop", "postgres://a:…@localhost/shop"),
            ("postgres://localhost/shop?password=pencil", "postgres://localhost/shop?…"),
            ("postgres://a:pencil", "postgres://…"),
            ("postgres://localhost/shop", "postgres://localhost/shop"),
            ("sqlite:db.sqlite3", "sqlite:db.sqlite3"),
            ("pencil", "…"),
            ("pg://a:pencil@localhost", "…"),
            ("", "…"),
        ] {
            assert_eq!(DatabaseUrl::redacted(url), shown, "{url}");
            let parsed = url.parse::<DatabaseUrl>();
            let text = parsed.map_or_else(|error| error.to_string(), |url| format!("{url:?}"));
            assert!(!text.contains("pencil"), "{text}");
        }
    }

    #[test]
    fn a_relative_sqlite_path_is_relative_to_the_folder() {
        for (url, file) in [
            ("sqlite:db.sqlite3", "/srv/shop/db.sqlite3"),
            ("sqlite://db.sqlite3", "/srv/shop/db.sqlite3"),
            ("sqlite:///var/db.sqlite3", "/var/db.sqlite3"),
            ("sqlite:/var/a b?.sqlite3", "/var/a b?.sqlite3"),
        ] {
            let url = url.parse::<DatabaseUrl>().unwrap().relative_to(Path::new("/srv/shop"));
            assert_eq!(url.file(), Some(Path::new(file)));
        }
        assert!("sqlite:".parse::<DatabaseUrl>().is_err() && "sqlite://".parse::<DatabaseUrl>().is_err());
    }
}
