//! The memory of clients that begin a download of one gibibyte, and then read nothing.

use std::fmt::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use crate::http;
use crate::result::Result;
use crate::running_peer::RunningPeer;

const CLIENTS: u64 = 200;
/// How long the servers may read ahead.
const WAIT: Duration = Duration::from_secs(3);

/// Measures each peer, and returns a table in Markdown.
pub(crate) fn table<'a>(peers: impl Iterator<Item = (&'a str, &'a RunningPeer)>) -> Result<String> {
    let mut table = format!(
        "\n**{CLIENTS} clients that read nothing of 1 GiB after the head**\n\n| | memory KiB for each client |\n|---|--:|\n"
    );
    for (name, peer) in peers {
        writeln!(table, "| {name} | {} |", memory(peer)? / CLIENTS / 1024)?;
    }
    Ok(table)
}

/// Returns the memory that the clients add to a peer, in bytes.
fn memory(peer: &RunningPeer) -> Result<u64> {
    let before = peer.usage()?.memory;
    let clients = (0..CLIENTS).map(|_| begin(peer)).collect::<Result<Vec<_>>>()?;
    std::thread::sleep(WAIT);
    let after = peer.usage()?.memory;
    drop(clients);
    Ok(after.saturating_sub(before))
}

/// Begins a download.
fn begin(peer: &RunningPeer) -> Result<TcpStream> {
    let fields = format!("Connection: close\r\n{}", http::lines(&peer.credentials));
    let mut stream = http::send(peer.address, &format!("GET {}", peer.target("1g.mp4")), &fields)?;
    let (head, _) = http::read_head(&mut stream)?;
    if head.split(' ').nth(1) == Some("200") {
        Ok(stream)
    } else {
        Err(format!("a download began with {head}").into())
    }
}
