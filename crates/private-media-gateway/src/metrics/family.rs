//! Builds metrics with their labels.

use std::time::Duration;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::histogram::{BOUNDS, Values};

/// The labels and the value of a metric.
type Row<'a> = (&'a [(&'a str, &'a str)], u64);

pub(super) fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

pub(super) fn counters(name: &str, help: &str, rows: &[Row<'_>]) -> MetricFamily {
    let metrics = rows.iter().map(|(labels, value)| counter(labels, *value)).collect();
    family(name, help, MetricType::COUNTER, metrics)
}

pub(super) fn counter(labels: &[(&str, &str)], value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(float(value));
    let mut metric = labeled(labels);
    metric.set_counter(counter);
    metric
}

pub(super) fn gauge(name: &str, help: &str, labels: &[(&str, &str)], value: f64) -> MetricFamily {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = labeled(labels);
    metric.set_gauge(gauge);
    family(name, help, MetricType::GAUGE, vec![metric])
}

pub(super) fn histogram(labels: &[(&str, &str)], values: &Values) -> Metric {
    let mut count = 0;
    let buckets = BOUNDS.into_iter().zip(values.buckets).map(|(bound, own)| {
        count += own;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(Duration::from_nanos(bound).as_secs_f64());
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(values.buckets.iter().sum());
    histogram.set_sample_sum(Duration::from_nanos(values.nanoseconds).as_secs_f64());
    let mut metric = labeled(labels);
    metric.set_histogram(histogram);
    metric
}

fn labeled(labels: &[(&str, &str)]) -> Metric {
    let pairs = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).into());
        pair.set_value((*value).into());
        pair
    });
    Metric::from_label(pairs.collect())
}

#[expect(clippy::cast_precision_loss, reason = "numbers of Prometheus are floats")]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}
