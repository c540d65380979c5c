//! `cargo xtask dashboard`: draws the dashboard with data of a gateway under load, for the documentation.
//!
//! Prometheus scrapes the gateway, and answers the queries of the dashboard's panels.

mod draw;
mod load;
mod panel;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use panel::Series;

use crate::links::read;
use crate::machine::{self, Program, cargo, output};

const DASHBOARD: &str = "packaging/grafana/private-media.json";
const PICTURE: &str = "docs/pictures/dashboard.svg";
const PROGRAM: &str = "target/release/private-media";
const FOLDER: &str = "target/dashboard";
const PROGRAMS: [Program; 2] = [("curl", "curl"), ("prometheus", "prometheus")];
/// Ports below the ephemeral range.
const ADMIN: &str = "127.0.0.1:19180";
const PROMETHEUS: &str = "127.0.0.1:19090";
/// How long the gateway is used, and the time between two points of the picture.
const DURATION: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_secs(2);
/// What Grafana inserts for `$__rate_interval`, which is at least four scrapes.
const RATE_INTERVAL: &str = "12s";

/// Draws the picture.
pub(crate) fn run() -> Result<(), String> {
    machine::install(&PROGRAMS)?;
    cargo(&["build", "--release", "--package", "private-media-gateway"])?;
    let _ = std::fs::remove_dir_all(FOLDER);
    let program = std::path::absolute(PROGRAM).map_err(|error| format!("{PROGRAM}: {error}"))?;
    load::create_files(Path::new(FOLDER), &program)?;
    let gateway = Running::start(
        Command::new(program).args(load::ARGUMENTS).args(["--admin-listen", ADMIN]),
        "gateway",
    )?;
    let configuration = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs:\n  - job_name: private-media\n    \
         static_configs: [{{ targets: ['{ADMIN}'], labels: {{ instance: media-1 }} }}]\n"
    );
    write("prometheus.yml", &configuration)?;
    let listen = format!("--web.listen-address={PROMETHEUS}");
    let arguments = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", &listen];
    let prometheus = Running::start(Command::new("prometheus").args(arguments), "prometheus")?;
    let address = gateway.address()?;
    println!("using {address} for {} seconds", DURATION.as_secs());
    load::run(&address, DURATION)?;
    let dashboard = read(DASHBOARD)?;
    let mut panels = panel::panels(&dashboard)?;
    for panel in &mut panels {
        for target in &panel.targets {
            panel.series.extend(query(&panel.title, &target.expression, &target.legend)?);
        }
    }
    drop((gateway, prometheus));
    std::fs::write(PICTURE, draw::svg(&panels, DURATION)).map_err(|error| format!("{PICTURE}: {error}"))?;
    println!("{PICTURE}: {} panels", panels.len());
    Ok(())
}

/// Returns the time series of a query, over the time in which the gateway was used.
fn query(title: &str, expression: &str, legend: &str) -> Result<Vec<Series>, String> {
    let expression = expression.replace("$__rate_interval", RATE_INTERVAL).replace("$instance", ".*");
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let start = end.saturating_sub(DURATION.as_secs());
    let url = format!("http://{PROMETHEUS}/api/v1/query_range");
    let range = [format!("start={start}"), format!("end={end}"), format!("step={}", STEP.as_secs())];
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--silent", "--show-error", "--get", &url]);
    curl.args(["--data-urlencode", &format!("query={expression}")]);
    for parameter in &range {
        curl.args(["--data", parameter]);
    }
    let series =
        panel::series(&output(&mut curl)?, legend).ok_or_else(|| format!("{title}: no valid response"))?;
    if series.is_empty() { Err(format!("{title}: no data for {expression}")) } else { Ok(series) }
}

fn write(name: &str, text: &str) -> Result<(), String> {
    let path = Path::new(FOLDER).join(name);
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// A program that runs in the folder, and is killed at the end.
struct Running {
    child: Child,
    output: std::path::PathBuf,
}

impl Running {
    fn start(command: &mut Command, name: &str) -> Result<Self, String> {
        let output = Path::new(FOLDER).join(name);
        let file = |end| {
            std::fs::File::create(output.with_extension(end)).map_err(|error| format!("{name}: {error}"))
        };
        command.current_dir(FOLDER).stdin(Stdio::null()).stdout(file("out")?).stderr(file("log")?);
        let child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
        Ok(Self { child, output })
    }

    /// Waits for the line with the address.
    fn address(&self) -> Result<String, String> {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(20) {
            let line = read(self.output.with_extension("out"))?;
            if let Some(address) = line.trim_end().strip_prefix("listening on http://") {
                return Ok(address.to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("the gateway does not listen; see {}", self.output.with_extension("log").display()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::panel::Panel;
    use super::*;

    /// The picture of the documentation shows each panel of the dashboard.
    #[test]
    fn the_picture_has_all_panels() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let [dashboard, picture] = [DASHBOARD, PICTURE].map(|file| read(root.join(file)).unwrap());
        let panels: Vec<Panel> = panel::panels(&dashboard).unwrap();
        assert!(panels.len() > 15);
        for panel in panels {
            let title = format!(">{}</text>", draw::escape(&panel.title));
            assert!(picture.contains(&title), "{}: run cargo xtask dashboard", panel.title);
        }
    }
}
