//! The work: what clients ask for, and wrk, which does the asking.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::peers::{RunningPeer, Testbed, built};
use crate::result::Result;

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) time: Duration,
    pub(crate) bytes: u64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Work {
    /// Asks once, and looks whether the answer is the right one: nobody is measured who answers something else.
    pub(crate) fn check(&self, running: &RunningPeer) -> Result<()> {
        let (status, len) = self.ask_once(running)?;
        let file = crate::tree::FILES.iter().find(|(name, _)| *name == self.file).map_or(0, |(_, len)| *len);
        let (expected, expected_len) = match self.ask {
            RequestKind::Get | RequestKind::Close => (200, file),
            RequestKind::Head => (200, 0),
            RequestKind::NotModified => (304, 0),
            RequestKind::Range => (206, 1 << 20),
            RequestKind::Denied => (running.denied_status, len),
        };
        if (status, len) == (expected, expected_len) {
            Ok(())
        } else {
            Err(format!(
                "{} answers {status} with {len} bytes, not {expected} with {expected_len}",
                self.name
            )
            .into())
        }
    }

    fn ask_once(&self, running: &RunningPeer) -> Result<(u16, u64)> {
        let mut stream = TcpStream::connect(running.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let method = if self.ask == RequestKind::Head { "HEAD" } else { "GET" };
        let fields: String =
            self.fields(running)?.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let target = running.target(self.file);
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}\r\n",
            running.address
        );
        // In one piece, as wrk sends it.
        stream.write_all(request.as_bytes())?;
        let (head, rest) = read_head(&mut stream)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
        let announced = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length").then(|| value.parse::<u64>().ok())?
        });
        // Not every server closes because it is asked to.
        let left = match announced {
            _ if method == "HEAD" || status == 304 => 0,
            Some(len) => len.saturating_sub(rest),
            None => u64::MAX,
        };
        let len = rest + std::io::copy(&mut stream.take(left), &mut std::io::sink())?;
        Ok((status, len))
    }

    fn heads(&self, running: &RunningPeer, bed: &Testbed, seconds: u64) -> Result<Load> {
        let fields: String =
            self.fields(running)?.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let target = running.target(self.file);
        let request = bed.path("head");
        std::fs::write(
            &request,
            format!("HEAD {target} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", running.address),
        )?;
        let mut command = bed.on_clients_core(built("heads")?);
        command.args([running.address.to_string(), self.connections.to_string(), seconds.to_string()]);
        parse(command.stdin(std::fs::File::open(request)?))
    }

    fn fields(&self, running: &RunningPeer) -> Result<Vec<(String, String)>> {
        let mut fields =
            if self.ask == RequestKind::Denied { running.stranger.clone() } else { running.reader.clone() };
        match self.ask {
            RequestKind::NotModified => fields.push(("If-None-Match".into(), running.etag(self.file)?)),
            RequestKind::Range => {
                fields.push(("Range".into(), format!("bytes={}-{}", 512 << 20, (513 << 20) - 1)))
            }
            RequestKind::Close => fields.push(("Connection".into(), "close".into())),
            RequestKind::Get | RequestKind::Head | RequestKind::Denied => {}
        }
        Ok(fields)
    }

    /// Has clients ask for so many seconds.
    pub(crate) fn load(&self, running: &RunningPeer, bed: &Testbed, seconds: u64) -> Result<Load> {
        // A gibibyte takes its time, and only whole answers count.
        let seconds =
            if self.ask == RequestKind::Get && self.file == "1g.mp4" { seconds.max(5) } else { seconds };
        if self.ask == RequestKind::Head {
            return self.heads(running, bed, seconds);
        }
        let script = bed.path("wrk.lua");
        std::fs::write(&script, SCRIPT)?;
        let mut command = bed.on_clients_core("wrk");
        command.args(["--threads", "1", "--timeout", "30s", "--duration", &format!("{seconds}s")]);
        command.args(["--connections", &self.connections.to_string()]).arg("--script").arg(&script);
        for (name, value) in self.fields(running)? {
            command.arg("--header").arg(format!("{name}: {value}"));
        }
        parse(command.arg(format!("http://{}{}", running.address, running.target(self.file))))
    }
}

/// Has wrk ask for these paths with these cookies, one after the other and again, for so many seconds.
pub(crate) fn in_turn(
    bed: &Testbed,
    address: SocketAddr,
    asked: &[(String, String)],
    seconds: u64,
) -> Result<Load> {
    let (script, list) = (bed.path("turns.lua"), bed.path("turns"));
    let lines: String = asked.iter().map(|(path, cookie)| format!("/private/{path} {cookie}\n")).collect();
    std::fs::write(&list, lines)?;
    std::fs::write(&script, format!("local list = {:?}\n{TURNS}{SCRIPT}", list.display().to_string()))?;
    let mut command = bed.on_clients_core("wrk");
    command.args(["--threads", "1", "--timeout", "30s", "--connections", "32"]);
    command.args(["--duration", &format!("{seconds}s"), "--script"]).arg(&script);
    parse(command.arg(format!("http://{address}")))
}

/// The requests are written before the first is sent.
const TURNS: &str = r#"
local requests, at = {}, 0
init = function()
  for line in io.lines(list) do
    local path, cookie = line:match("^(%S+) (.*)$")
    requests[#requests + 1] = wrk.format("GET", path, { Cookie = cookie })
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
"#;

/// Prints what parse reads: exact numbers in place of rounded ones.
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
        return Err(format!("{requests} answers and {errors} errors").into());
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
