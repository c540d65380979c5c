//! A client that asks for heads. wrk cannot: it waits for the content that a response to HEAD announces and does not have (RFC 9110
//! section 9.3.2).

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

const END: &[u8] = b"\r\n\r\n";

/// A connection, and the time of its last request.
struct Client {
    stream: TcpStream,
    sent_at: Instant,
    head: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, connections, seconds] = arguments.as_slice() else {
        return Err("usage: heads HOST:PORT CONNECTIONS SECONDS, and the request on standard input".into());
    };
    let mut request = Vec::new();
    std::io::stdin().read_to_end(&mut request)?;
    let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut clients = Vec::new();
    let begin = Instant::now();
    let connect = |number: u64| -> Result<Client, Box<dyn Error>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        epoll::add(&events, &stream, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        stream.write_all(&request)?;
        Ok(Client { stream, sent_at: Instant::now(), head: Vec::new() })
    };
    for number in 0..connections.parse::<u64>()? {
        clients.push(connect(number)?);
    }
    let end = begin + Duration::from_secs(seconds.parse()?);
    let (mut times, mut bytes) = (Vec::new(), 0);
    let mut ready = Vec::with_capacity(256);
    let mut buffer = [0; 4096];
    while Instant::now() < end {
        ready.clear();
        epoll::wait(&events, spare_capacity(&mut ready), None)?;
        for event in &ready {
            let number = event.data.u64();
            let client = usize::try_from(number).ok().and_then(|number| clients.get_mut(number));
            let Some(client) = client else { continue };
            let count = match client.stream.read(&mut buffer) {
                // Some servers close a connection after each answer.
                Ok(0) | Err(_) if client.head.is_empty() => {
                    *client = connect(number)?;
                    continue;
                }
                count => count?,
            };
            bytes += count;
            client.head.extend_from_slice(buffer.get(..count).unwrap_or_default());
            if client.head.ends_with(END) {
                if !client.head.starts_with(b"HTTP/1.1 200") {
                    return Err(String::from_utf8_lossy(&client.head).into());
                }
                times.push(u64::try_from(client.sent_at.elapsed().as_micros())?);
                client.head.clear();
                client.sent_at = Instant::now();
                // If it has been closed, that is seen by reading.
                let _ = client.stream.write_all(&request);
            }
        }
    }
    times.sort_unstable();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    println!("DONE {} {} {bytes} 0 {} {}", times.len(), begin.elapsed().as_micros(), at(50), at(99));
    Ok(())
}
