//! `private-media demo`: a small car site on a temporary root, to see what private means.

mod garage;
mod pages;
mod upload;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post, put};
use axum::{Form, Router};
use clap::{Arg, ArgMatches, Command};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, VARY};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use maud::Markup;
use private_media::identity::accounts::{AccountsFile, AccountsOptions, NewAccount};
use private_media::identity::is_cross_site;
use private_media::{
    Accounts, Grants, Identity, LocalStorage, MediaPath, Permit, PrivateMedia, SaveOptions, StorageError,
    User, storage,
};

use crate::addresses;
use crate::config::ConfigError;
use crate::error::GatewayError;
use crate::health::Health;
use crate::limits::Limits;
use crate::output;
use crate::site::Site;
use crate::startup::{start_log, text};
use crate::state::{self, StateUrl};
use crate::workers;
use pages::Person;

const WORKERS: usize = 2;
/// The longest form that is no upload, in bytes, and how long it may take to arrive.
const MAX_FORM: usize = 8 << 10;
const FORM_TIME: Duration = Duration::from_secs(10);
const URL: &str = "/private/";
const GRANT: &str = "cars/{owner}/{*file}=owner,staff";
const ALICE: Person = Person { name: "alice", id: "7", staff: false };
const BOB: Person = Person { name: "bob", id: "8", staff: false };
const CAROL: Person = Person { name: "carol", id: "9", staff: true };
/// Everybody, with their passwords: this is a demo, and listens to this machine alone unless told otherwise.
const PEOPLE: [(Person, &str); 3] = [(ALICE, "roadster-7"), (BOB, "hatchback-8"), (CAROL, "camper-staff")];

/// What is there from the start: whose it is, its name, its bytes.
const FILES: [(Person, &str, &[u8]); 6] = [
    (ALICE, "roadster.jpg", include_bytes!("../../../assets/roadster.jpg")),
    (ALICE, "coupé.jpg", include_bytes!("../../../assets/coupe.jpg")),
    (ALICE, "first drive.mp4", include_bytes!("../../../assets/first-drive.mp4")),
    (BOB, "hatchback.jpg", include_bytes!("../../../assets/hatchback.jpg")),
    (BOB, "camper van.jpg", include_bytes!("../../../assets/camper-van.jpg")),
    (CAROL, "pickup.jpg", include_bytes!("../../../assets/pickup.jpg")),
];

pub(crate) fn command() -> Command {
    Command::new("demo").about("Serve a demo site with private photos on a temporary root").arg(
        Arg::new("listen")
            .long("listen")
            .value_name("ADDR")
            .default_value("127.0.0.1:8000")
            .help("Address to listen on, as HOST:PORT; port 0 picks a free one"),
    )
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    start_log("warn")?;
    serve(text(matches, "listen"))
}

/// Serves the demo until the signal to stop, and removes its files.
fn serve(listen: &str) -> Result<ExitCode, ConfigError> {
    let error = |problem: &dyn std::fmt::Display| ConfigError::new(format!("demo: {problem}"));
    let address = addresses::resolve(listen)
        .map_err(|problem| ConfigError::new(format!("invalid value {listen:?} for --listen: {problem}")))?;
    let folder = tempfile::Builder::new().prefix("private-media-demo-").tempdir().map_err(|e| error(&e))?;
    let limits =
        Limits { max_connections: 1000, shutdown_timeout: Duration::from_secs(2), ..Limits::default() };
    let open = async || {
        let root = folder.path().join("private");
        std::fs::create_dir(&root).map_err(|e| error(&e))?;
        let (media, accounts) = open(&root).await.map_err(|e| error(&*e))?;
        let (state, health) = (StateUrl::Sqlite(folder.path().join("state.db")), Health::default());
        let cache = AccountsOptions::default().cache_ttl;
        state::start(&state, Some(accounts.clone()), "demo".into(), cache, health.clone())
            .await
            .map_err(|e| error(&e))?;
        Ok(Site::new(&media, Some(accounts), URL).health(health).pages(router(media)))
    };
    let on_bound = |address| {
        output::listening(address);
        // The first line has the address, too, so an error here does not matter.
        let _ = output::text(format_args!("{}", introduction(&format!("http://{address}"))));
    };
    let options =
        workers::Options { listen: &address, workers: WORKERS, limits, max_connections_is_set: false };
    match workers::serve(&options, open, on_bound) {
        Ok(shutdown) => Ok(shutdown.into()),
        Err(GatewayError::Open(error)) => Err(error),
        Err(GatewayError::Listen(cause)) => Err(ConfigError::new(format!(
            "--listen {listen:?}: cannot listen on this address: {cause}; use another, or port 0 for a free one"
        ))),
        Err(GatewayError::OpenFiles(cause)) => Err(error(&cause)),
        Err(GatewayError::Start(error)) => {
            Err(ConfigError::new(format!("the threads cannot be started: {error}")))
        }
        // The log has said why.
        Err(GatewayError::Worker) => Ok(ExitCode::FAILURE),
    }
}

fn introduction(origin: &str) -> String {
    let mut lines = vec!["\nOpen it in a browser. Who can sign in:".to_owned()];
    for (person, password) in PEOPLE {
        let role =
            if person.staff { "staff, sees every car".into() } else { format!("owns cars/{}/", person.id) };
        lines.push(format!("  {:<6} {password:<13} {role}", person.name));
    }
    let [(_, alice), (_, bob), _] = PEOPLE;
    let url = format!("{origin}{URL}cars/7/roadster.jpg");
    lines.push("\nThe same URL, asked for by three:".to_owned());
    lines.push(format!("  curl -sI -u alice:{alice} {url}   # 200: it is hers"));
    lines.push(format!("  curl -sI -u bob:{bob} {url}    # 404: it is not his"));
    lines.push(format!("  curl -sI {url}                        # 404: nobody is signed in"));
    lines.push("\nctrl-c ends it, and leaves nothing behind.\n".to_owned());
    lines.join("\n")
}

async fn open(root: &Path) -> Result<(PrivateMedia, Accounts), Box<dyn Error>> {
    let mut file = AccountsFile::default();
    for (person, password) in PEOPLE {
        file.add(NewAccount::new(person.name, person.id, password).staff(person.staff))?;
    }
    let accounts = Accounts::new(file, AccountsOptions::default())?;
    let media = PrivateMedia::builder(LocalStorage::open_root(root)?)
        .identify(accounts.clone())
        .permissions(GRANT.parse::<Grants>()?)
        .build();
    for (owner, name, bytes) in FILES {
        let path = MediaPath::for_upload(&folder_of(owner), name)?;
        let permit = Permit::trusted(path);
        media.storage().save(&permit, storage::content(bytes), &SaveOptions::default()).await?;
    }
    Ok((media, accounts))
}

fn folder_of(owner: Person) -> String {
    format!("cars/{}", owner.id)
}

#[derive(Clone)]
struct Demo {
    media: PrivateMedia,
}

fn router(media: PrivateMedia) -> Router {
    let asset = |content_type: &'static str, text: &'static str| {
        get(async move || ([(CONTENT_TYPE, content_type)], text))
    };
    Router::new()
        .route("/", get(index))
        // The content of a PUT is limited where it is saved.
        .route(
            "/upload",
            post(upload::form).layer(DefaultBodyLimit::max(upload::MAX_FORM)).merge(put(upload::file)),
        )
        .route("/delete", post(delete))
        .route(pages::STYLE_URL, asset("text/css; charset=utf-8", pages::STYLE))
        .route(pages::SCRIPT_URL, asset("text/javascript; charset=utf-8", pages::SCRIPT))
        .route(pages::ICON_URL, asset("image/svg+xml", pages::ICON))
        .fallback(not_found)
        .layer(middleware::from_fn(safety))
        .with_state(Demo { media })
}

async fn index(State(demo): State<Demo>, head: Parts) -> Result<Markup, Problem> {
    match demo.person(&head).await? {
        Some(me) => Ok(pages::garage(&garage::of(&demo.media, me).await?)),
        None => Ok(pages::landing(&garage::locked())),
    }
}

#[derive(serde::Deserialize)]
struct Deletion {
    path: String,
}

async fn delete(State(demo): State<Demo>, head: Parts, body: Body) -> Response {
    let me = match demo.person(&head).await {
        Ok(me) => me,
        Err(problem) => return problem.page(None),
    };
    let deleted = match me {
        Some(me) => demo.delete(me, &head, body).await,
        None => Err(Problem::SIGNED_OUT),
    };
    match deleted {
        Ok(()) => Redirect::to("/").into_response(),
        Err(problem) => problem.page(me),
    }
}

/// Reads the form of a deletion, within the limits of a small form.
async fn read_form(head: &Parts, body: Body) -> Result<Deletion, Problem> {
    let body = tokio::time::timeout(FORM_TIME, to_bytes(body, MAX_FORM))
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "The form came too slowly."))?
        .map_err(|_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The form is too large, or broke off."))?;
    let form = Form::from_request(Request::from_parts(head.clone(), body.into()), &()).await;
    let Form(form) = form.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "The form is not complete."))?;
    Ok(form)
}

async fn not_found(State(demo): State<Demo>, head: Parts) -> (StatusCode, Markup) {
    let me = demo.person(&head).await.unwrap_or_default();
    (StatusCode::NOT_FOUND, pages::not_found(me.as_ref()))
}

impl Demo {
    async fn person(&self, head: &Parts) -> Result<Option<Person>, Problem> {
        let identity = self.media.identify(head).await.map_err(|_| Problem::UNIDENTIFIED)?;
        let Some(user) = identity.user() else { return Ok(None) };
        Ok(PEOPLE.iter().map(|(person, _)| *person).find(|person| person.id == user.id()))
    }

    async fn delete(&self, me: Person, head: &Parts, body: Body) -> Result<(), Problem> {
        let Deletion { path } = read_form(head, body).await?;
        let path = MediaPath::new(&path).map_err(|_| Problem::NOT_YOURS)?;
        if path.parent().is_none_or(|folder| folder.as_str() != folder_of(me)) {
            return Err(Problem::NOT_YOURS);
        }
        self.media.storage().delete(&Permit::trusted(path)).await.map_err(Problem::storage)
    }
}

/// As the private files are: no other site sends forms here, and nothing is cached or taken from elsewhere.
async fn safety(request: Request, next: Next) -> Response {
    const POLICY: &str = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'self'; script-src 'self'; \
        connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let (head, body) = request.into_parts();
    let mut response = if !head.method.is_safe() && is_cross_site(&head) {
        Problem::CROSS_SITE.into_response()
    } else {
        next.run(Request::from_parts(head, body)).await
    };
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("cookie, authorization"));
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(http::header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// What went wrong, in one line: the script shows it as it is, a form's sender gets it as a page.
#[derive(Debug)]
struct Problem {
    status: StatusCode,
    text: &'static str,
}

impl Problem {
    const SIGNED_OUT: Self = Self::new(StatusCode::FORBIDDEN, "You are signed out.");
    const NOT_YOURS: Self = Self::new(StatusCode::NOT_FOUND, "You have no such file.");
    const UNIDENTIFIED: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "Your sign-in cannot be checked now; try again later.");
    const CROSS_SITE: Self = Self::new(StatusCode::FORBIDDEN, "Another site sent this.");

    const fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, text }
    }

    fn storage(error: StorageError) -> Self {
        match error {
            StorageError::NotFound { .. } => Self::NOT_YOURS,
            StorageError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "The file is over 200 MiB.")
            }
            StorageError::Full => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "There is no space left for it.")
            }
            StorageError::Content(error) => match error.get_ref().and_then(|error| error.downcast_ref()) {
                Some(error) => upload::broken(error),
                None => Self::new(StatusCode::BAD_REQUEST, "The upload broke off."),
            },
            error => {
                tracing::error!(%error, cause = ?error.source(), "the demo's storage failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "It could not be stored.")
            }
        }
    }

    fn page(&self, me: Option<Person>) -> Response {
        (
            self.status,
            pages::problem(
                self.status.as_u16(),
                self.text,
                "What was done before it stays done.",
                me.as_ref(),
            ),
        )
            .into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, format!("{}\n", self.text)).into_response()
    }
}

/// The identity of somebody in the demo, as the permissions see it.
fn identity(person: Option<Person>) -> Identity {
    person.map_or(Identity::Anonymous, |person| {
        User::new(person.id).name(person.name).staff(person.staff).into()
    })
}
