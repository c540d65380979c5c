//! The floor: one loop that receives and sends an answer that is ready. Nobody who speaks HTTP can cost less.

use std::collections::HashMap;
use std::error::Error;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send, sockopt};

/// One answer on its way.
struct Client {
    stream: OwnedFd,
    sent: usize,
    is_waiting: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(len)) = (arguments.next(), arguments.next()) else {
        return Err("usage: floor HOST:PORT LENGTH".into());
    };
    let len: usize = len.parse()?;
    let mut answer =
        format!("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    answer.resize(answer.len() + len, b'x');
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let number = |fd: RawFd| u64::try_from(fd).unwrap_or(u64::MAX);
    epoll::add(
        &events,
        &listener,
        epoll::EventData::new_u64(number(listener.as_raw_fd())),
        epoll::EventFlags::IN,
    )?;
    let mut clients: HashMap<u64, Client> = HashMap::new();
    let mut ready = Vec::with_capacity(256);
    let mut request = [0; 4096];
    loop {
        ready.clear();
        epoll::wait(&events, spare_capacity(&mut ready), None)?;
        for event in &ready {
            let id = event.data.u64();
            if id == number(listener.as_raw_fd()) {
                while let Ok(stream) = accept_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                    let _ = sockopt::set_tcp_nodelay(&stream, true);
                    let id = number(stream.as_fd().as_raw_fd());
                    epoll::add(&events, &stream, epoll::EventData::new_u64(id), epoll::EventFlags::IN)?;
                    clients.insert(id, Client { stream, sent: 0, is_waiting: false });
                }
                continue;
            }
            let Some(client) = clients.get_mut(&id) else { continue };
            if !client.is_waiting {
                match recv(&client.stream, &mut request, RecvFlags::empty()) {
                    Ok((0, _)) | Err(Errno::CONNRESET) => {
                        clients.remove(&id);
                        continue;
                    }
                    Ok(_) => client.sent = 0,
                    Err(_) => continue,
                }
            }
            let rest = answer.get(client.sent..).unwrap_or_default();
            client.sent += send(&client.stream, rest, SendFlags::NOSIGNAL).unwrap_or(0);
            let is_waiting = client.sent < answer.len();
            if is_waiting != client.is_waiting {
                client.is_waiting = is_waiting;
                let flags = if is_waiting { epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
                epoll::modify(&events, &client.stream, epoll::EventData::new_u64(id), flags)?;
            }
        }
    }
}
