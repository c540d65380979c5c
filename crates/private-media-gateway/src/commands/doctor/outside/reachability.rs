//! Is the gateway there, does the front hand on to it, and do their clocks agree?

use std::time::SystemTime;

use http::header::{DATE, LOCATION};

use super::super::client::{Answer, Client, Unanswered};
use super::super::report::{Finding, Findings};
use super::Probe;
use crate::config::Config;

/// How far apart two clocks may be, in seconds.
const APART: u64 = 60;

/// What there is at the public URL.
pub(super) struct Reached {
    pub(super) findings: Findings,
    pub(super) answer: Option<Answer>,
    /// Something answers there, and not with a redirect of everything.
    pub(super) is_there: bool,
    /// It is the gateway, in the end.
    pub(super) is_gateway: bool,
}

/// The gateway answers where it listens.
pub(super) async fn gateway(probe: &Probe<'_>) -> Findings {
    health_of(probe.config, probe.gateway.as_ref()).await
}

/// The gateway's own health page, asked directly.
pub(in crate::commands::doctor) async fn health_of(config: &Config, gateway: Option<&Client>) -> Findings {
    let Some(gateway) = gateway else {
        return vec![Finding::note("listen names no port, so the gateway itself was not looked at")];
    };
    let path = health(config);
    let url = gateway.target.url(&path);
    vec![match gateway.get(&path, None).await {
        Ok(answer) if is_ok(&answer) => Finding::ok(format!("{url} answers")),
        Ok(answer) if is_not_ready(&answer) => not_ready(&url),
        Ok(answer) => Finding::problem(
            format!("{url} answers {}, and not as this gateway does", answer.status),
            "see what listens there, and give doctor the settings of the gateway that runs",
        ),
        Err(error) => Finding::problem(
            error.to_string(),
            "start it: private-media serve; or give doctor the settings of the gateway that runs (listen)",
        ),
    }]
}

/// The front answers, and hands the private URL on to the gateway.
pub(super) async fn front(probe: &Probe<'_>) -> Reached {
    let path = health(probe.config);
    let url = probe.front.target.url(&path);
    let answer = match probe.front.get(&path, None).await {
        Ok(answer) => answer,
        Err(error) => {
            let findings = vec![unreachable(&error)];
            return Reached { findings, answer: None, is_there: false, is_gateway: false };
        }
    };
    let is_gateway = is_ok(&answer) || is_not_ready(&answer);
    let is_there = !answer.status.is_redirection();
    let kind = super::Front::of(&answer.headers, probe.config);
    let finding = if is_not_ready(&answer) {
        not_ready(&url)
    } else if is_gateway {
        Finding::ok(format!("{url} is answered by the gateway"))
    } else if !is_there {
        redirected(&url, &probe.front.target.host, &answer)
    } else {
        let fix = match answer.status.as_u16() {
            502..=504 => {
                format!("start the gateway, or mend where the front hands on to: {}", kind.pass(probe.config))
            }
            401 | 403 => format!(
                "let the front ask for nothing below {}: the gateway decides who may read",
                probe.config.url
            ),
            _ => format!(
                "{}; if that is there, a rule or a site before it answers: print the block with --front NAME:PORT, or end the \
                 default site",
                kind.pass(probe.config)
            ),
        };
        Finding::problem(format!("{url} answers {}, and not as the gateway does", answer.status), fix)
    };
    Reached { findings: vec![finding], answer: Some(answer), is_there, is_gateway }
}

fn unreachable(error: &Unanswered) -> Finding {
    let text = error.to_string();
    let fix = if text.contains("certificate") {
        "let the front send a certificate for this name that browsers trust, with its whole chain; one of your own making \
         (basicConstraints CA:FALSE) is trusted if SSL_CERT_FILE names it"
    } else {
        "start the front server, or give its URL with --url"
    };
    Finding::problem(text, fix)
}

fn redirected(url: &str, asked: &str, answer: &Answer) -> Finding {
    let to = answer.text(&LOCATION);
    let seen = format!("{url} answers {} to {to}", answer.status);
    if url.starts_with("http://") && to.starts_with("https://") {
        let host = to.trim_start_matches("https://").split('/').next().unwrap_or_default();
        // Readers' sessions go where this line says, so it names no site that was not asked for.
        let is_own = host.trim_start_matches("www.") == asked.trim_start_matches("www.");
        let fix = if is_own {
            format!("give the https URL: --url https://{host}")
        } else {
            "give the https URL, if that site is yours".into()
        };
        return Finding::problem(seen, fix);
    }
    Finding::problem(seen, "give the URL that it leads to, or let the private URL pass")
}

/// The front's clock and this machine's agree: sessions end by them.
pub(super) fn clock(answer: &Answer) -> Findings {
    let Ok(date) = httpdate::parse_http_date(&answer.text(&DATE)) else {
        return vec![Finding::note("the front says no Date, so its clock was not looked at")];
    };
    let now = SystemTime::now();
    let apart = now.duration_since(date).or_else(|_| date.duration_since(now)).unwrap_or_default().as_secs();
    vec![if apart > APART {
        Finding::problem(
            format!(
                "the front's clock and this machine's are {apart} s apart, and sessions end by the clock"
            ),
            "let both keep time: timedatectl set-ntp true",
        )
    } else {
        Finding::ok("the front's clock and this machine's agree")
    }]
}

/// The same of the file system's clock.
pub(in crate::commands::doctor) fn clock_of_files(apart: u64) -> Finding {
    if apart > APART {
        Finding::problem(
            format!("a file written now is dated {apart} s from this machine's clock"),
            "let the machine that has the files keep the same time: timedatectl set-ntp true",
        )
    } else {
        Finding::ok("a file written now has the time of this machine's clock")
    }
}

fn health(config: &Config) -> String {
    format!("{}-/health", config.url)
}

/// The gateway runs, and has a problem of its own.
fn not_ready(url: &str) -> Finding {
    Finding::problem(
        format!("{url} answers that the gateway is not ready"),
        "its log says why, in the last line with \"not ready\"; it recovers by itself when that is mended",
    )
}

fn is_not_ready(answer: &Answer) -> bool {
    answer.status == 503 && *answer.body == *b"not ready\n"
}

fn is_ok(answer: &Answer) -> bool {
    answer.status == 200 && *answer.body == *b"ok\n"
}
