//! Traces that are exported to a collector (feature `otel`).

mod collector;
mod contents;
mod outages;
mod processes;
mod protobuf;

use std::process::Command;

use crate::support::{GRANT, Gateway, Place, program};
use collector::Collector;

/// The time for which spans wait for others.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "20");
/// A time that no test waits for.
const NEVER: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "600000");

/// Returns the command of a gateway with these environment variables.
fn command(place: &Place, endpoint: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = program();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).envs(variables.iter().copied());
    command.args(["serve", "--listen", "127.0.0.1:0", "--grant", GRANT, "--trusted-proxy", "127.0.0.2"]);
    command.args(arguments).current_dir(place.path(""));
    command
}

fn serve(place: &Place, collector: &Collector, variables: &[(&str, &str)], arguments: &[&str]) -> Gateway {
    let command = command(place, &collector.url(), variables, arguments);
    Gateway::spawn(command, place.path("gateway.log"))
}
