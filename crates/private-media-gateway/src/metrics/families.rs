//! What a scrape gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use private_media_listener::Stats;
use prometheus::TextEncoder;
use prometheus::proto::{MetricFamily, MetricType};

use super::family::{counter, counters, family, float, gauge, histogram};
use super::histogram::Values;
use super::labels::Labels;
use super::{Metrics, Shard, SiteCacheCounts, SiteSources, Sources};
use crate::log;
use crate::traces;

impl Metrics {
    /// Returns all metrics in the text format of Prometheus.
    pub(crate) fn render(&self) -> Result<String, prometheus::Error> {
        let mut families = self.requests();
        families.push(self.errors());
        let sources = self.sources();
        families.extend(connections(&sources));
        if let Some(site) = &sources.site {
            families.extend(of_site(site, sources.cache_counts()));
        }
        if let Some(audit) = &sources.audit {
            families.extend(audit.counts().families());
        }
        if let Some(cache) = &sources.block_cache {
            families.extend(cache.counts().families());
        }
        drop(sources);
        let [succeeded, failed] = self.reloads.each_ref().map(|count| count.load(Ordering::Relaxed));
        families.extend([
            counters(
                "private_media_reloads_total",
                "Reloads of the configuration.",
                &[(&[("result", "succeeded")], succeeded), (&[("result", "failed")], failed)],
            ),
            counters(
                "private_media_log_dropped_lines_total",
                "Log lines that were dropped, because the log could not be written.",
                &[(&[], log::dropped())],
            ),
            gauge(
                "private_media_build_info",
                "The version of the gateway; the value is always 1.",
                &[("version", env!("CARGO_PKG_VERSION"))],
                1.0,
            ),
            gauge(
                "private_media_start_time_seconds",
                "When the gateway was started, in seconds since 1970.",
                &[],
                self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            ),
        ]);
        if let Some(lost) = traces::lost_spans() {
            families.push(counters(
                "private_media_trace_lost_spans_total",
                "Spans that were not exported, because the collector was too slow or did not respond.",
                &[(&[], lost)],
            ));
        }
        // A family without metrics is an error: before the first request, none is counted.
        families.retain(|family| !family.get_metric().is_empty());
        TextEncoder::new().encode_to_string(&families)
    }

    fn requests(&self) -> Vec<MetricFamily> {
        let sum = |index: usize| {
            self.shards.iter().filter_map(|shard| shard.requests.get(index)).map(loaded).sum::<u64>()
        };
        let labels = Labels::all().enumerate().map(|(index, labels)| (labels, sum(index)));
        let metrics = labels.filter(|(_, count)| *count > 0).map(|([method, status, decision], count)| {
            let labels = [("method", method), ("status", status), ("decision", decision)];
            counter(&labels, count)
        });
        let requests = family(
            "private_media_requests_total",
            "Requests whose response has ended.",
            MetricType::COUNTER,
            metrics.collect(),
        );
        let whole = self.values(|shard| Some(&shard.request_duration));
        let duration = family(
            "private_media_request_duration_seconds",
            "The time from the head of a request to the end of its response.",
            MetricType::HISTOGRAM,
            vec![histogram(&[], &whole)],
        );
        let steps = (0..).zip(["identity", "permission", "storage"]).map(|(index, step): (usize, _)| {
            histogram(&[("step", step)], &self.values(|shard| shard.step_durations.get(index)))
        });
        let steps = family(
            "private_media_step_duration_seconds",
            "How long the steps of requests for files took: to identify the client, to decide, and to open the file.",
            MetricType::HISTOGRAM,
            steps.collect(),
        );
        let bytes = self.shards.iter().map(|shard| loaded(&shard.response_bytes)).sum();
        let bytes = counters(
            "private_media_response_bytes_total",
            "Bytes of response bodies that were sent.",
            &[(&[], bytes)],
        );
        vec![requests, duration, steps, bytes]
    }

    fn errors(&self) -> MetricFamily {
        let sum = |index: usize| {
            self.shards.iter().filter_map(|shard| shard.failures.get(index)).map(loaded).sum::<u64>()
        };
        let steps = (0..).zip(["identity", "lookup", "storage"]);
        let metrics = steps.map(|(index, step)| counter(&[("step", step)], sum(index))).collect();
        family(
            "private_media_errors_total",
            "Requests that failed, because a client could not be identified, or a lookup or the storage failed.",
            MetricType::COUNTER,
            metrics,
        )
    }

    fn values<'a>(&'a self, of: impl Fn(&'a Shard) -> Option<&'a super::histogram::Histogram>) -> Values {
        let mut values = Values::default();
        self.shards.iter().filter_map(of).for_each(|histogram| histogram.add_to(&mut values));
        values
    }
}

fn connections(sources: &Sources) -> [MetricFamily; 3] {
    let sum = |of: fn(&Stats) -> u64| sources.servers.iter().map(|stats: &Arc<Stats>| of(stats)).sum::<u64>();
    let accepted = sum(Stats::accepted_connections);
    [
        gauge(
            "private_media_connections",
            "Open connections.",
            &[],
            float(accepted.saturating_sub(sum(Stats::closed_connections))),
        ),
        counters(
            "private_media_connections_total",
            "Connections that were accepted, or refused because of limits.connections_per_client.",
            &[
                (&[("result", "accepted")], accepted),
                (&[("result", "refused")], sum(Stats::refused_connections)),
            ],
        ),
        counters(
            "private_media_tls_handshake_errors_total",
            "Connections that ended in their TLS handshake.",
            &[(&[], sum(Stats::failed_handshakes))],
        ),
    ]
}

fn of_site(site: &SiteSources, caches: SiteCacheCounts) -> Vec<MetricFamily> {
    let ready = gauge(
        "private_media_ready",
        "Whether the gateway is ready, as on its health page.",
        &[],
        f64::from(u8::from(site.health.is_ready())),
    );
    let SiteCacheCounts { files, identities } = caches;
    let caches = counters(
        "private_media_cache_requests_total",
        "Requests to the caches of files and identities.",
        &[
            (&[("cache", "files"), ("result", "hit")], files.hits),
            (&[("cache", "files"), ("result", "miss")], files.misses),
            (&[("cache", "identities"), ("result", "hit")], identities.hits),
            (&[("cache", "identities"), ("result", "miss")], identities.misses),
        ],
    );
    let mut families = vec![ready, caches];
    if let Some(accounts) = site.identities.accounts() {
        let counts = accounts.sign_in_counts();
        families.push(counters(
            "private_media_sign_ins_total",
            "Sign-ins at the page, and refused passwords, also of HTTP Basic.",
            &[
                (&[("result", "succeeded")], counts.succeeded),
                (&[("result", "wrong")], counts.wrong),
                (&[("result", "throttled")], counts.throttled),
                (&[("result", "overloaded")], counts.overloaded),
            ],
        ));
    }
    families
}

fn loaded(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
