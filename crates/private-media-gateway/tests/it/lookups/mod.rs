//! Lookups in the tables of an application, with each database.

mod decisions;
mod delivery;
mod examples;
mod injection;
mod invalid;
mod outages;

use private_media::identity::accounts::{AccountsFile, NewAccount};
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, raw_sql};

use crate::django::servers::Server;
use crate::support::{Gateway, PASSWORD, Place};

/// The id of erin.
const UUID: &str = "00112233-4455-6677-8899-aabbccddeeff";

/// A place with accounts, and a database with the tables of an application.
struct Application {
    place: Place,
    server: Server,
}

impl Application {
    /// Creates the tables. `None` if the machine lacks the database.
    fn new(server: Option<Server>, sql: &str) -> Option<Self> {
        let application = Self { place: Place::new(), server: server? };
        AccountsFile::update(application.place.path("accounts.toml"), |file| {
            file.add(NewAccount::new("dave", "10", PASSWORD).groups(["sales"]))?;
            file.add(NewAccount::new("erin", UUID, PASSWORD))?;
            file.add(NewAccount::new("frank", "frank", PASSWORD))
        })
        .unwrap();
        if let Server::Postgres(_) = application.server {
            application.execute("create role reader login password 'pen@cil'");
        }
        application.execute(sql);
        if let Server::Postgres(_) = application.server {
            application.execute("grant select on all tables in schema public to reader");
        }
        Some(application)
    }

    /// Executes statements as a user who may write. Names are quoted as in standard SQL.
    fn execute(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        block_on(async {
            match &self.server {
                Server::Sqlite => {
                    raw_sql(sql).execute(&mut self.sqlite().await).await.unwrap();
                }
                Server::Postgres(_) => {
                    let mut connection =
                        PgConnection::connect(&self.server.owner_url(&self.place)).await.unwrap();
                    raw_sql(sql).execute(&mut connection).await.unwrap();
                }
                Server::MariaDb(_) => {
                    let mut connection =
                        MySqlConnection::connect(&self.server.owner_url(&self.place)).await.unwrap();
                    let quotes = "set session sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')";
                    raw_sql(quotes).execute(&mut connection).await.unwrap();
                    raw_sql(sql).execute(&mut connection).await.unwrap();
                }
            }
        });
    }

    /// Returns the text of a query's only value.
    fn query(&self, sql: &str) -> String {
        let sql = AssertSqlSafe(sql.to_owned());
        block_on(async {
            match &self.server {
                Server::Sqlite => raw_sql(sql).fetch_one(&mut self.sqlite().await).await.unwrap().get(0),
                Server::Postgres(_) => {
                    let mut connection =
                        PgConnection::connect(&self.server.owner_url(&self.place)).await.unwrap();
                    raw_sql(sql).fetch_one(&mut connection).await.unwrap().get(0)
                }
                Server::MariaDb(_) => {
                    let mut connection =
                        MySqlConnection::connect(&self.server.owner_url(&self.place)).await.unwrap();
                    raw_sql(sql).fetch_one(&mut connection).await.unwrap().get(0)
                }
            }
        })
    }

    async fn sqlite(&self) -> SqliteConnection {
        let options =
            SqliteConnectOptions::new().filename(self.place.path("db.sqlite3")).create_if_missing(true);
        options.connect().await.unwrap()
    }

    /// Writes the configuration: tables of TOML, in which `{database}` is the URL.
    fn configure(&self, toml: &str) {
        let url = self.server.url(&self.place);
        self.place.write("private-media.toml", toml.replace("{database}", &url));
    }

    fn serve(&self, arguments: &[&str]) -> Gateway {
        Gateway::start(&self.place.path(""), &[&["serve", "--listen", "127.0.0.1:0"], arguments].concat())
    }

    /// Returns the exit code of `check`, and what it prints.
    fn check(&self, user: &str, path: &str) -> (Option<i32>, String) {
        let output = self.place.run(&["check", user, path]);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A test with each database.
macro_rules! with_each_database {
    ($($test:ident)*) => {
        mod sqlite {
            $(#[test] fn $test() { super::$test(Some(crate::django::servers::Server::Sqlite)); })*
        }

        mod postgres {
            $(#[test] fn $test() { super::$test(crate::django::servers::Server::postgres()); })*
        }

        mod mariadb {
            $(#[test] fn $test() { super::$test(crate::django::servers::Server::mariadb()); })*
        }
    };
}

use with_each_database;
