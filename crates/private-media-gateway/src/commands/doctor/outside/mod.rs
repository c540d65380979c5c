//! Checks from outside: what clients with and without permission get.

mod access;
mod cache;
mod cors;
mod denial;
mod exposure;
mod front;
mod headers;
mod probe;
mod protocol;
mod reachability;
mod reading;
mod spelling;
mod spoofed_headers;

use futures_core::future::BoxFuture;

use super::client::RequestError;
use super::report::{Finding, Findings, Report, Status};
pub(super) use front::Front;
pub(super) use probe::Probe;
pub(super) use reachability::{clock_of_files, health_of};

type Checked<'a> = BoxFuture<'a, Result<Findings, RequestError>>;

/// A check and its precondition.
struct Check {
    name: &'static str,
    needs: Needs,
    run: for<'a> fn(&'a Probe<'a>) -> Checked<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Any response of the front server.
    Front,
    /// The front server passes requests to the gateway.
    Gateway,
    /// Also, an account may read a canary through the gateway.
    Account,
    /// Also, clients that are not signed in may not.
    Closed,
}

/// The checks from outside, in order. Those that a cache could affect come first, with canaries of their own.
const CHECKS: [Check; 16] = [
    check("cache", Needs::Closed, |probe| Box::pin(cache::responses_are_not_shared(probe))),
    check("denied", Needs::Gateway, |probe| Box::pin(denial::anonymous_clients_learn_nothing(probe))),
    check("denied-user", Needs::Gateway, |probe| Box::pin(denial::denied_users_learn_nothing(probe))),
    check("read", Needs::Account, |probe| Box::pin(reading::files_arrive_unchanged(probe))),
    check("encoding", Needs::Account, |probe| Box::pin(reading::names_with_percent(probe))),
    check("headers", Needs::Account, |probe| Box::pin(headers::of_files(probe))),
    check("headers-404", Needs::Gateway, |probe| Box::pin(headers::of_refusals(probe))),
    check("cors", Needs::Account, |probe| Box::pin(cors::an_allowed_origin_may_read(probe))),
    check("protocol", Needs::Account, |probe| Box::pin(protocol::ranges_and_conditions(probe))),
    check("spelling", Needs::Account, |probe| Box::pin(spelling::paths_arrive_as_sent(probe))),
    check("internal", Needs::Front, |probe| Box::pin(exposure::internal_location(probe))),
    check("exposed", Needs::Front, |probe| Box::pin(exposure::other_urls(probe))),
    check("own-files", Needs::Front, |probe| Box::pin(exposure::own_files(probe))),
    check("listing", Needs::Front, |probe| Box::pin(exposure::listings(probe))),
    check("spoofed-headers", Needs::Front, |probe| Box::pin(spoofed_headers::are_ignored(probe))),
    check("hand-off", Needs::Front, |probe| {
        Box::pin(std::future::ready(Ok(headers::hand_off_is_hidden(probe))))
    }),
];

const fn check(name: &'static str, needs: Needs, run: for<'a> fn(&'a Probe<'a>) -> Checked<'a>) -> Check {
    Check { name, needs, run }
}

/// Checks the gateway and the front server, and then runs every check whose precondition is met.
pub(super) async fn run_checks(probe: &mut Probe<'_>, report: &mut Report) {
    let gateway = reachability::gateway(probe).await;
    let is_same_server = probe.gateway.as_ref().is_some_and(|gateway| gateway.target == probe.front.target);
    let is_unusable = is_same_server && gateway.iter().any(|finding| finding.status == Status::Problem);
    report.add("gateway", gateway);
    if is_unusable {
        return;
    }
    let front = reachability::front(probe).await;
    if let Some(response) = &front.response {
        probe.kind = Front::of(&response.headers, probe.config);
    }
    report.add("front", front.findings);
    let Some(response) = front.response.filter(|_| front.is_reachable) else {
        report.add(
            "outside",
            vec![Finding::note("remaining checks from outside skipped: fix the front server first")],
        );
        return;
    };
    report.add("front-clock", reachability::clock(&response));
    probe.is_open = !probe.accounts.everyone && front.is_gateway && probe.is_open_to_everyone().await;
    for note in probe.skipped(front.is_gateway) {
        report.add("outside", vec![Finding::note(note)]);
    }
    for check in &CHECKS {
        if !probe.can(check.needs, front.is_gateway) {
            continue;
        }
        let findings = (check.run)(probe).await.unwrap_or_else(|error| {
            vec![Finding::problem(
                error.to_string(),
                "find out why it does not respond, and run the doctor again",
            )]
        });
        report.add(check.name, findings);
    }
}

impl Probe<'_> {
    fn can(&self, needs: Needs, is_gateway: bool) -> bool {
        match needs {
            Needs::Front => true,
            Needs::Gateway => is_gateway,
            Needs::Account => is_gateway && self.cookie().is_some() && !self.is_open,
            Needs::Closed => self.can(Needs::Account, is_gateway) && !self.accounts.everyone,
        }
    }

    /// Returns what cannot be checked, and why.
    fn skipped(&self, is_gateway: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if !is_gateway {
            notes.push(
                "responses of the gateway were not checked, because the front server does not pass requests to it"
                    .into(),
            );
            return notes;
        }
        if self.is_open {
            notes.push(
                "other properties of files were not checked, because the front server does not get them from the gateway".into(),
            );
        }
        match &self.accounts.permitted {
            None if !self.config.lookups.is_empty() => notes.push(
                "no account may read a test file, because it has no row in a lookup, so only requests without a sign-in were checked; \
                 for all checks, grant staff a folder that no lookup covers"
                    .into(),
            ),
            None => notes.push(
                "no account may read a test file, so only requests without a sign-in were checked"
                    .into(),
            ),
            Some(account) if self.accounts.everyone => notes.push(format!(
                "everyone may read where {} may, so denials of clients that are not signed in were not checked",
                account.name
            )),
            Some(_) if self.accounts.denied.is_none() => {
                notes.push("no account is denied anything, so only denials of clients that are not signed in were checked".into());
            }
            Some(_) => {}
        }
        notes
    }
}
