//! `private-media demo`: serves a demo site with private photos on a temporary root.

mod app;
mod garage;
mod pages;
mod people;
mod problem;
mod routes;
mod upload;
mod views;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use private_media::identity::accounts::{AccountsFile, AccountsOptions, NewAccount};
use private_media::pages::Branding;
use private_media::permission::GrantError;
use private_media::{Accounts, Grants, LocalStorage, MediaPath, Permit, PrivateMedia, SaveOptions, storage};
use private_media_listener::Limits;

use crate::addresses::{Endpoint, ListenAddr};
use crate::config::ConfigError;
use crate::error::GatewayError;
use crate::health::Health;
use crate::live_site::LiveSite;
use crate::log::Format;
use crate::login::{LoginPage, LoginPages};
use crate::output;
use crate::pages::Pages;
use crate::signals::Signals;
use crate::site::Site;
use crate::startup::{port_arg, start_log, text};
use crate::state::{self, StateUrl};
use crate::workers;
use people::{FILES, PEOPLE, URL, folder_of};

const WORKERS: usize = 2;
const GRANT: &str = "cars/{owner}/{*file}=owner,staff";

pub(crate) fn command() -> Command {
    let listen = Arg::new("listen")
        .long("listen")
        .value_name("ADDR")
        .default_value("127.0.0.1:8000")
        .help("Address to listen on, as HOST:PORT; port 0 picks a free one");
    Command::new("demo")
        .about("Serve a demo site with private photos on a temporary root")
        .args([listen, port_arg()])
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    start_log("warn", Format::Auto)?;
    serve(text(matches, "listen"))
}

/// Serves the demo until the signal to stop, and removes its files.
fn serve(listen: &str) -> Result<ExitCode, ConfigError> {
    let error = |problem: &dyn std::fmt::Display| ConfigError::new(format!("demo: {problem}"));
    let listen_addr = ListenAddr::parse(listen, Path::new(""))
        .map_err(|problem| ConfigError::new(format!("invalid value {listen:?} for --listen: {problem}")))?;
    let folder = tempfile::Builder::new().prefix("private-media-demo-").tempdir().map_err(|e| error(&e))?;
    let limits = Limits::default().max_connections(1000).shutdown_timeout(Duration::from_secs(2));
    let open = async |_: &Signals| {
        let root = folder.path().join("private");
        std::fs::create_dir(&root).map_err(|e| error(&e))?;
        let (media, accounts) = open(&root).await.map_err(|e| error(&*e))?;
        let (state, health) = (StateUrl::Sqlite(folder.path().join("state.db")), Health::default());
        let cache = AccountsOptions::default().cache_ttl;
        state::start(&state, Some(accounts.clone()), "demo".into(), cache, health.clone())
            .await
            .map_err(|e| error(&e))?;
        let sign_in = LoginPage::new(&format!("{URL}-/sign-in"), "next", "").map_err(|e| error(&e))?;
        let pages = Pages {
            media: media.clone(),
            url: URL.into(),
            branding: Branding::new("private-media"),
            grants: GRANT.parse().map_err(|e: GrantError| error(&e))?,
            is_decided: false,
            debug: false,
        };
        let site = Site::new(&media, URL)
            .accounts(Some(accounts))
            .health(health)
            .own_pages(pages)
            .login_pages(LoginPages::new([("accounts", sign_in)]));
        Ok(LiveSite::new(site.pages(routes::router(media)), ()))
    };
    let on_bound = |endpoints: &[Endpoint]| {
        let Some(endpoint) = endpoints.first() else { return };
        output::listening(endpoint);
        // The first line has the address, too, so an error here does not matter.
        let _ = output::text(format_args!("{}", introduction(&endpoint.to_string())));
    };
    let options = workers::Options {
        listen: &listen_addr,
        https: None,
        workers: WORKERS,
        limits,
        max_connections_is_set: false,
        metrics: None,
        client_limit: None,
        site_files: 0,
        inherited: vec![],
        admin: &Mutex::default(),
        flush: Arc::new(|_| ()),
        program: None,
    };
    match workers::serve(options, open, on_bound) {
        Ok(shutdown) => Ok(shutdown.into()),
        Err(GatewayError::Open(error)) => Err(error),
        Err(GatewayError::Bind(cause)) => {
            let (problem, fix) = listen_addr.bind_problem(&cause);
            Err(ConfigError::new(format!("--listen {listen:?}: {problem}; {fix}")))
        }
        // The worker has logged the cause.
        Err(GatewayError::Worker) => Ok(ExitCode::FAILURE),
        Err(cause) => Err(error(&cause)),
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
    lines.push("\nThe same URL, requested by alice, by bob, and without an account:".to_owned());
    lines.push(format!("  curl -sI -u alice:{alice} {url}   # 200: it is hers"));
    lines.push(format!("  curl -sI -u bob:{bob} {url}    # 404: it is not his"));
    lines.push(format!("  curl -sI {url}                        # 404: not signed in"));
    lines.push("\nctrl-c stops the demo and removes its files.\n".to_owned());
    lines.join("\n")
}

async fn open(root: &Path) -> Result<(PrivateMedia, Accounts), Box<dyn Error>> {
    let mut file = AccountsFile::default();
    for (person, password) in PEOPLE {
        file.add(NewAccount::new(person.name, person.id, password).staff(person.staff))?;
    }
    let accounts = Accounts::new(file, AccountsOptions::default().branding(Branding::new("private-media")))?;
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
