//! The measurements as a table and as JSON: medians of the runs, and of their ratios to a reference peer.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::json;

use crate::load::Load;

/// The reference of most peers: nginx without authorization.
pub(crate) const BASELINE: &str = "nginx, public";

/// The reference of peers with an access log.
const BASELINE_WITH_LOG: &str = "nginx, public, with an access log";
/// The reference of peers with TLS.
const BASELINE_WITH_TLS: &str = "nginx, public, with TLS 1.3";
/// The reference of peers whose files nginx sends.
const BASELINE_OF_HAND_OFF: &str = "nginx, auth_request";
/// The reference of peers whose files are in a bucket.
pub(crate) const BASELINE_OF_BUCKETS: &str = "nginx, proxy_pass to the bucket";
/// The gateway with local files, which is the reference of its cache.
pub(crate) const LOCAL: &str = "private-media, gateway";
/// How the names of peers end that run the program of `--old`.
pub(crate) const OLD: &str = ", old";

/// One run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    /// Requests a second.
    pub(crate) rate: f64,
    bytes: f64,
    /// Processor time of the server, in microseconds a request.
    cpu: f64,
    p50: f64,
    p99: f64,
    /// The largest memory during the run, in bytes.
    memory: f64,
}

impl Run {
    #[expect(clippy::cast_precision_loss, reason = "no count reaches 2^52")]
    pub(crate) fn new(done: &Load, cpu: Duration, memory: u64) -> Self {
        let seconds = done.time.as_secs_f64();
        let requests = done.requests as f64;
        Self {
            rate: requests / seconds,
            bytes: done.bytes as f64 / seconds,
            cpu: cpu.as_secs_f64() * 1e6 / requests,
            p50: done.p50.as_secs_f64() * 1e6,
            p99: done.p99.as_secs_f64() * 1e6,
            memory: memory as f64,
        }
    }
}

/// All runs by work and peer, in the order of their first run.
#[derive(Debug)]
pub(crate) struct Report {
    both_cores: bool,
    works: Vec<&'static str>,
    peers: Vec<&'static str>,
    runs: BTreeMap<(&'static str, &'static str), Vec<Run>>,
    idle: BTreeMap<&'static str, u64>,
}

impl Report {
    pub(crate) fn new(both_cores: bool) -> Self {
        Self { both_cores, works: vec![], peers: vec![], runs: BTreeMap::new(), idle: BTreeMap::new() }
    }

    /// Adds a peer, with its memory before the first request.
    pub(crate) fn idle(&mut self, peer: &'static str, memory: u64) {
        self.peers.push(peer);
        self.idle.insert(peer, memory);
    }

    pub(crate) fn add(&mut self, work: &'static str, peer: &'static str, run: Run) {
        if !self.works.contains(&work) {
            self.works.push(work);
        }
        self.runs.entry((work, peer)).or_default().push(run);
    }

    /// Removes the runs of a peer that failed.
    pub(crate) fn remove(&mut self, work: &'static str, peer: &'static str) {
        self.runs.remove(&(work, peer));
    }

    /// Returns the requests per second of each peer.
    pub(crate) fn rates(&self, work: &'static str) -> Vec<(&'static str, f64)> {
        self.peers.iter().filter_map(|peer| Some((*peer, self.median(work, peer, |run| run.rate)?))).collect()
    }

    pub(crate) fn works(&self) -> &[&'static str] {
        &self.works
    }

    fn median(&self, work: &'static str, peer: &'static str, of: impl Fn(&Run) -> f64) -> Option<f64> {
        median(self.runs.get(&(work, peer))?.iter().map(of).collect())
    }

    /// Returns the median of the ratios of two peers, each of two runs that directly followed each other.
    fn ratio(
        &self,
        work: &'static str,
        (peer, reference): (&'static str, &'static str),
        of: impl Fn(&Run) -> f64,
    ) -> Option<f64> {
        let (own, reference) = (self.runs.get(&(work, peer))?, self.runs.get(&(work, reference))?);
        median(own.iter().zip(reference).map(|(own, reference)| of(own) / of(reference)).collect())
    }

    pub(crate) fn to_markdown(&self) -> String {
        let cores = if self.both_cores {
            "server and client share both cores"
        } else {
            "a core for the server, one for the client"
        };
        let references = if self.peers.contains(&BASELINE_OF_BUCKETS) {
            format!("to {LOCAL} with a warm cache, and else to {BASELINE_OF_BUCKETS}")
        } else {
            format!(
                "to {BASELINE_WITH_LOG} with an access log, to {BASELINE_WITH_TLS} with TLS, to {BASELINE_OF_HAND_OFF} where nginx \
                 sends, and else to {BASELINE}"
            )
        };
        let mut text = format!("Medians; {cores}; × is the median ratio of paired runs: {references}.\n");
        for work in &self.works {
            let _ = write!(
                text,
                "\n**{work}**\n\n| | requests/s | × | MiB/s | CPU µs a request | × | p50 µs | p99 µs | memory MiB (idle) |\n"
            );
            text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|\n");
            for peer in &self.peers {
                let Some(rate) = self.median(work, peer, |run| run.rate) else { continue };
                let value = |of: fn(&Run) -> f64| self.median(work, peer, of).unwrap_or_default();
                let ratio = |of: fn(&Run) -> f64| {
                    self.ratio(work, (peer, reference(peer)), of).map_or("–".into(), |x| format!("{x:.2}"))
                };
                let _ = writeln!(
                    text,
                    "| {peer} | {rate:.0} | {} | {:.0} | {:.1} | {} | {:.0} | {:.0} | {:.1} ({:.1}) |",
                    ratio(|run| run.rate),
                    value(|run| run.bytes) / MIB,
                    value(|run| run.cpu),
                    ratio(|run| run.cpu),
                    value(|run| run.p50),
                    value(|run| run.p99),
                    value(|run| run.memory) / MIB,
                    self.idle_mib(peer),
                );
            }
        }
        text + &self.old_and_new()
    }

    /// Compares the new program with the old one.
    fn old_and_new(&self) -> String {
        let mut rows = String::new();
        for old in &self.peers {
            let Some(new) = old.strip_suffix(OLD) else { continue };
            for work in &self.works {
                let ratio = |of: fn(&Run) -> f64| self.ratio(work, (new, old), of);
                let (Some(rate), Some(cpu)) = (ratio(|run| run.rate), ratio(|run| run.cpu)) else { continue };
                let _ = writeln!(rows, "| {work} | {new} | {rate:.2} | {cpu:.2} |");
            }
        }
        if rows.is_empty() {
            return rows;
        }
        format!(
            "\n**The new program against the old one**\n\n| work | peer | requests × | CPU × |\n|---|---|--:|--:|\n{rows}"
        )
    }

    pub(crate) fn to_json(&self) -> String {
        let runs: Vec<_> = self
            .runs
            .iter()
            .map(|((work, peer), runs)| {
                let runs: Vec<_> = runs
                    .iter()
                    .map(|run| {
                        json!({
                            "requests_per_second": run.rate, "bytes_per_second": run.bytes, "cpu_microseconds": run.cpu,
                            "p50_microseconds": run.p50, "p99_microseconds": run.p99, "memory_bytes": run.memory,
                        })
                    })
                    .collect();
                json!({ "work": work, "peer": peer, "runs": runs })
            })
            .collect();
        let all = json!({ "both_cores": self.both_cores, "idle_memory_bytes": self.idle, "results": runs });
        format!("{all:#}\n")
    }

    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 bytes")]
    fn idle_mib(&self, peer: &str) -> f64 {
        self.idle.get(peer).copied().unwrap_or_default() as f64 / MIB
    }
}

/// Returns the peer that another one is compared with.
fn reference(peer: &str) -> &'static str {
    if peer.contains("with an access log") {
        BASELINE_WITH_LOG
    } else if peer.contains("with TLS") {
        BASELINE_WITH_TLS
    } else if peer.contains("warm cache") {
        LOCAL
    } else if peer.contains("bucket") {
        BASELINE_OF_BUCKETS
    } else if peer.contains("nginx sends") || peer.contains("X-Accel-Redirect, constant") {
        BASELINE_OF_HAND_OFF
    } else {
        BASELINE
    }
}

const MIB: f64 = 1_048_576.0;

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2)?;
    let lower = values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(*upper, *lower))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rate: f64, cpu: f64) -> Run {
        Run { rate, bytes: 0.0, cpu, p50: 0.0, p99: 0.0, memory: 0.0 }
    }

    #[test]
    fn medians() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![3.0, 1.0], Some(2.0)),
            (vec![9.0, 1.0, 2.0], Some(2.0)),
        ] {
            assert_eq!(median(values.clone()), expected, "{values:?}");
        }
    }

    #[test]
    fn ratios_are_those_of_paired_runs() {
        let mut report = Report::new(false);
        for peer in [BASELINE, "other", "other, old"] {
            report.idle(peer, 0);
        }
        // The machine is slow for the second pair.
        for (baseline, other) in [(100.0, 200.0), (10.0, 20.0), (50.0, 100.0)] {
            report.add("1 KiB", BASELINE, run(baseline, 10.0));
            report.add("1 KiB", "other", run(other, 5.0));
            report.add("1 KiB", "other, old", run(other / 4.0, 20.0));
        }
        assert_eq!(report.ratio("1 KiB", ("other", BASELINE), |run| run.rate), Some(2.0));
        assert_eq!(report.rates("1 KiB").get(..2), Some(&[(BASELINE, 50.0), ("other", 100.0)][..]));
        let markdown = report.to_markdown();
        assert!(markdown.contains("| other | 100 | 2.00 | 0 | 5.0 | 0.50 |"), "{markdown}");
        assert!(markdown.ends_with("|--:|--:|\n| 1 KiB | other | 4.00 | 0.25 |\n"), "{markdown}");
    }

    #[test]
    fn each_peer_is_compared_with_its_own_kind() {
        for (peer, expected) in [
            ("private-media, gateway", BASELINE),
            ("private-media, gateway, old", BASELINE),
            ("private-media, gateway, with an access log", BASELINE_WITH_LOG),
            ("private-media, gateway, with an access log, old", BASELINE_WITH_LOG),
            ("private-media, gateway, with TLS 1.3", BASELINE_WITH_TLS),
            ("private-media, nginx sends", BASELINE_OF_HAND_OFF),
            ("nginx, X-Accel-Redirect, constant", BASELINE_OF_HAND_OFF),
            ("nginx, auth_request", BASELINE),
            ("private-media, bucket", BASELINE_OF_BUCKETS),
            ("private-media, bucket, nginx fetches", BASELINE_OF_BUCKETS),
            ("private-media, bucket, warm cache", LOCAL),
        ] {
            assert_eq!(reference(peer), expected, "{peer}");
        }
    }
}
