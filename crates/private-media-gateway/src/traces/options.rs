//! The environment variables of the OpenTelemetry specification.
//!
//! As the specification requires, an invalid value is a warning and not an error. The exporter reads the endpoint, the headers and the
//! resource by itself.

use std::time::Duration;

use opentelemetry_sdk::trace::Sampler;

use super::ENDPOINTS;

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const TIMEOUTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"];

/// The settings of the traces.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) sampler: Sampler,
    /// How long an export may take.
    pub(super) timeout: Duration,
    /// How long a span waits for others.
    pub(super) delay: Duration,
    /// The most requests that wait to be exported.
    pub(super) max_queue: usize,
    /// The number of spans that are exported at once, as soon as there are as many.
    pub(super) max_batch: usize,
    /// Invalid values, and what is used in their place.
    pub(super) warnings: Vec<String>,
}

impl Options {
    /// Reads the variables. Returns `None` if no traces are wanted.
    pub(super) fn from_env(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let env = Environment { variable, warnings: Vec::new() };
        env.first(ENDPOINTS)?;
        let is_disabled =
            env.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let exporters = env.get("OTEL_TRACES_EXPORTER").unwrap_or_else(|| "otlp".into());
        let has_otlp = exporters.split(',').any(|name| name.trim().eq_ignore_ascii_case("otlp"));
        (has_otlp && !is_disabled).then(|| env.options())
    }
}

struct Environment<V> {
    variable: V,
    warnings: Vec<String>,
}

impl<V: Fn(&str) -> Option<String>> Environment<V> {
    /// Returns the value of a variable. An empty one counts as not set.
    fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Returns the first variable that is set, and its value.
    fn first(&self, names: [&'static str; 2]) -> Option<(&'static str, String)> {
        names.into_iter().find_map(|name| Some((name, self.get(name)?)))
    }

    fn options(mut self) -> Options {
        if let Some((name, value)) = self.first(PROTOCOLS)
            && !value.eq_ignore_ascii_case("http/protobuf")
        {
            self.warnings.push(format!(
                "{name} is {value:?}, but traces are sent as http/protobuf; set it to http/protobuf, and the endpoint to the HTTP port of the collector (4318)"
            ));
        }
        let timeout = match self.first(TIMEOUTS) {
            Some((name, _)) => self.positive(name, 10_000),
            None => 10_000,
        };
        let max_queue = self.positive("OTEL_BSP_MAX_QUEUE_SIZE", 2_048);
        let max_batch = self.positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512);
        let delay = self.positive("OTEL_BSP_SCHEDULE_DELAY", 5_000);
        Options {
            sampler: self.sampler(),
            timeout: Duration::from_millis(timeout.into()),
            delay: Duration::from_millis(delay.into()),
            max_queue: usize::try_from(max_queue).unwrap_or(usize::MAX).min(MAX_QUEUE),
            max_batch: usize::try_from(max_batch).unwrap_or(usize::MAX).min(MAX_QUEUE),
            warnings: self.warnings,
        }
    }

    /// Returns a number above zero.
    fn positive(&mut self, name: &str, default: u32) -> u32 {
        let Some(value) = self.get(name) else { return default };
        value.parse().ok().filter(|number| *number > 0).unwrap_or_else(|| {
            self.warnings.push(format!(
                "invalid value {value:?} for {name}: expected a number above 0; using {default}"
            ));
            default
        })
    }

    fn sampler(&mut self) -> Sampler {
        let name = self.get(SAMPLER).unwrap_or_default().to_ascii_lowercase();
        let (is_parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, &*name),
        };
        let root = match root {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => Sampler::AlwaysOff,
            "traceidratio" => Sampler::TraceIdRatioBased(self.ratio()),
            _ => {
                if !name.is_empty() {
                    self.warnings.push(format!(
                        "invalid value {name:?} for {SAMPLER}: expected always_on, always_off, traceidratio, or one of these after parentbased_; using parentbased_always_on"
                    ));
                }
                return Sampler::ParentBased(Box::new(Sampler::AlwaysOn));
            }
        };
        if is_parent_based { Sampler::ParentBased(Box::new(root)) } else { root }
    }

    fn ratio(&mut self) -> f64 {
        let Some(value) = self.get(SAMPLER_ARG) else { return 1.0 };
        value.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio)).unwrap_or_else(|| {
            self.warnings.push(format!(
                "invalid value {value:?} for {SAMPLER_ARG}: expected a number from 0 to 1; using 1"
            ));
            1.0
        })
    }
}

/// The upper bound of the queue and of a batch: a larger number would not bound the memory.
const MAX_QUEUE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn options(variables: &[(&str, &str)]) -> Option<Options> {
        Options::from_env(|name| {
            let value = variables.iter().find(|(own, _)| *own == name);
            value.map(|(_, value)| (*value).to_owned())
        })
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    #[test]
    fn an_endpoint_turns_traces_on() {
        for (variables, is_on) in [
            (&[][..], false),
            (&[("OTEL_SERVICE_NAME", "media")], false),
            (&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], false),
            (&[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://x/")], false),
            (&[ENDPOINT], true),
            (&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://x/")], true),
            (&[ENDPOINT, ("OTEL_SDK_DISABLED", "True")], false),
            (&[ENDPOINT, ("OTEL_SDK_DISABLED", "0")], true),
            (&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")], false),
            (&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "console, otlp")], true),
        ] {
            assert_eq!(options(variables).is_some(), is_on, "{variables:?}");
        }
    }

    #[test]
    fn samplers() {
        for (name, argument, expected, warning) in [
            ("", "", "ParentBased(AlwaysOn)", None),
            ("always_on", "", "AlwaysOn", None),
            ("always_off", "0.5", "AlwaysOff", None),
            ("traceidratio", "", "TraceIdRatioBased(1.0)", None),
            ("traceidratio", "0.25", "TraceIdRatioBased(0.25)", None),
            ("parentbased_always_on", "", "ParentBased(AlwaysOn)", None),
            ("ParentBased_Always_Off", "", "ParentBased(AlwaysOff)", None),
            ("parentbased_traceidratio", "0.01", "ParentBased(TraceIdRatioBased(0.01))", None),
            ("parentbased_traceidratio", "2", "ParentBased(TraceIdRatioBased(1.0))", Some(SAMPLER_ARG)),
            ("traceidratio", "NaN", "TraceIdRatioBased(1.0)", Some(SAMPLER_ARG)),
            ("traceidratio", "10%", "TraceIdRatioBased(1.0)", Some("\"10%\"")),
            ("jaeger_remote", "", "ParentBased(AlwaysOn)", Some("\"jaeger_remote\"")),
        ] {
            let options = options(&[ENDPOINT, (SAMPLER, name), (SAMPLER_ARG, argument)]).unwrap();
            assert_eq!(format!("{:?}", options.sampler), expected, "{name}");
            assert_eq!(options.warnings.len(), usize::from(warning.is_some()), "{:?}", options.warnings);
            assert!(options.warnings.iter().zip(warning).all(|(line, part)| line.contains(part)), "{name}");
        }
    }

    #[test]
    fn numbers_and_protocols() {
        let found = options(&[ENDPOINT]).unwrap();
        assert_eq!((found.max_queue, found.max_batch, found.warnings.len()), (2_048, 512, 0));
        assert_eq!((found.timeout, found.delay), (Duration::from_secs(10), Duration::from_secs(5)));
        let found = options(&[
            ENDPOINT,
            ("OTEL_BSP_MAX_QUEUE_SIZE", "7"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3"),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1000"),
            ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "300"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ])
        .unwrap();
        assert_eq!((found.max_queue, found.max_batch, found.warnings.len()), (7, 3, 0));
        assert_eq!((found.timeout, found.delay), (Duration::from_millis(300), Duration::from_millis(20)));
        for (name, value, part) in [
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "using 2048"),
            ("OTEL_BSP_SCHEDULE_DELAY", "5s", "\"5s\" for OTEL_BSP_SCHEDULE_DELAY"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1", "using 10000"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "\"http/json\""),
        ] {
            let found = options(&[ENDPOINT, (name, value)]).unwrap();
            assert!(found.warnings.len() == 1 && found.warnings[0].contains(part), "{:?}", found.warnings);
        }
    }
}
