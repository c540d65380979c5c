//! A minimal HTTP client, to check a server before it is measured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use crate::result::Result;
use crate::tls;

/// Sends a request, with these lines after the request line.
pub(crate) fn send(address: SocketAddr, request_line: &str, fields: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    // In a single write, as wrk sends it.
    stream.write_all(format!("{request_line} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n").as_bytes())?;
    Ok(stream)
}

/// Like [`send`], with TLS if there is a certificate to trust.
pub(crate) fn send_with(
    certificate: Option<&Path>,
    address: SocketAddr,
    request_line: &str,
    fields: &str,
) -> Result<Box<dyn Read>> {
    let Some(certificate) = certificate else { return Ok(Box::new(send(address, request_line, fields)?)) };
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut stream = tls::connect(stream, certificate)?;
    stream.write_all(format!("{request_line} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n").as_bytes())?;
    Ok(Box::new(stream))
}

/// Writes header fields as lines of a request.
pub(crate) fn lines(fields: &[(String, String)]) -> String {
    fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

/// Reads a response's head. Returns it with the number of body bytes that came with it.
pub(crate) fn read_head(stream: &mut impl Read) -> Result<(String, u64)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        bytes.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
            return Ok((head, (bytes.len() - end - 4) as u64));
        }
        if count == 0 {
            return Err(format!("the connection ended after {} bytes of a head", bytes.len()).into());
        }
    }
}

/// Returns the value of a header field.
pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
