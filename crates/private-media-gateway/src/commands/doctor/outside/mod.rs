//! What a reader and a stranger see from outside.

mod access;
mod cache;
mod claims;
mod denial;
mod exposure;
mod front;
mod headers;
mod protocol;
mod reached;
mod reading;
mod spelling;

use futures_core::future::BoxFuture;
use http::HeaderValue;

use super::canary::{Canaries, Canary};
use super::client::{Answer, Client, Unanswered};
use super::readers::Readers;
use super::report::{Finding, Findings, Report, Status};
use crate::config::Config;
pub(super) use front::Front;
pub(super) use reached::{clock_of_files, health_of};

/// All that a check needs.
pub(super) struct Probe<'a> {
    pub(super) config: &'a Config,
    /// The deployment as its users reach it.
    pub(super) front: Client,
    /// The gateway itself, if this machine can ask it.
    pub(super) gateway: Option<Client>,
    pub(super) canaries: Canaries,
    pub(super) readers: Readers,
    pub(super) kind: Front,
    /// Strangers get what the gateway would refuse them: the front serves it by itself.
    pub(super) is_open: bool,
}

type Checked<'a> = BoxFuture<'a, Result<Findings, Unanswered>>;

/// A check, and whom it needs.
struct Check {
    name: &'static str,
    needs: Needs,
    run: for<'a> fn(&'a Probe<'a>) -> Checked<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Any answer of the front.
    Front,
    /// That the front hands requests on to the gateway.
    Gateway,
    /// And somebody who may read a canary, by the gateway's leave.
    Reader,
    /// And that strangers may not.
    Closed,
}

/// Every check from outside, in order. Those that a cache could spoil come first, each with canaries of its own.
const CHECKS: [Check; 15] = [
    check("cache", Needs::Closed, |probe| Box::pin(cache::mixes_nobody_up(probe))),
    check("denied", Needs::Gateway, |probe| Box::pin(denial::strangers_learn_nothing(probe))),
    check("denied-reader", Needs::Gateway, |probe| Box::pin(denial::other_readers_learn_nothing(probe))),
    check("read", Needs::Reader, |probe| Box::pin(reading::whole_and_right(probe))),
    check("encoding", Needs::Reader, |probe| Box::pin(reading::names_with_percent(probe))),
    check("headers", Needs::Reader, |probe| Box::pin(headers::of_files(probe))),
    check("headers-404", Needs::Gateway, |probe| Box::pin(headers::of_refusals(probe))),
    check("protocol", Needs::Reader, |probe| Box::pin(protocol::ranges_and_conditions(probe))),
    check("spelling", Needs::Reader, |probe| Box::pin(spelling::paths_arrive_as_sent(probe))),
    check("internal", Needs::Front, |probe| Box::pin(exposure::internal_location(probe))),
    check("exposed", Needs::Front, |probe| Box::pin(exposure::other_urls(probe))),
    check("own-files", Needs::Front, |probe| Box::pin(exposure::own_files(probe))),
    check("listing", Needs::Front, |probe| Box::pin(exposure::listings(probe))),
    check("claims", Needs::Front, |probe| Box::pin(claims::count_for_nothing(probe))),
    check("hand-off", Needs::Front, |probe| {
        Box::pin(std::future::ready(Ok(headers::hand_off_stays_inside(probe))))
    }),
];

const fn check(name: &'static str, needs: Needs, run: for<'a> fn(&'a Probe<'a>) -> Checked<'a>) -> Check {
    Check { name, needs, run }
}

/// Looks at the gateway, at the front, and then at all else that can be looked at.
pub(super) async fn look(probe: &mut Probe<'_>, report: &mut Report) {
    let gateway = reached::gateway(probe).await;
    let is_all_there_is = probe.gateway.as_ref().is_some_and(|gateway| gateway.target == probe.front.target);
    let is_missed = is_all_there_is && gateway.iter().any(|finding| finding.status == Status::Problem);
    report.add("gateway", gateway);
    if is_missed {
        return;
    }
    let front = reached::front(probe).await;
    if let Some(answer) = &front.answer {
        probe.kind = Front::of(&answer.headers, probe.config);
    }
    report.add("front", front.findings);
    let Some(answer) = front.answer.filter(|_| front.is_there) else {
        report.add(
            "outside",
            vec![Finding::note("nothing more was looked at from outside: the front comes first")],
        );
        return;
    };
    report.add("front-clock", reached::clock(&answer));
    probe.is_open = !probe.readers.everyone && front.is_gateway && probe.is_open_to_strangers().await;
    for note in probe.left_out(front.is_gateway) {
        report.add("outside", vec![Finding::note(note)]);
    }
    for check in &CHECKS {
        if !probe.can(check.needs, front.is_gateway) {
            continue;
        }
        let findings = (check.run)(probe).await.unwrap_or_else(|error| {
            vec![Finding::problem(error.to_string(), "see why it does not answer, and run this again")]
        });
        report.add(check.name, findings);
    }
}

impl Probe<'_> {
    fn can(&self, needs: Needs, is_gateway: bool) -> bool {
        match needs {
            Needs::Front => true,
            Needs::Gateway => is_gateway,
            Needs::Reader => is_gateway && self.cookie().is_some() && !self.is_open,
            Needs::Closed => self.can(Needs::Reader, is_gateway) && !self.readers.everyone,
        }
    }

    /// What cannot be looked at, and why.
    fn left_out(&self, is_gateway: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if !is_gateway {
            notes.push(
                "what the gateway answers was not looked at through the front, which does not hand on to it"
                    .into(),
            );
            return notes;
        }
        if self.is_open {
            notes.push(
                "what else the gateway says of files was not looked at: they do not come from it".into(),
            );
        }
        match &self.readers.reader {
            None => notes.push(
                "no account was found that may read a file of the doctor's own name: only what strangers see was looked at"
                    .into(),
            ),
            Some(reader) if self.readers.everyone => notes.push(format!(
                "everyone may read wherever {} may: whether strangers are kept out was not looked at",
                reader.name
            )),
            Some(_) if self.readers.denied.is_none() => {
                notes.push("no account is denied anything: only a stranger's denial was looked at".into());
            }
            Some(_) => {}
        }
        notes
    }

    /// The session of who may read.
    fn cookie(&self) -> Option<&HeaderValue> {
        self.readers.reader.as_ref().map(|reader| &reader.cookie)
    }

    /// The path of a canary in the private URL.
    fn url(&self, canary: &Canary) -> String {
        format!("{}{}", self.config.url, canary.path.to_url())
    }

    /// Asks the front as the reader.
    async fn as_reader(&self, path: &str) -> Result<Answer, Unanswered> {
        self.front.get(path, self.cookie()).await
    }

    /// Asks the front as a stranger.
    async fn as_stranger(&self, path: &str) -> Result<Answer, Unanswered> {
        self.front.get(path, None).await
    }

    async fn is_open_to_strangers(&self) -> bool {
        let answer = self.as_stranger(&self.url(&self.canaries.closed)).await;
        answer.is_ok_and(|answer| self.gives_away(&answer))
    }

    /// Whether an answer gives a canary's content away.
    fn gives_away(&self, answer: &Answer) -> bool {
        answer.holds(&self.canaries.words.secret)
    }
}
