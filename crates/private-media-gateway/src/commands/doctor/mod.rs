//! `private-media doctor`: is this deployment really private?
//!
//! Checks this machine, creates small test files below the root, and then requests them from outside: without signing in, and as
//! users with and without permission. Findings are printed line by line. The test files are removed at the end.

#[cfg(feature = "buckets")]
mod bucket;
mod canaries;
mod canary;
mod certificate;
mod client;
mod journal;
mod links;
mod local;
mod outside;
mod probe_accounts;
mod removal;
mod report;
mod target;

use std::io;
use std::process::ExitCode;
use std::task::Poll;

use clap::{Arg, ArgAction, ArgMatches, Command};
use http::HeaderMap;
use private_media::MediaPath;
use private_media::raw::RespondRaw as _;
use tokio::signal::unix::{SignalKind, signal};

use self::canaries::Canaries;
use self::canary::{Nonces, PREFIX};
use self::client::Client;
use self::outside::Probe;
use self::probe_accounts::ProbeAccounts;
use self::report::{Finding, Findings, Report};
use self::target::Target;
use crate::addresses::ListenAddr;
use crate::config::{self, Config, ConfigError, Scope};
use crate::log::Format;
use crate::startup::{load, start_log};
use crate::{identity, log, open, runtime};

/// The name of a check, and its function.
type LocalCheck = (&'static str, fn(&Config) -> Findings);

/// The checks of [`LOCAL`] that are about a root that is a folder.
const OF_FOLDER: [&str; 5] = ["root", "links", "web-root", "public-folders", "space"];

/// The checks on this machine, in order.
const LOCAL: [LocalCheck; 10] = [
    ("root", local::root),
    ("links", links::links),
    ("web-root", local::web_root),
    ("public-folders", local::public_folders),
    ("accounts", local::accounts),
    ("config-file", local::config_file),
    ("listen", local::listen),
    ("certificate", certificate::certificate),
    ("debug", local::debug),
    ("space", local::space),
];

pub(crate) fn command() -> Command {
    let url = Arg::new(config::PUBLIC_URL)
        .long("url")
        .value_name("URL")
        .help("Public URL of the site, e.g. https://www.example.org");
    let json =
        Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print the findings as a JSON array");
    Command::new("doctor")
        .about("Check the running deployment from outside for leaks; exit code 0 if it is private, 1 if not")
        .args([url, json])
        .args(config::args(Scope::Deployment))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    start_log("error", Format::Auto)?;
    let url = matches.get_one::<String>(config::PUBLIC_URL).map(String::as_str);
    let code = check(&load(matches)?, url, matches.get_flag("json"));
    log::flush(log::FLUSH_TIMEOUT);
    code
}

/// Runs all checks, prints the findings, and returns the exit code.
fn check(config: &Config, url: Option<&str>, json: bool) -> Result<ExitCode, ConfigError> {
    let target = url.map(|url| {
        Target::parse(url, &config.url)
            .map_err(|problem| ConfigError::new(format!("--url {url:?}: {problem}")))
    });
    let target = target.transpose()?;
    let mut report = Report::new(json);
    for (name, check) in LOCAL {
        if config.bucket.is_none() || !OF_FOLDER.contains(&name) {
            report.add(name, check(config));
        }
    }
    for root in config.others.iter().map(|other| &other.config).filter(|root| root.bucket.is_none()) {
        for (name, check) in LOCAL.into_iter().filter(|(name, _)| OF_FOLDER.contains(name)) {
            report.add(name, check(root));
        }
    }
    let was_stopped = runtime::block_on(run_checks(config, target, &mut report))?;
    if was_stopped {
        log::print(format_args!("private-media: interrupted; the test files are removed"));
        return Ok(ExitCode::from(130));
    }
    report.end();
    Ok(if report.has_no_problem() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the checks that use the network. Returns whether a signal interrupted them.
async fn run_checks(config: &Config, target: Option<Target>, report: &mut Report) -> bool {
    // From here on, signals are handled here, so that the test files are always removed.
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let mut signals: Vec<_> = signals.into_iter().flatten().collect();
    #[cfg_attr(not(feature = "buckets"), expect(unused_mut, reason = "only the checks of buckets borrow it"))]
    let mut stopped = std::future::poll_fn(|context| {
        let mut waiting = signals.iter_mut().map(|signal| signal.poll_recv(context).is_pending());
        if waiting.all(|is_pending| is_pending) { Poll::Pending } else { Poll::Ready(()) }
    });
    let pinned = config.tls.as_ref().map(|tls| tls.certificate.clone());
    let gateway = config.endpoint().and_then(|endpoint| Target::of_listener(endpoint, pinned));
    let gateway = gateway.and_then(|target| Client::new(target).ok());
    let is_outside = target.is_some();
    if !is_outside && config.bucket.is_none() {
        let note = "nothing was checked from outside; give the public URL with --url";
        report.add("outside", vec![Finding::note(note)]);
    }
    #[cfg(feature = "buckets")]
    if config.bucket.is_some() {
        let checking = async {
            add_buckets(config, report).await;
            let note = "a bucket is not checked from outside: that needs test files in it";
            report.add("outside", vec![Finding::note(note)]);
            report.add("gateway", outside::health_of(config, gateway.as_ref()).await);
        };
        return tokio::select! {
            () = checking => false,
            () = stopped => true,
        };
    }
    let target = target.or_else(|| {
        // Clients do not connect to a Unix socket themselves.
        let is_front = !config.send_mode.is_by_front_server() && matches!(config.listen, ListenAddr::Tcp(_));
        gateway.as_ref().filter(|_| is_front).map(|gateway| gateway.target.clone())
    });
    #[cfg(feature = "buckets")]
    {
        let is_stopped = tokio::select! {
            () = add_buckets(config, report) => false,
            () = &mut stopped => true,
        };
        if is_stopped {
            return true;
        }
    }
    let prepared = match target {
        Some(target) => prepare(config, target, gateway, report).await,
        None => Err(gateway),
    };
    let checking = async {
        match prepared {
            Ok(mut probe) => outside::run_checks(&mut probe, report).await,
            Err(gateway) => report.add("gateway", outside::health_of(config, gateway.as_ref()).await),
        }
    };
    tokio::select! {
        () = checking => false,
        () = stopped => true,
    }
}

/// Checks each root that is a bucket.
#[cfg(feature = "buckets")]
async fn add_buckets(config: &Config, report: &mut Report) {
    for root in config.each_root() {
        if let Some(bucket) = &root.bucket {
            report.add("bucket", bucket::findings(root, bucket).await);
        }
    }
}

/// Creates the canaries where accounts may read. On failure, reports the problem and returns the gateway's client.
async fn prepare<'a>(
    config: &'a Config,
    target: Target,
    gateway: Option<Client>,
    report: &mut Report,
) -> Result<Probe<'a>, Option<Client>> {
    let skipped = || Finding::note("remaining checks skipped: fix the problem above first");
    let opened = open::open(config).await.and_then(|opened| Ok((opened, identity::users(config)?)));
    let ((media, sessions), users) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let fix = "fix that first: serve would not start either, at least as this user";
            report.add("configuration", vec![Finding::problem(error.to_string(), fix)]);
            report.add("outside", vec![skipped()]);
            return Err(gateway);
        }
    };
    let front = match Client::new(target) {
        Ok(front) => front,
        Err(error) => {
            let fix = "install ca-certificates, or name a file of certificates in SSL_CERT_FILE";
            report.add("front", vec![Finding::problem(error.to_string(), fix)]);
            report.add("outside", vec![skipped()]);
            return Err(gateway);
        }
    };
    let nonces =
        Nonces::new().ok_or_else(|| io::Error::other("the operating system provides no random numbers"));
    let created = match nonces {
        Ok(nonces) => {
            let name = format!("{PREFIX}{}", nonces.name);
            let is_in_root = |path: &MediaPath| std::ptr::eq(config.root_of(path), config);
            let accounts =
                ProbeAccounts::find(&config.grants, &media, &sessions, &users, &name, is_in_root).await;
            Canaries::create(config, &media, nonces, &accounts).await.map(|canaries| (canaries, accounts))
        }
        Err(error) => Err(error),
    };
    match created {
        Ok((canaries, accounts)) => {
            report.add("clock", vec![outside::clock_of_files(canaries.clock_difference)]);
            Ok(Probe {
                config,
                common_headers: media.service().common_headers(&HeaderMap::new()).fields().clone(),
                front,
                gateway,
                canaries,
                accounts,
                kind: outside::Front::Other,
                is_open: false,
            })
        }
        Err(error) => {
            let message = format!("cannot store a file below {}: {error}", config.root.display());
            let fix = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free some space".to_owned(),
                io::ErrorKind::ReadOnlyFilesystem => "mount its file system read-write".to_owned(),
                _ => local::run_as(&config.root),
            };
            report.add("root", vec![Finding::problem(message, fix)]);
            report.add("outside", vec![skipped()]);
            Err(gateway)
        }
    }
}
