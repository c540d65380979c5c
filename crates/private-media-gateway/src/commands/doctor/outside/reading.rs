//! Checks that a user with permission gets the file, and finds the cause if not.

use http::{HeaderName, StatusCode};
use private_media::delivery::SendfileEncoding;

use super::super::canaries::group_and_mode;
use super::super::canary::Canary;
use super::super::client::{RequestError, Response};
use super::super::local::real;
use super::super::report::{Finding, Findings, or_ok};
use super::access::barrier;
use super::front::{Front, absolute_root, hand_off};
use super::probe::Probe;
use crate::send_mode::SendMode;

/// Checks that files arrive unchanged, whatever their names.
pub(super) async fn files_arrive_unchanged(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let canaries = &probe.canaries;
    let mut problems = Findings::new();
    // The next check reports wrongly encoded names.
    let is_encoded = probe.config.send_mode == SendMode::Apache(SendfileEncoding::Encoded);
    let page = Some(&canaries.page).filter(|_| !is_encoded);
    for canary in [&canaries.photo, &canaries.letter].into_iter().chain(page) {
        if let Some(problem) = problem_of(probe, canary).await? {
            // One cause is reported once, with the first file.
            if problems.iter().all(|other| other.fix != problem.fix) {
                problems.push(problem);
            }
        }
    }
    let name = probe.accounts.permitted.as_ref().map_or("", |account| &account.name);
    Ok(or_ok(problems, format!("{name} gets a picture, a page and a text unchanged")))
}

/// Checks that a name with `%` leads to its own file, not to that of the decoded name.
pub(super) async fn names_with_percent(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let canaries = &probe.canaries;
    let response = probe.get_as_user(&probe.url(&canaries.percent)).await?;
    let is_right = response.status == StatusCode::OK && response.body == canaries.percent.content;
    let plain_works = probe.get_as_user(&probe.url(&canaries.letter)).await?.body == canaries.letter.content;
    let hard_works = probe.get_as_user(&probe.url(&canaries.page)).await?.body == canaries.page.content;
    if !plain_works {
        // The previous check reports that no file arrives.
        return Ok(Vec::new());
    }
    let encoding = match &probe.config.send_mode {
        SendMode::Apache(encoding) => Some(*encoding),
        _ => None,
    };
    Ok(vec![match encoding {
        Some(SendfileEncoding::Plain) if !is_right => Finding::problem(
            "the front decodes the names in X-Sendfile, and delivery.sendfile_encoding is plain: %41 in a name led to another file",
            "delivery.sendfile_encoding = \"encoded\" (or \"auto\", which is right with both)",
        ),
        Some(SendfileEncoding::Encoded) if !is_right || !hard_works => Finding::problem(
            "the front does not decode the names in X-Sendfile, and delivery.sendfile_encoding is encoded: names with spaces and accents are not found",
            "delivery.sendfile_encoding = \"plain\" (or \"auto\", which is right with both)",
        ),
        _ if !is_right => match problem_of(probe, &canaries.percent).await? {
            Some(problem) => problem,
            None => Finding::ok("a name with %41 in it leads to its own file"),
        },
        Some(SendfileEncoding::Auto) => Finding::ok(
            "auto is right with this front: a name with % in it is sent by the gateway itself, every other one by the front",
        ),
        _ => Finding::ok("a name with %41 in it leads to its own file"),
    }])
}

async fn problem_of(probe: &Probe<'_>, canary: &Canary) -> Result<Option<Finding>, RequestError> {
    let url = probe.url(canary);
    let response = probe.get_as_user(&url).await?;
    if response.status == StatusCode::OK && response.body == canary.content {
        return Ok(None);
    }
    let behind = match &probe.gateway {
        Some(gateway) => gateway.get(&url, probe.cookie()).await.ok(),
        None => None,
    };
    let (cause, fix) = match behind.as_ref().map(|behind| Behind::of(behind, canary)) {
        None => (
            "and the gateway itself does not respond".to_owned(),
            "start the gateway at the address of listen, or give the doctor the settings of the running one".to_owned(),
        ),
        Some(Behind::Refused(status)) => (
            format!("the running gateway responds {status}, though this configuration permits it"),
            "see its log; let its user enter every folder below the root, restart it with this configuration, or give the doctor \
             the root, grants and accounts of the running one"
                .into(),
        ),
        _ if is_refusal(&response) => (
            "the gateway sends it to this user directly, but denies it through the front server".to_owned(),
            format!(
                "let the front server pass the Cookie header and the path unchanged (no proxy_set_header Cookie, no RequestHeader for \
                 it): {}",
                probe.kind.pass(probe.config)
            ),
        ),
        Some(Behind::HandedOff(name)) => handed_off(probe, canary, &response, &name),
        Some(Behind::Sent) => sent(probe, &response),
    };
    Ok(Some(Finding::problem(format!("{url} responds {}: {cause}", seen(&response)), fix)))
}

/// The response of the gateway itself to the same request.
enum Behind {
    HandedOff(HeaderName),
    Sent,
    Refused(StatusCode),
}

impl Behind {
    fn of(response: &Response, canary: &Canary) -> Self {
        let names = ["x-accel-redirect", "x-sendfile"].map(HeaderName::from_static);
        match names.into_iter().find(|name| response.headers.contains_key(name)) {
            Some(name) => Self::HandedOff(name),
            None if response.body == canary.content => Self::Sent,
            None => Self::Refused(response.status),
        }
    }
}

/// Finds the cause if the gateway hands the file off and it does not arrive.
fn handed_off(
    probe: &Probe<'_>,
    canary: &Canary,
    response: &Response,
    name: &HeaderName,
) -> (String, String) {
    let needs = hand_off(probe.config, probe.kind);
    let for_nginx = name == "x-accel-redirect";
    let supports_the_other = match probe.kind {
        Front::Nginx => !for_nginx,
        Front::Apache | Front::Lighttpd => for_nginx,
        Front::Caddy | Front::Other => false,
    };
    if supports_the_other {
        let cause =
            format!("the running gateway hands off by {name}, which this front server does not support");
        let server = if for_nginx { "apache" } else { "nginx" };
        return (cause, format!("delivery.mode = \"{server}\", and restart the gateway"));
    }
    if response.status == StatusCode::OK && response.body.is_empty() {
        let fix = if for_nginx && probe.kind != Front::Caddy {
            format!("no proxy_ignore_headers X-Accel-Redirect in location {}", probe.config.url)
        } else {
            needs
        };
        return (format!("the front server ignores {name}"), fix);
    }
    if let Some(barrier) = barrier(probe, canary) {
        return barrier;
    }
    let real = real(&probe.config.root).map(|real| real.display().to_string());
    let linked = real.filter(|real| for_nginx && *real != absolute_root(probe.config));
    match response.status.as_u16() {
        // nginx 1.22 does not pass links before `from` either (measured).
        404 if linked.is_some() => (
            "nginx does not find it: the root's path contains a link, which disable_symlinks refuses, or its alias is another folder".into(),
            format!("root = \"{0}\", and {0}/ in alias and from", linked.unwrap_or_default()),
        ),
        403 if probe.kind != Front::Lighttpd => (
            format!("the front server's user may not read it ({})", group_and_mode(probe.config)),
            format!("add the front server's user to the group of {} (usermod -aG), mode 2750", absolute_root(probe.config)),
        ),
        404 if for_nginx => (
            "the gateway hands it off, and nginx does not find it: the location is missing, or its alias is not exactly the root"
                .into(),
            needs,
        ),
        403 | 404 => (
            "the gateway hands it off, and the front server does not find it: its path for hand-offs is not the root, or its user cannot read it"
                .into(),
            needs,
        ),
        502 => (
            "the front server cannot read the gateway's response".into(),
            "proxy_buffer_size 16k; proxy_buffers 8 16k; (a hand-off of a long name is a long header)".into(),
        ),
        200 => ("the front server sends another file, or changes it".into(), needs),
        _ => ("the gateway hands it off, and the front server fails".into(), format!("{needs}; see the error log of the front server")),
    }
}

/// Finds the cause if the gateway sends the file and it does not arrive.
fn sent(probe: &Probe<'_>, response: &Response) -> (String, String) {
    let pass = probe.kind.pass(probe.config);
    match response.status.as_u16() {
        200 => (
            "the bytes differ from the file".into(),
            format!(
                "let the front server change nothing below {} (filters, rewriting, compression)",
                probe.config.url
            ),
        ),
        404 => ("the front server looks for the file itself, and does not ask the gateway".into(), pass),
        _ => ("the gateway sends it to this user directly".into(), pass),
    }
}

/// Returns whether a response is the gateway's own 404.
fn is_refusal(response: &Response) -> bool {
    response.status == StatusCode::NOT_FOUND && *response.body == *b"not found\n"
}

fn seen(response: &Response) -> String {
    match (response.status, response.body.len()) {
        (StatusCode::OK, 0) => "200 without a body".into(),
        (StatusCode::OK, len) => format!("200 with {len} other bytes"),
        (status, _) => status.to_string(),
    }
}
