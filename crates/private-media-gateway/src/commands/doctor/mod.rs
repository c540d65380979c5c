//! `private-media doctor`: is this deployment really private?
//!
//! It looks at what can be seen on this machine, puts small files of its own below the root, and then asks for them from outside
//! as a stranger and as a reader would. What it finds is printed line by line; what it made is gone at the end.

mod canary;
mod client;
mod journal;
mod links;
mod local;
mod outside;
mod readers;
mod report;
mod target;

use std::io;
use std::process::ExitCode;
use std::task::Poll;

use tokio::signal::unix::{SignalKind, signal};

use self::canary::{Canaries, PREFIX, Words};
use self::client::Client;
use self::outside::Probe;
use self::report::{Finding, Findings, Report};
use self::target::Target;
use crate::config::{Config, ConfigError};
use crate::front::Server;
use crate::{identity, log, open, runtime};

/// A name, and what looks.
type LocalCheck = (&'static str, fn(&Config) -> Findings);

/// Every check on this machine, in order.
const LOCAL: [LocalCheck; 9] = [
    ("root", local::root),
    ("links", links::links),
    ("web-root", local::web_root),
    ("public-folders", local::public_folders),
    ("accounts", local::accounts),
    ("config-file", local::config_file),
    ("listen", local::listen),
    ("debug", local::debug),
    ("space", local::space),
];

/// Looks at everything, prints what it finds, and says whether all is well.
pub(crate) fn run(config: &Config, url: Option<&str>, json: bool) -> Result<ExitCode, ConfigError> {
    let target = url.map(|url| {
        Target::parse(url, &config.url)
            .map_err(|problem| ConfigError::new(format!("--url {url:?}: {problem}")))
    });
    let target = target.transpose()?;
    let mut report = Report::new(json);
    for (name, check) in LOCAL {
        report.add(name, check(config));
    }
    let was_stopped = runtime::block_on(look(config, target, &mut report))?;
    if was_stopped {
        log::print(format_args!("private-media: stopped; what the doctor had made is removed"));
        return Ok(ExitCode::from(130));
    }
    report.end();
    Ok(if report.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Everything that takes time. Stopped by a signal, it says so.
async fn look(config: &Config, target: Option<Target>, report: &mut Report) -> bool {
    // From here on a signal is taken in turn: nothing that is being made is left behind.
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let mut signals: Vec<_> = signals.into_iter().flatten().collect();
    let stopped = std::future::poll_fn(|context| {
        let mut waiting = signals.iter_mut().map(|signal| signal.poll_recv(context).is_pending());
        if waiting.all(|is_pending| is_pending) { Poll::Pending } else { Poll::Ready(()) }
    });
    let gateway = config.listen.first().filter(|address| address.port() != 0);
    let gateway = gateway.and_then(|address| Client::new(Target::of_listener(*address)).ok());
    let is_outside = target.is_some();
    if !is_outside {
        let note = "nothing was looked at from outside; give the public URL with --url";
        report.add("outside", vec![Finding::note(note)]);
    }
    let target = target.or_else(|| {
        let is_front = config.server == Server::Direct;
        gateway.as_ref().filter(|_| is_front).map(|gateway| gateway.target.clone())
    });
    let prepared = match target {
        Some(target) => prepare(config, target, gateway, report).await,
        None => Err(gateway),
    };
    let looking = async {
        match prepared {
            Ok(mut probe) => outside::look(&mut probe, report).await,
            Err(gateway) => report.add("gateway", outside::health_of(config, gateway.as_ref()).await),
        }
    };
    tokio::select! {
        () = looking => false,
        () = stopped => true,
    }
}

/// Puts the canaries where the readers are; what keeps it from that is reported, and the gateway's client comes back.
async fn prepare<'a>(
    config: &'a Config,
    target: Target,
    gateway: Option<Client>,
    report: &mut Report,
) -> Result<Probe<'a>, Option<Client>> {
    let not_looked_at = || Finding::note("nothing more was looked at, for want of what is said above");
    let opened = open::open(config).await.and_then(|opened| Ok((opened, identity::users(config)?)));
    let ((media, sessions), users) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let fix = "mend that first: serve does not start with it, as this user at least";
            report.add("configuration", vec![Finding::problem(error.to_string(), fix)]);
            report.add("outside", vec![not_looked_at()]);
            return Err(gateway);
        }
    };
    let front = match Client::new(target) {
        Ok(front) => front,
        Err(error) => {
            let fix = "install ca-certificates, or name a file of certificates with SSL_CERT_FILE";
            report.add("front", vec![Finding::problem(error.to_string(), fix)]);
            report.add("outside", vec![not_looked_at()]);
            return Err(gateway);
        }
    };
    let words = Words::new().ok_or_else(|| io::Error::other("the system gives no random numbers"));
    let planted = match words {
        Ok(words) => {
            let name = format!("{PREFIX}{}", words.name);
            let readers = readers::find(&config.grants, &media, &sessions, &users, &name).await;
            Canaries::plant(config, &media, words, &readers).await.map(|canaries| (canaries, readers))
        }
        Err(error) => Err(error),
    };
    match planted {
        Ok((canaries, readers)) => {
            report.add("clock", vec![outside::clock_of_files(canaries.clock_apart)]);
            Ok(Probe {
                config,
                front,
                gateway,
                canaries,
                readers,
                kind: outside::Front::Other,
                is_open: false,
            })
        }
        Err(error) => {
            let message = format!("a file cannot be stored below {}: {error}", config.root.display());
            let fix = match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room".to_owned(),
                io::ErrorKind::ReadOnlyFilesystem => "mount its file system to be written to".to_owned(),
                _ => local::run_as(&config.root),
            };
            report.add("root", vec![Finding::problem(message, fix)]);
            report.add("outside", vec![not_looked_at()]);
            Err(gateway)
        }
    }
}
