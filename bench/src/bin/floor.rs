//! The floor: one loop that receives and sends answers that are ready, larger files by sendfile(2). It looks at no more of a request
//! than it takes to tell the bench's own requests apart, so nobody who speaks HTTP can cost less.

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use memchr::memmem;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send, sockopt};

/// What is up to this length is sent with its head, in bytes.
const SMALL: u64 = 16 << 10;
/// The range that the bench asks for.
const RANGE: (u64, u64) = (512 << 20, 1 << 20);

/// A head, with its content if that is small, and else a stretch of a file behind it.
struct Answer {
    bytes: Vec<u8>,
    stretch: Option<(File, u64, u64)>,
}

/// The answers for one file.
struct Served {
    name: String,
    whole: Rc<Answer>,
    head: Rc<Answer>,
    not_modified: Rc<Answer>,
    part: Rc<Answer>,
}

/// A connection, and what is left of the answer that is on its way.
struct Client {
    stream: OwnedFd,
    answer: Option<Rc<Answer>>,
    sent: usize,
    offset: u64,
    left: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: floor HOST:PORT FILE...")?;
    let served = arguments.map(|path| served(&path)).collect::<Result<Vec<_>, _>>()?;
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let events = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let number = |fd: RawFd| u64::try_from(fd).unwrap_or(u64::MAX);
    let listening = number(listener.as_raw_fd());
    epoll::add(&events, &listener, epoll::EventData::new_u64(listening), epoll::EventFlags::IN)?;
    let mut clients: HashMap<u64, Client> = HashMap::new();
    let mut ready = Vec::with_capacity(256);
    let mut request = [0; 4096];
    loop {
        ready.clear();
        epoll::wait(&events, spare_capacity(&mut ready), None)?;
        for event in &ready {
            let id = event.data.u64();
            if id == listening {
                while let Ok(stream) = accept_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                    let _ = sockopt::set_tcp_nodelay(&stream, true);
                    let id = number(stream.as_fd().as_raw_fd());
                    epoll::add(&events, &stream, epoll::EventData::new_u64(id), epoll::EventFlags::IN)?;
                    clients.insert(id, Client { stream, answer: None, sent: 0, offset: 0, left: 0 });
                }
                continue;
            }
            let Some(client) = clients.get_mut(&id) else { continue };
            let was_waiting = client.answer.is_some();
            if !was_waiting {
                match recv(&client.stream, &mut request, RecvFlags::empty()) {
                    Ok((0, _)) | Err(Errno::CONNRESET) => {
                        clients.remove(&id);
                        continue;
                    }
                    Ok((len, _)) => client.begin(find(&served, request.get(..len).unwrap_or_default())),
                    Err(_) => continue,
                }
            }
            if !client.send() {
                clients.remove(&id);
                continue;
            }
            let is_waiting = client.answer.is_some();
            if is_waiting != was_waiting {
                let flags = if is_waiting { epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
                epoll::modify(&events, &client.stream, epoll::EventData::new_u64(id), flags)?;
            }
        }
    }
}

impl Client {
    fn begin(&mut self, answer: Option<Rc<Answer>>) {
        let stretch = answer.as_ref().and_then(|answer| answer.stretch.as_ref());
        (self.offset, self.left) = stretch.map_or((0, 0), |(_, offset, len)| (*offset, *len));
        (self.answer, self.sent) = (answer, 0);
    }

    /// Sends what can be sent, and says whether the client is still there.
    fn send(&mut self) -> bool {
        let Some(answer) = &self.answer else { return true };
        if let Some(rest) = answer.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let more = if answer.stretch.is_some() { SendFlags::MORE } else { SendFlags::empty() };
            match send(&self.stream, rest, SendFlags::NOSIGNAL | more) {
                Ok(count) => self.sent += count,
                Err(error) => return error == Errno::AGAIN,
            }
        }
        if self.sent < answer.bytes.len() {
            return true;
        }
        while let Some((file, ..)) = answer.stretch.as_ref().filter(|_| self.left > 0) {
            let len = usize::try_from(self.left.min(1 << 20)).unwrap_or(1 << 20);
            match sendfile(&self.stream, file, Some(&mut self.offset), len) {
                Ok(0) => return false,
                Ok(count) => self.left = self.left.saturating_sub(count as u64),
                Err(error) => return error == Errno::AGAIN,
            }
        }
        self.answer = None;
        true
    }
}

fn find(served: &[Served], request: &[u8]) -> Option<Rc<Answer>> {
    let line = request.get(..memchr::memchr(b'\r', request)?)?;
    let target = line.strip_suffix(b" HTTP/1.1")?;
    let file = served.iter().find(|served| target.ends_with(served.name.as_bytes()))?;
    let has = |name: &str| memmem::find(request, name.as_bytes()).is_some();
    let answer = match () {
        () if request.starts_with(b"HEAD") => &file.head,
        () if has("If-None-Match:") => &file.not_modified,
        () if has("Range:") => &file.part,
        () => &file.whole,
    };
    Some(Rc::clone(answer))
}

fn served(path: &str) -> Result<Served, Box<dyn Error>> {
    let len = std::fs::metadata(path)?.len();
    let name = path.rsplit('/').next().unwrap_or(path).to_owned();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len}\r\n\r\n");
    let alone = |bytes: String| Rc::new(Answer { bytes: bytes.into_bytes(), stretch: None });
    let mut whole = Answer { bytes: head.clone().into_bytes(), stretch: None };
    if len <= SMALL {
        whole.bytes.extend(std::fs::read(path)?);
    } else {
        whole.stretch = Some((File::open(path)?, 0, len));
    }
    let (offset, part) = RANGE;
    let range = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Type: image/jpeg\r\nContent-Length: {part}\r\nContent-Range: bytes {offset}-{}/{len}\r\n\r\n",
        offset + part - 1
    );
    Ok(Served {
        name,
        whole: Rc::new(whole),
        head: alone(head),
        not_modified: alone("HTTP/1.1 304 Not Modified\r\nETag: \"none\"\r\n\r\n".into()),
        part: Rc::new(Answer { bytes: range.into_bytes(), stretch: Some((File::open(path)?, offset, part)) }),
    })
}
