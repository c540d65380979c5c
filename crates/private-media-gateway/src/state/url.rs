//! The setting `state`: the location of the state store.

use std::fmt;
use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;

/// The location of the state store: `sqlite:PATH`, `postgres://…` or `memory`.
#[derive(Clone)]
pub(crate) enum StateUrl {
    Memory,
    Sqlite(PathBuf),
    Postgres(Box<PgConnectOptions>),
}

impl StateUrl {
    /// Parses the setting. A SQLite file is relative to `folder`.
    pub(crate) fn parse(value: &str, folder: &Path) -> Result<Self, String> {
        const EXPECTED: &str = "write sqlite:PATH, postgres://USER:PASSWORD@HOST/NAME or memory";
        if value == "memory" {
            return Ok(Self::Memory);
        }
        match value.split_once(':') {
            Some(("sqlite", path)) => match path.strip_prefix("//").unwrap_or(path) {
                "" => Err(format!("missing file; {EXPECTED}")),
                path => Ok(Self::Sqlite(folder.join(path))),
            },
            Some(("postgres" | "postgresql", _)) => match value.parse() {
                Ok(options) => Ok(Self::Postgres(Box::new(options))),
                Err(error) => Err(format!("invalid URL ({error}); {EXPECTED}")),
            },
            _ => Err(format!("unknown kind of state store; {EXPECTED}")),
        }
    }

    /// Returns the path of the SQLite file.
    pub(crate) fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Memory | Self::Postgres(_) => None,
        }
    }
}

/// Omits the password.
impl fmt::Debug for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(options) => write!(f, "postgres://{}:{}", options.get_host(), options.get_port()),
        }
    }
}
