//! Checks the certificate of a gateway that serves HTTPS itself.

use std::time::{Duration, SystemTime};

use super::local::misplaced;
use super::report::{Finding, Findings, or_ok};
use crate::config::Config;
use crate::https;

/// A certificate that expires sooner was not renewed in time: certbot renews 30 days before the end.
const MIN_LEFT: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Checks that the certificate and its key can be used, and for how long.
pub(super) fn certificate(config: &Config) -> Findings {
    let Some(files) = &config.tls else { return vec![] };
    let certificate = match https::load(files) {
        Ok(certificate) => certificate,
        Err(error) => {
            let file = if error.is_about_key { &files.key } else { &files.certificate };
            return vec![Finding::problem(format!("{}: {}", file.display(), error.problem), error.fix)];
        }
    };
    let mut problems = misplaced(config, &files.key, "the key");
    let not_after = humantime::format_rfc3339_seconds(certificate.not_after());
    if let Some((problem, fix)) = https::validity_problem(&certificate) {
        problems.push(Finding::problem(problem, fix));
    } else if certificate.not_after() < SystemTime::now() + MIN_LEFT {
        let fix = "renew it, and find out why it was not renewed: systemctl list-timers certbot.timer";
        problems.push(Finding::problem(format!("the certificate expires soon, at {not_after}"), fix));
    }
    if certificate.lacks_intermediates() {
        problems.push(Finding::problem(https::NO_CHAIN, https::USE_FULL_CHAIN));
    }
    or_ok(problems, format!("valid until {not_after}"))
}
