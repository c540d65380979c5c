//! Replaces the certificate when its files change.

use std::time::Duration;

use super::checks::{validity_problem, warn_about_chain};
use super::files::{self, LoadError};
use super::served::Https;
use crate::health::Health;

/// How often the files are checked. They are read when they did not change between two checks, so half-written ones are not.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long new files may be unusable before that is logged. A client writes certificate and key one after the other.
const GRACE: u32 = 5;
/// How long before the end a certificate that was not renewed is reported.
const REMINDER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Replaces the certificate when its files change, until the task is dropped.
pub(super) async fn watch(https: Https, health: Health) {
    let mut watcher = Watcher::new(https.stamp);
    loop {
        let problem = validity_problem(&https.tls.certificate());
        health.warn("certificate", problem.map(|(problem, fix)| format!("{problem}; {fix}")));
        watcher.remind(&https);
        tokio::time::sleep(INTERVAL).await;
        let checked = https.clone();
        watcher = match tokio::task::spawn_blocking(move || watcher.check(&checked)).await {
            Ok(watcher) => watcher,
            Err(_) => Watcher::new(https.stamp),
        };
    }
}

/// What is known of the files.
struct Watcher {
    /// The stamp of the files that are in use.
    used: files::Stamp,
    /// The stamp at the last check.
    last: files::Stamp,
    /// Why the files of this stamp cannot be used, and for how many checks.
    failure: Option<(LoadError, u32)>,
    is_reminded: bool,
}

impl Watcher {
    fn new(used: files::Stamp) -> Self {
        Self { used, last: used, failure: None, is_reminded: false }
    }

    /// Reads new files that are complete.
    fn check(mut self, https: &Https) -> Self {
        let now = files::stamp(&https.files);
        let is_stable = std::mem::replace(&mut self.last, now) == now;
        if now == self.used || !is_stable {
            return self;
        }
        match files::load(&https.files) {
            Ok(certificate) => {
                let not_after = humantime::format_rfc3339_seconds(certificate.not_after());
                if !certificate.has_same_chain(&https.tls.certificate()) {
                    tracing::info!(%not_after, "the certificate was replaced");
                    warn_about_chain(&certificate);
                }
                https.tls.replace(certificate);
                self = Self { last: now, ..Self::new(now) };
            }
            Err(error) => {
                let checks = match self.failure.take() {
                    Some((last, checks)) if last == error => checks.saturating_add(1),
                    _ => 1,
                };
                if checks == GRACE {
                    let file = if error.is_about_key { &https.files.key } else { &https.files.certificate };
                    let not_after = humantime::format_rfc3339_seconds(https.tls.certificate().not_after());
                    let LoadError { problem, fix, .. } = &error;
                    tracing::error!(
                        file = %file.display(), problem, fix, %not_after,
                        "the new certificate cannot be used; the old one stays in use until it expires"
                    );
                }
                self.failure = Some((error, checks));
            }
        }
        self
    }

    /// Logs once that the certificate expires soon.
    fn remind(&mut self, https: &Https) {
        let certificate = https.tls.certificate();
        let left = certificate.not_after().duration_since(std::time::SystemTime::now());
        if let Ok(left) = left
            && left < REMINDER
            && !std::mem::replace(&mut self.is_reminded, true)
        {
            let not_after = humantime::format_rfc3339_seconds(certificate.not_after());
            tracing::warn!(%not_after, "the certificate expires soon; renew it: no restart is needed");
        }
    }
}
