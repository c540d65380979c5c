//! A Django project next to the gateway.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::servers::Server;
use crate::support::{Gateway, Place, Response, needs};

pub(super) const SECRET: &str = "the-secret-of-the-shop-0123456789-abcdefghijklmnopqrstuvwxyz";
const GRANTS: [&str; 4] =
    ["--grant", "cars/{owner}/{*file}=owner,staff", "--grant", "sales/{*file}=group:sales"];

/// Returns a Python with this version of Django; `None` if there is none.
pub(super) fn python(django: &str) -> Option<PathBuf> {
    let python =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/django").join(django).join("bin/python");
    needs(&format!("Django {django} in target/django"), python.exists()).then_some(python)
}

/// A Django project with users, and its database. Both are stopped when the test ends.
pub(crate) struct Shop {
    pub(crate) place: Place,
    pub(crate) url: String,
    project: Project,
    process: Child,
    commands: ChildStdin,
    replies: BufReader<ChildStdout>,
    // Dropped after the process that is connected to it.
    pub(super) server: Server,
}

impl Shop {
    pub(crate) fn open(django: &str, server: Option<Server>, engine: &str) -> Option<Self> {
        Self::open_with(django, server, engine, &json!({}))
    }

    /// Like [`Shop::open`], with more settings.
    pub(super) fn open_with(
        django: &str,
        server: Option<Server>,
        engine: &str,
        settings: &Value,
    ) -> Option<Self> {
        let (server, python) = (server?, python(django)?);
        let place = Place::new();
        place.write("private/sales/prices.txt", "dear");
        let url = server.url(&place);
        let project = Project {
            python,
            database: server.for_django(&place),
            engine: format!("django.contrib.sessions.backends.{engine}"),
            settings: settings.clone(),
        };
        let mut process =
            project.command(&json!({})).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (commands, replies) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let replies = BufReader::new(replies);
        let mut shop = Self { place, url, project, process, commands, replies, server };
        shop.write_secret(SECRET);
        assert_eq!(shop.run("create"), "ok");
        Some(shop)
    }

    pub(super) fn write_secret(&self, keys: &str) {
        self.place.write("secret.key", keys);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(self.place.path("secret.key"), mode).unwrap();
    }

    /// Runs a command of `tests/django-site/shop.py`, and returns its reply.
    pub(crate) fn run(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        let mut reply = String::new();
        self.replies.read_line(&mut reply).unwrap();
        assert!(!reply.is_empty(), "the project failed at: {command}");
        reply.trim_end().to_owned()
    }

    pub(crate) fn serve(&self, cache: &str, arguments: &[&str]) -> Gateway {
        let all = [&["serve", "--listen", "127.0.0.1:0", "--cache-ttl", cache], &*self.settings(), arguments];
        Gateway::start(&self.place.path(""), &all.concat())
    }

    /// Starts `manage.py serve_private_media` with more settings.
    pub(super) fn embedded(&self, settings: &Value, arguments: &[&str]) -> Gateway {
        Gateway::spawn(self.serve_private_media(settings, arguments), self.place.path("embedded.log"))
    }

    /// Returns the error of `manage.py serve_private_media`.
    pub(super) fn embedded_refusal(&self, settings: &Value, arguments: &[&str]) -> String {
        let output = self.serve_private_media(settings, arguments).stdin(Stdio::null()).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{log}");
        assert!(!log.contains("Traceback"), "{log}");
        log
    }

    fn serve_private_media(&self, settings: &Value, arguments: &[&str]) -> Command {
        let mut command = self.project.command(&with(
            &json!({"PRIVATE_MEDIA_ROOT": self.place.path("private").to_str().unwrap()}),
            settings,
        ));
        command.args(["serve_private_media", "--bind", "127.0.0.1:0"]).args(arguments);
        command
    }

    /// Returns the arguments of the gateway that all commands share.
    pub(super) fn settings(&self) -> Vec<&str> {
        [&["--identity", "django", "--database", &self.url][..], &GRANTS].concat()
    }
}

/// The parameters of the process that runs the project.
struct Project {
    python: PathBuf,
    database: String,
    engine: String,
    settings: Value,
}

impl Project {
    fn command(&self, settings: &Value) -> Command {
        let apps = ["auth", "contenttypes", "sessions"].map(|app| format!("django.contrib.{app}"));
        let has_media = self.settings.get("PRIVATE_MEDIA_URL").is_some();
        let apps: Vec<_> = apps.into_iter().chain(has_media.then(|| "private_media".into())).collect();
        let settings = with(&with(&json!({"INSTALLED_APPS": apps}), &self.settings), settings);
        let mut command = Command::new(&self.python);
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/django-site/shop.py"))
            .env("SHOP_DATABASE", &self.database)
            .env("SHOP_ENGINE", &self.engine)
            .env("SHOP_SECRET", SECRET)
            .env("SHOP_SETTINGS", settings.to_string());
        command
    }
}

/// Returns settings, overridden by others.
pub(super) fn with(settings: &Value, others: &Value) -> Value {
    let mut all = settings.as_object().unwrap().clone();
    all.extend(others.as_object().unwrap().clone());
    all.into()
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn get(gateway: &Gateway, path: &str, cookie: &str) -> Response {
    gateway.fetch(&format!("GET /private/{path}"), &[("cookie", &format!("sessionid={cookie}"))])
}

/// Checks that an event ends the session of alice: immediately without a cache, and otherwise within the cache time.
pub(super) fn ends_session(shop: Option<Shop>, event: impl Fn(&mut Shop, &str)) {
    const CACHE: Duration = Duration::from_secs(2);
    let Some(mut shop) = shop else { return };
    let (uncached, cached) = (shop.serve("0s", &[]), shop.serve("2s", &[]));
    let cookie = shop.run("sign-in alice");
    let status = |gateway: &Gateway| get(gateway, "cars/7/photo.jpg", &cookie).status;
    assert_eq!((status(&uncached), status(&cached)), (200, 200));
    event(&mut shop, &cookie);
    assert_eq!(status(&uncached), 404);
    std::thread::sleep(CACHE);
    assert_eq!(status(&cached), 404);
}
