//! Load by wrk, and by `heads` for HEAD requests.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::http;
use crate::result::Result;
use crate::running_peer::RunningPeer;
use crate::testbed::{Testbed, built};
use crate::tree;
use crate::work::{RequestKind, Work};

/// The result of a load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) time: Duration,
    pub(crate) bytes: u64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Sends one request and checks its response, since a wrong response may be a fast one.
pub(crate) fn check(work: &Work, peer: &RunningPeer) -> Result<()> {
    let (status, len) = exchange(work, peer)?;
    let file = tree::FILES.iter().find(|(name, _)| *name == work.file).map_or(0, |(_, len)| *len);
    let (expected, expected_len) = match work.kind {
        RequestKind::Get | RequestKind::Close | RequestKind::InTurn => (200, file),
        RequestKind::Head => (200, 0),
        RequestKind::NotModified => (304, 0),
        RequestKind::Range => (206, 1 << 20),
        RequestKind::Denied => (peer.denied_status, len),
    };
    if (status, len) == (expected, expected_len) {
        return Ok(());
    }
    Err(format!("{}: status {status} with {len} bytes; expected {expected} with {expected_len}", work.name)
        .into())
}

/// Returns the status and the length of a response's body.
fn exchange(work: &Work, peer: &RunningPeer) -> Result<(u16, u64)> {
    let method = if work.kind == RequestKind::Head { "HEAD" } else { "GET" };
    let fields = format!("Connection: close\r\n{}", http::lines(&fields(work, peer)?));
    let line = format!("{method} {}", peer.target(work.file));
    let mut stream = http::send_with(peer.certificate.as_deref(), peer.address, &line, &fields)?;
    let (head, rest) = http::read_head(&mut stream)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    // Some servers ignore `Connection: close`, so the length says where the body ends.
    let left = match http::field(&head, "content-length").and_then(|len| len.parse::<u64>().ok()) {
        _ if method == "HEAD" || status == 304 => 0,
        Some(len) => len.saturating_sub(rest),
        None => u64::MAX,
    };
    let len = rest + std::io::copy(&mut stream.take(left), &mut std::io::sink())?;
    Ok((status, len))
}

fn fields(work: &Work, peer: &RunningPeer) -> Result<Vec<(String, String)>> {
    let is_denied = work.kind == RequestKind::Denied;
    let mut fields = if is_denied { vec![] } else { peer.credentials.clone() };
    match work.kind {
        RequestKind::NotModified => fields.push(("If-None-Match".into(), peer.etag(work.file)?)),
        RequestKind::Range => {
            fields.push(("Range".into(), format!("bytes={}-{}", 512 << 20, (513 << 20) - 1)));
        }
        RequestKind::Close => fields.push(("Connection".into(), "close".into())),
        RequestKind::Get | RequestKind::Head | RequestKind::Denied | RequestKind::InTurn => {}
    }
    Ok(fields)
}

/// Sends requests for this many seconds.
pub(crate) fn run(work: &Work, peer: &RunningPeer, bed: &Testbed, seconds: u64) -> Result<Load> {
    match work.kind {
        RequestKind::Head => heads(work, peer, bed, seconds),
        RequestKind::InTurn => {
            let credentials = peer.credentials.first().map_or(("X-User", ""), |(name, value)| (name, value));
            let requests: Vec<_> = (0..tree::MANY)
                .map(|number| (peer.target(&tree::name_of(number)), credentials.1.to_owned()))
                .collect();
            in_turn(bed, peer.address, credentials.0, &requests, seconds)
        }
        // Only whole responses count, and a gibibyte takes a while, from a bucket even longer.
        RequestKind::Get if work.file == "1g.mp4" => {
            repeat(work, peer, bed, seconds.max(if peer.others.is_empty() { 5 } else { 20 }))
        }
        _ => repeat(work, peer, bed, seconds),
    }
}

/// Has wrk send the same request again and again.
fn repeat(work: &Work, peer: &RunningPeer, bed: &Testbed, seconds: u64) -> Result<Load> {
    let script = bed.path("wrk.lua");
    std::fs::write(&script, SCRIPT)?;
    let mut command = wrk(bed, work.connections, seconds);
    command.arg("--script").arg(&script);
    for (name, value) in fields(work, peer)? {
        command.arg("--header").arg(format!("{name}: {value}"));
    }
    let scheme = if peer.certificate.is_some() { "https" } else { "http" };
    parse(command.arg(format!("{scheme}://{}{}", peer.address, peer.target(work.file))))
}

/// Has wrk send requests in turn, and then again: targets, each with a value of the header field that is named.
pub(crate) fn in_turn(
    bed: &Testbed,
    address: SocketAddr,
    field: &str,
    requests: &[(String, String)],
    seconds: u64,
) -> Result<Load> {
    let (script, list) = (bed.path("turns.lua"), bed.path("turns"));
    let lines: String = requests.iter().map(|(target, value)| format!("{target} {value}\n")).collect();
    std::fs::write(&list, lines)?;
    let list = list.display().to_string();
    std::fs::write(&script, format!("local list, field = {list:?}, {field:?}\n{TURNS}{SCRIPT}"))?;
    let mut command = wrk(bed, 32, seconds);
    parse(command.arg("--script").arg(&script).arg(format!("http://{address}")))
}

fn wrk(bed: &Testbed, connections: usize, seconds: u64) -> Command {
    let mut command = bed.on_client_core("wrk");
    command.args(["--threads", "1", "--timeout", "30s", "--connections", &connections.to_string()]);
    command.args(["--duration", &format!("{seconds}s")]);
    command
}

fn heads(work: &Work, peer: &RunningPeer, bed: &Testbed, seconds: u64) -> Result<Load> {
    let fields = http::lines(&fields(work, peer)?);
    let request = bed.path("head");
    let line = format!("HEAD {} HTTP/1.1", peer.target(work.file));
    std::fs::write(&request, format!("{line}\r\nHost: {}\r\n{fields}\r\n", peer.address))?;
    let mut command = bed.on_client_core(built("heads")?);
    command.args([peer.address.to_string(), work.connections.to_string(), seconds.to_string()]);
    parse(command.stdin(File::open(request)?))
}

/// Formats all requests before the first one is sent.
const TURNS: &str = r#"
local requests, at = {}, 0
init = function()
  for line in io.lines(list) do
    local path, value = line:match("^(%S+) (.*)$")
    requests[#requests + 1] = wrk.format("GET", path, { [field] = value })
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
"#;

/// Prints exact numbers for [`parse`], where wrk would print rounded ones.
const SCRIPT: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("DONE %d %d %d %d %d %d\n", summary.requests, summary.duration, summary.bytes,
    e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"#;

fn parse(command: &mut Command) -> Result<Load> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("DONE "));
    let line = line.ok_or_else(|| format!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr)))?;
    let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<std::result::Result<_, _>>()?;
    let [requests, time, bytes, errors, p50, p99] = numbers.as_slice() else {
        return Err(format!("wrk: {line}").into());
    };
    if *errors > 0 || *requests == 0 {
        return Err(format!("{requests} responses and {errors} errors").into());
    }
    let time_of = |microseconds: u64| Duration::from_micros(microseconds);
    Ok(Load {
        requests: *requests,
        time: time_of(*time),
        bytes: *bytes,
        p50: time_of(*p50),
        p99: time_of(*p99),
    })
}
