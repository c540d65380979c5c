//! What floods of HTTP/2 frames cost the gateway, and what they cost their client.

use crate::peers::own;
use crate::result::Result;
use crate::testbed::{Testbed, built};

const HEAD: &str = "\
The gateway with TLS on one core, and a client of `bench/src/bin/flood` on the other. The client connects, sends frames until the server
ends the connection, and connects again. It prepares the frames of a connection once, resumes its session, and reads nothing but tickets.
Below 1, a flood costs its client more processor time than the gateway. The last column is without the handshakes, which cost a server more
than a client, whatever the client wants.

| flood | connections | KiB sent on each | CPU s of the gateway | CPU s of the client | gateway / client | frames alone |
|---|--:|--:|--:|--:|--:|--:|
";

/// Floods a gateway for this time each, and returns a table in Markdown.
pub(crate) fn run(seconds: u64, bed: &Testbed) -> Result<String> {
    let (address, server) = own::with_https(bed)?;
    let mut client = bed.on_client_core(built("flood")?);
    client.arg(address.to_string()).arg(bed.path("cert.pem"));
    let output = client.args([server.id().to_string(), seconds.to_string()]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(format!("{HEAD}{}", String::from_utf8(output.stdout)?))
}
