//! Checks that the gateway and the front server respond, and that their clocks agree.

use std::time::SystemTime;

use http::header::{DATE, LOCATION};

use super::super::client::{Client, RequestError, Response};
use super::super::report::{Finding, Findings};
use super::front::Front;
use super::probe::Probe;
use crate::config::Config;

/// The maximum difference between two clocks, in seconds.
const MAX_DIFFERENCE: u64 = 60;

/// The state of the public URL.
pub(super) struct Reachability {
    pub(super) findings: Findings,
    pub(super) response: Option<Response>,
    /// A server responds there, and does not redirect every request.
    pub(super) is_reachable: bool,
    /// The response comes from the gateway.
    pub(super) is_gateway: bool,
}

/// Checks the gateway itself.
pub(super) async fn gateway(probe: &Probe<'_>) -> Findings {
    health_of(probe.config, probe.gateway.as_ref()).await
}

/// Requests the gateway's health page directly.
pub(in crate::commands::doctor) async fn health_of(config: &Config, gateway: Option<&Client>) -> Findings {
    let Some(gateway) = gateway else {
        return vec![Finding::note("listen has no port, so the gateway itself was not checked")];
    };
    let path = health(config);
    let url = gateway.target.url(&path);
    vec![match gateway.get(&path, None).await {
        Ok(response) if is_ok(&response) => Finding::ok(format!("{url} responds")),
        Ok(response) if is_not_ready(&response) => not_ready(&url),
        Ok(response) => Finding::problem(
            format!("{url} responds {}, unlike this gateway", response.status),
            "find out what listens there, and give the doctor the settings of the running gateway",
        ),
        Err(error) => Finding::problem(
            error.to_string(),
            "start it: private-media serve; or give the doctor the settings of the running gateway (listen)",
        ),
    }]
}

/// Checks that the front server responds, and passes the private URL to the gateway.
pub(super) async fn front(probe: &Probe<'_>) -> Reachability {
    let path = health(probe.config);
    let url = probe.front.target.url(&path);
    let response = match probe.front.get(&path, None).await {
        Ok(response) => response,
        Err(error) => {
            let findings = vec![unreachable(&error)];
            return Reachability { findings, response: None, is_reachable: false, is_gateway: false };
        }
    };
    let is_gateway = is_ok(&response) || is_not_ready(&response);
    let is_reachable = !response.status.is_redirection();
    let kind = Front::of(&response.headers, probe.config);
    let finding = if is_not_ready(&response) {
        not_ready(&url)
    } else if is_gateway {
        Finding::ok(format!("the gateway responds at {url}"))
    } else if !is_reachable {
        redirected(&url, &probe.front.target.host, &response)
    } else {
        let fix = match response.status.as_u16() {
            502..=504 => {
                format!(
                    "start the gateway, or fix the address that the front server passes requests to: {}",
                    kind.pass(probe.config)
                )
            }
            401 | 403 => format!(
                "turn off the authentication of the front server below {}: the gateway decides who may read",
                probe.config.url
            ),
            _ => format!(
                "{}; if that exists, an earlier rule or site responds: print the block with --front NAME:PORT, or disable the \
                 default site",
                kind.pass(probe.config)
            ),
        };
        Finding::problem(format!("{url} responds {}, unlike the gateway", response.status), fix)
    };
    Reachability { findings: vec![finding], response: Some(response), is_reachable, is_gateway }
}

fn unreachable(error: &RequestError) -> Finding {
    let text = error.to_string();
    let fix = if text.contains("certificate") {
        "install a certificate for this name that browsers trust, with its full chain; to trust a self-signed one \
         (basicConstraints CA:FALSE), name it in SSL_CERT_FILE"
    } else {
        "start the front server, or give its URL with --url"
    };
    Finding::problem(text, fix)
}

fn redirected(url: &str, asked: &str, response: &Response) -> Finding {
    let to = response.text(&LOCATION);
    let seen = format!("{url} redirects ({}) to {to}", response.status);
    if url.starts_with("http://") && to.starts_with("https://") {
        let host = to.trim_start_matches("https://").split('/').next().unwrap_or_default();
        // The doctor sends sessions to this URL, so the fix must not name another site.
        let is_own = host.trim_start_matches("www.") == asked.trim_start_matches("www.");
        let fix = if is_own {
            format!("give the https URL: --url https://{host}")
        } else {
            "give the https URL, if that site is yours".into()
        };
        return Finding::problem(seen, fix);
    }
    Finding::problem(seen, "give the URL that it redirects to, or do not redirect the private URL")
}

/// Compares the front server's clock with this machine's. Sessions expire by the clock.
pub(super) fn clock(response: &Response) -> Findings {
    let Ok(date) = httpdate::parse_http_date(&response.text(&DATE)) else {
        return vec![Finding::note("the front server sends no Date, so its clock was not checked")];
    };
    let now = SystemTime::now();
    let apart = now.duration_since(date).or_else(|_| date.duration_since(now)).unwrap_or_default().as_secs();
    vec![if apart > MAX_DIFFERENCE {
        Finding::problem(
            format!(
                "the clocks of the front server and this machine differ by {apart} s; sessions expire by the clock"
            ),
            "synchronize both clocks: timedatectl set-ntp true",
        )
    } else {
        Finding::ok("the clocks of the front server and this machine agree")
    }]
}

/// Reports a difference between the file system's clock and this machine's.
pub(in crate::commands::doctor) fn clock_of_files(apart: u64) -> Finding {
    if apart > MAX_DIFFERENCE {
        Finding::problem(
            format!("the time of a new file differs from this machine's clock by {apart} s"),
            "synchronize the clock of the machine that has the files: timedatectl set-ntp true",
        )
    } else {
        Finding::ok("the time of a new file agrees with this machine's clock")
    }
}

fn health(config: &Config) -> String {
    format!("{}-/health", config.url)
}

/// Returns the problem of a gateway that runs, but is not ready.
fn not_ready(url: &str) -> Finding {
    Finding::problem(
        format!("{url} responds that the gateway is not ready"),
        "see the last log line with \"not ready\"; the gateway recovers when the cause is fixed",
    )
}

fn is_not_ready(response: &Response) -> bool {
    response.status == 503 && *response.body == *b"not ready\n"
}

fn is_ok(response: &Response) -> bool {
    response.status == 200 && matches!(&*response.body, b"ok\n" | b"ok, with warnings\n")
}
