//! Who may read gets the bytes, and if not: why not.

use http::{HeaderName, StatusCode};
use private_media::delivery::SendfileEncoding;

use super::super::canary::described;
use super::super::client::{Answer, Unanswered};
use super::super::local::real;
use super::super::report::{Finding, Findings, unless_ok};
use super::access::barrier;
use super::front::{absolute_root, hand_off};
use super::{Canary, Front, Probe};
use crate::send_mode::SendMode;

/// Each file arrives whole and unchanged, whatever its name.
pub(super) async fn whole_and_right(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    let canaries = &probe.canaries;
    let mut problems = Findings::new();
    // How names are written is the next check's matter.
    let is_encoded = probe.config.send_mode == SendMode::Apache(SendfileEncoding::Encoded);
    let page = Some(&canaries.page).filter(|_| !is_encoded);
    for canary in [&canaries.photo, &canaries.letter].into_iter().chain(page) {
        if let Some(problem) = problem_of(probe, canary).await? {
            // One cause is one line, with the first file that showed it.
            if problems.iter().all(|other| other.fix != problem.fix) {
                problems.push(problem);
            }
        }
    }
    let reader = probe.readers.reader.as_ref().map_or("", |reader| &reader.name);
    Ok(unless_ok(
        problems,
        format!("{reader} gets the bytes of a picture, a page and a text as they are stored"),
    ))
}

/// A name with `%` in it leads to its own file, and not to what it is when decoded once more.
pub(super) async fn names_with_percent(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    let canaries = &probe.canaries;
    let answer = probe.as_reader(&probe.url(&canaries.percent)).await?;
    let is_right = answer.status == StatusCode::OK && answer.body == canaries.percent.content;
    let plain_works = probe.as_reader(&probe.url(&canaries.letter)).await?.body == canaries.letter.content;
    let hard_works = probe.as_reader(&probe.url(&canaries.page)).await?.body == canaries.page.content;
    if !plain_works {
        // Then nothing arrives, and the check before this one says why.
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

async fn problem_of(probe: &Probe<'_>, canary: &Canary) -> Result<Option<Finding>, Unanswered> {
    let url = probe.url(canary);
    let answer = probe.as_reader(&url).await?;
    if answer.status == StatusCode::OK && answer.body == canary.content {
        return Ok(None);
    }
    let behind = match &probe.gateway {
        Some(gateway) => gateway.get(&url, probe.cookie()).await.ok(),
        None => None,
    };
    let (cause, fix) = match behind.as_ref().map(|behind| Behind::of(behind, canary)) {
        None => (
            "and the gateway itself cannot be asked".to_owned(),
            "start the gateway where listen says, or give doctor the settings of the one that runs".to_owned(),
        ),
        Some(Behind::Refused(status)) => (
            format!("the gateway that runs says {status}, though this configuration allows it"),
            "see its log for why: let its user into every folder below the root, or start it anew with this configuration, or give \
             doctor the root, grants and accounts of the one that runs"
                .into(),
        ),
        _ if is_refusal(&answer) => (
            "the gateway gives it to this reader if asked directly, and refuses it through the front".to_owned(),
            format!(
                "let the front pass the Cookie field and the path as they are (no proxy_set_header Cookie, no RequestHeader about \
                 it): {}",
                probe.kind.pass(probe.config)
            ),
        ),
        Some(Behind::HandedOff(name)) => handed_off(probe, canary, &answer, &name),
        Some(Behind::Sent) => sent(probe, &answer),
    };
    Ok(Some(Finding::problem(format!("{url} answers {}: {cause}", seen(&answer)), fix)))
}

/// What the gateway itself makes of the same request.
enum Behind {
    HandedOff(HeaderName),
    Sent,
    Refused(StatusCode),
}

impl Behind {
    fn of(answer: &Answer, canary: &Canary) -> Self {
        let names = ["x-accel-redirect", "x-sendfile"].map(HeaderName::from_static);
        match names.into_iter().find(|name| answer.headers.contains_key(name)) {
            Some(name) => Self::HandedOff(name),
            None if answer.body == canary.content => Self::Sent,
            None => Self::Refused(answer.status),
        }
    }
}

/// The gateway has named the file to the front, and it does not arrive.
fn handed_off(probe: &Probe<'_>, canary: &Canary, answer: &Answer, name: &HeaderName) -> (String, String) {
    let needs = hand_off(probe.config, probe.kind);
    let for_nginx = name == "x-accel-redirect";
    let takes_the_other = match probe.kind {
        Front::Nginx => !for_nginx,
        Front::Apache | Front::Lighttpd => for_nginx,
        Front::Caddy | Front::Other => false,
    };
    if takes_the_other {
        let cause = format!("the gateway that runs hands off by {name}, which this front does not take");
        let server = if for_nginx { "apache" } else { "nginx" };
        return (cause, format!("delivery.mode = \"{server}\", and start the gateway anew"));
    }
    if answer.status == StatusCode::OK && answer.body.is_empty() {
        let fix = if for_nginx && probe.kind != Front::Caddy {
            format!("no proxy_ignore_headers X-Accel-Redirect in location {}", probe.config.url)
        } else {
            needs
        };
        return (format!("the front does not act on {name}"), fix);
    }
    if let Some(barrier) = barrier(probe, canary) {
        return barrier;
    }
    let real = real(&probe.config.root).map(|real| real.display().to_string());
    let linked = real.filter(|real| for_nginx && *real != absolute_root(probe.config));
    match answer.status.as_u16() {
        // Measured with 1.22: a link on the way is no folder to it, also before `from`.
        404 if linked.is_some() => (
            "nginx does not find it: the root's path goes over a link, which disable_symlinks does not pass, or its alias is another folder".into(),
            format!("root = \"{0}\", and {0}/ behind alias and from", linked.unwrap_or_default()),
        ),
        403 if probe.kind != Front::Lighttpd => (
            format!("the front's user may not read it ({})", described(probe.config)),
            format!("put the front's user into the group of {} (usermod -aG), mode 2750", absolute_root(probe.config)),
        ),
        404 if for_nginx => (
            "the gateway hands it off, and nginx does not find it: there is no such location, or its alias is not exactly the root"
                .into(),
            needs,
        ),
        403 | 404 => (
            "the gateway hands it off, and the front does not find it: its path for such files is not the root, or its user cannot read it"
                .into(),
            needs,
        ),
        502 => (
            "the front cannot read the gateway's answer".into(),
            "proxy_buffer_size 16k; proxy_buffers 8 16k; (a hand-off of a long name is a long header)".into(),
        ),
        200 => ("the front sends another file, or changes it".into(), needs),
        _ => ("the gateway hands it off, and the front fails".into(), format!("{needs}; the front's error log says more")),
    }
}

/// The gateway sends it, and it does not arrive.
fn sent(probe: &Probe<'_>, answer: &Answer) -> (String, String) {
    let pass = probe.kind.pass(probe.config);
    match answer.status.as_u16() {
        200 => (
            "these are not the bytes of the file".into(),
            format!(
                "let the front change nothing below {} (filters, rewriting, compression)",
                probe.config.url
            ),
        ),
        404 => ("the front looks for it by itself, and does not ask the gateway".into(), pass),
        _ => ("the gateway gives it to this reader if asked directly".into(), pass),
    }
}

/// The gateway's own refusal, and no page of the front.
fn is_refusal(answer: &Answer) -> bool {
    answer.status == StatusCode::NOT_FOUND && *answer.body == *b"not found\n"
}

fn seen(answer: &Answer) -> String {
    match (answer.status, answer.body.len()) {
        (StatusCode::OK, 0) => "200 without a body".into(),
        (StatusCode::OK, len) => format!("200 with {len} other bytes"),
        (status, _) => status.to_string(),
    }
}
