//! What was measured, as a table and as JSON: medians of the runs, and of their ratios to the bar.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::json;

use crate::load::Load;

/// To whom all are compared: nginx, serving the same files to everybody.
pub(crate) const BASELINE: &str = "nginx, public";

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
    /// The most that was seen of it.
    memory: f64,
}

impl Run {
    #[expect(clippy::cast_precision_loss, reason = "nothing here is counted to 2^52")]
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

/// All runs, by work and peer, in the order in which they came first.
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

    /// The memory of a peer that nobody has asked anything yet.
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

    /// Nothing is said of a peer that has failed at a piece of work.
    pub(crate) fn remove(&mut self, work: &'static str, peer: &'static str) {
        self.runs.remove(&(work, peer));
    }

    /// Requests a second, by peer, of a piece of work.
    pub(crate) fn rates(&self, work: &'static str) -> Vec<(&'static str, f64)> {
        self.peers.iter().filter_map(|peer| Some((*peer, self.median(work, peer, |run| run.rate)?))).collect()
    }

    pub(crate) fn works(&self) -> &[&'static str] {
        &self.works
    }

    fn median(&self, work: &'static str, peer: &'static str, of: impl Fn(&Run) -> f64) -> Option<f64> {
        median(self.runs.get(&(work, peer))?.iter().map(of).collect())
    }

    /// The median of the ratios to the bar, each of two runs that were made one after the other.
    fn ratio(&self, work: &'static str, peer: &'static str, of: impl Fn(&Run) -> f64) -> Option<f64> {
        let (own, bar) = (self.runs.get(&(work, peer))?, self.runs.get(&(work, BASELINE))?);
        median(own.iter().zip(bar).map(|(own, bar)| of(own) / of(bar)).collect())
    }

    pub(crate) fn to_markdown(&self) -> String {
        let cores = if self.both_cores {
            "server and client share both cores"
        } else {
            "a core for the server, one for the client"
        };
        let mut text = format!("Medians; {cores}; × is against {BASELINE}, by runs one after the other.\n");
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
                    self.ratio(work, peer, of).map_or("–".into(), |x| format!("{x:.2}"))
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
        text
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

    /// A machine that is slow for a while is slow for both of a pair.
    #[test]
    fn ratios_are_of_pairs() {
        let mut report = Report::new(false);
        for peer in [BASELINE, "other"] {
            report.idle(peer, 0);
        }
        for (bar, other) in [(100.0, 200.0), (10.0, 20.0), (50.0, 100.0)] {
            report.add("1 KiB", BASELINE, run(bar, 10.0));
            report.add("1 KiB", "other", run(other, 5.0));
        }
        assert_eq!(report.ratio("1 KiB", "other", |run| run.rate), Some(2.0));
        assert_eq!(report.rates("1 KiB"), [(BASELINE, 50.0), ("other", 100.0)]);
        assert!(
            report.to_markdown().contains("| other | 100 | 2.00 | 0 | 5.0 | 0.50 |"),
            "{}",
            report.to_markdown()
        );
    }
}
