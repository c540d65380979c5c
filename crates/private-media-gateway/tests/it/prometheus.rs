//! A real Prometheus scrapes the gateway and has data for the dashboard.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::metrics::use_gateway;
use crate::support::{Place, Response, free_address, needs, send};

/// A running Prometheus. It is killed when the test ends.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Prometheus {
    fn start(place: &Place, target: SocketAddr) -> Self {
        place.write(
            "prometheus.yml",
            format!(
                "global: {{ scrape_interval: 200ms, scrape_timeout: 200ms }}\n\
                 scrape_configs:\n  - job_name: private-media\n    static_configs: [{{ targets: ['{target}'] }}]\n"
            ),
        );
        let (address, log) = (free_address(), place.path("prometheus.log"));
        let mut command = Command::new("prometheus");
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
        command.arg(format!("--web.listen-address={address}")).current_dir(place.path(""));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
        let started = Self { child: command.spawn().unwrap(), address, log };
        let begin = Instant::now();
        while std::net::TcpStream::connect(address).is_err() || started.get("/-/ready").status != 200 {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "{}",
                std::fs::read_to_string(&started.log).unwrap()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        started
    }

    fn get(&self, path: &str) -> Response {
        let mut bytes = Vec::new();
        send(self.address, &format!("GET {path}"), &[], b"").read_to_end(&mut bytes).unwrap();
        Response::parse(&bytes)
    }

    /// Returns the values of a query.
    fn query(&self, query: &str) -> Vec<f64> {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let response = self.get(&format!("/api/v1/query?query={encoded}"));
        let text = String::from_utf8_lossy(&response.body).into_owned();
        let answer: serde_json::Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        let rows = answer["data"]["result"].as_array().unwrap();
        rows.iter().map(|row| row["value"][1].as_str().unwrap().parse().unwrap()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging").join(file)
}

/// Returns the queries of the panels of the dashboard, with their titles.
fn panels() -> Vec<(String, String)> {
    let dashboard = std::fs::read_to_string(packaging("grafana/private-media.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let mut queries = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            // What Grafana inserts.
            let query = query.replace("$__rate_interval", "1m").replace("$instance", ".*");
            assert!(!query.contains('$'), "{title}: {query}");
            queries.push((title.to_owned(), query));
        }
    }
    queries
}

#[test]
fn each_panel_of_the_dashboard_has_data() {
    let version = Command::new("prometheus").arg("--version").output();
    if !needs("prometheus", version.is_ok_and(|output| output.status.success())) {
        return;
    }
    let place = Place::new();
    let admin = free_address();
    let gateway = place.serve(&["--admin-listen", &admin.to_string(), "--audit-path", "audit.jsonl"]);
    use_gateway(&gateway);
    let prometheus = Prometheus::start(&place, admin);
    let begin = Instant::now();
    while prometheus.query("up{job=\"private-media\"}") != [1.0] {
        assert!(begin.elapsed() < Duration::from_secs(30), "the gateway is not scraped");
        std::thread::sleep(Duration::from_millis(100));
    }
    // A rate needs values that change.
    use_gateway(&gateway);
    let panels = panels();
    assert!(panels.len() > 15, "{}", panels.len());
    for (title, query) in panels {
        let begin = Instant::now();
        loop {
            let values = prometheus.query(&query);
            if !values.is_empty() && values.iter().all(|value| value.is_finite()) {
                break;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "{title}: {query}: {values:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    // The panels count what was sent.
    let begin = Instant::now();
    while prometheus.query("sum(private_media_requests_total)")[0] < 24.0 {
        assert!(begin.elapsed() < Duration::from_secs(30), "not all requests are counted");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(prometheus.query("sum(rate(private_media_requests_total{status=\"200\"}[1m]))")[0] > 0.0);
}

#[test]
fn promtool_accepts_the_alerts() {
    let promtool = Command::new("promtool").arg("--version").output();
    if !needs("promtool", promtool.is_ok_and(|output| output.status.success())) {
        return;
    }
    let mut check = Command::new("promtool");
    let output = check
        .args(["check", "rules", "--lint-fatal"])
        .arg(packaging("prometheus/private-media.rules.yml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Each metric in the alerts exists.
    let place = Place::new();
    let admin = free_address();
    let gateway = place.serve(&["--admin-listen", &admin.to_string(), "--audit-path", "audit.jsonl"]);
    use_gateway(&gateway);
    let mut metrics = String::new();
    send(admin, "GET /metrics", &[], b"").read_to_string(&mut metrics).unwrap();
    let rules = std::fs::read_to_string(packaging("prometheus/private-media.rules.yml")).unwrap();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = rules.split(|c| !is_name(c)).filter(|word| word.starts_with("private_media_"));
    let mut count = 0;
    for name in names {
        assert!(metrics.contains(&format!("\n{name}")), "{name}");
        count += 1;
    }
    assert!(count > 7, "{count}");
}
