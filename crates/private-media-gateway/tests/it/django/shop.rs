//! A Django project beside the gateway.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::servers::Server;
use crate::support::{Answer, Gateway, Place, needs};

pub(super) const SECRET: &str = "the-secret-of-the-shop-0123456789-abcdefghijklmnopqrstuvwxyz";
const GRANTS: [&str; 4] =
    ["--grant", "cars/{owner}/{*file}=owner,staff", "--grant", "sales/{*file}=group:sales"];

/// The Python that has this Django; `None` if there is none, and a test that needs it is left out.
pub(super) fn python(django: &str) -> Option<PathBuf> {
    let python =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/django").join(django).join("bin/python");
    needs(&format!("Django {django} in target/django"), python.exists()).then_some(python)
}

/// A project with users, its database, and a folder for gateways. All of it ends with the test.
pub(crate) struct Shop {
    pub(crate) place: Place,
    pub(crate) url: String,
    project: Project,
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    // Ends after the process that is connected to it.
    pub(super) server: Server,
}

impl Shop {
    pub(crate) fn open(django: &str, server: Option<Server>, engine: &str) -> Option<Self> {
        Self::open_with(django, server, engine, &json!({}))
    }

    /// One with more settings.
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
        let (commands, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let answers = BufReader::new(answers);
        let mut shop = Self { place, url, project, process, commands, answers, server };
        shop.write_secret(SECRET);
        assert_eq!(shop.tell("create"), "ok");
        Some(shop)
    }

    pub(super) fn write_secret(&self, keys: &str) {
        self.place.write("secret.key", keys);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(self.place.path("secret.key"), mode).unwrap();
    }

    /// Has the project do something, and returns what it answers.
    pub(crate) fn tell(&mut self, command: &str) -> String {
        writeln!(self.commands, "{command}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert!(!answer.is_empty(), "the project failed at: {command}");
        answer.trim_end().to_owned()
    }

    pub(crate) fn serve(&self, cache: &str, arguments: &[&str]) -> Gateway {
        let all = [&["serve", "--listen", "127.0.0.1:0", "--cache-ttl", cache], &*self.settings(), arguments];
        Gateway::start(&self.place.path(""), &all.concat())
    }

    /// `manage.py serve_private_media`, with more settings.
    pub(super) fn embedded(&self, settings: &Value, arguments: &[&str]) -> Gateway {
        Gateway::spawn(self.serve_private_media(settings, arguments), self.place.path("embedded.log"))
    }

    /// What it says as it refuses to.
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

    /// What every command needs to know of the project.
    pub(super) fn settings(&self) -> Vec<&str> {
        [&["--identity", "django", "--database", &self.url][..], &GRANTS].concat()
    }
}

/// How the project is run.
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

/// Settings, and others that come before them.
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

pub(super) fn get(gateway: &Gateway, path: &str, cookie: &str) -> Answer {
    gateway.ask(&format!("GET /private/{path}"), &[("cookie", &format!("sessionid={cookie}"))])
}

/// Alice reads her photo; then something happens, and she cannot any more: at once where each request is asked for, and elsewhere
/// when an answer may not be kept any longer.
pub(super) fn ends(shop: Option<Shop>, happens: impl Fn(&mut Shop, &str)) {
    const CACHE: Duration = Duration::from_secs(2);
    let Some(mut shop) = shop else { return };
    let (asking, keeping) = (shop.serve("0s", &[]), shop.serve("2s", &[]));
    let cookie = shop.tell("sign-in alice");
    let status = |gateway: &Gateway| get(gateway, "cars/7/photo.jpg", &cookie).status;
    assert_eq!((status(&asking), status(&keeping)), (200, 200));
    happens(&mut shop, &cookie);
    assert_eq!(status(&asking), 404);
    std::thread::sleep(CACHE);
    assert_eq!(status(&keeping), 404);
}
