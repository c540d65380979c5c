//! Plain requests for files, answered with no more of HTTP than they use.
//!
//! Nearly all requests are a GET or a HEAD of one file, without content, and most connections have no others. Those are read here,
//! answered, and sent. What is not clearly one of them is not judged here: the connection goes on with hyper, which reads that
//! request from its first byte.

mod asked;
mod head;
#[cfg(any(test, fuzzing))]
mod parity;

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::Body as _;
use private_media::identity::accounts::ClientClosed;
use tokio::io::AsyncWrite;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::Handler;
use super::client;
use super::kernel::Sending;
use super::paced::Paced;
use crate::body::Body;
use asked::{Asked, Next};

pub(crate) use head::Answer;
#[cfg(fuzzing)]
pub(crate) use parity::check as check_parity;

type Stream = Paced<Sending>;

thread_local! {
    /// Memory to write heads into; who has to wait with one keeps it.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Answers plain requests until the connection has ended, or until there is a request that is not plain: then the connection is given
/// back, to be gone on with.
pub(super) async fn serve(
    mut stream: Stream,
    peer: SocketAddr,
    handler: &impl Handler,
    limit: Duration,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<Option<Stream>> {
    let seen = stopped.clone();
    let stop = pin!(stopped.wait_for(|stopped| *stopped));
    let mut idle = Idle { deadline: Deadline::new(limit), stop, is_waiting_for_stop: false, seen };
    let mut asked = Asked::new();
    let closed = ClientClosed::default();
    loop {
        idle.deadline.begin();
        match poll_fn(|context| asked.poll(context, &mut stream, handler, &mut idle)).await? {
            Next::Plain => {}
            Next::Other => {
                stream.io_mut().unread(std::mem::take(&mut asked.bytes));
                return Ok(Some(stream));
            }
            Next::End => return Ok(None),
        }
        let mut answer = {
            let mut answer = pin!(handler.file(&mut asked.head, peer, &closed));
            // Nearly every answer is ready at once; the client is watched only while one is waited for.
            match poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await {
                Poll::Ready(answer) => answer,
                Poll::Pending => {
                    let poll_closed =
                        |context: &mut Context<'_>| client::poll_closed(stream.io().stream(), context);
                    client::answer_or_reset(answer, &closed, poll_closed).await?
                }
            }
        };
        answer.body.send_by(stream.io().files());
        let is_last = asked.is_last || idle.is_stopping();
        let mut head = SCRATCH.take();
        head.clear();
        let len = head::write(&mut head, &answer, handler.standing(), &asked.head.method, is_last);
        let sent = send(&mut stream, &head, answer.body, len).await;
        SCRATCH.set(head);
        sent?;
        if is_last {
            return Ok(None);
        }
    }
}

/// Sends a head and `len` bytes of content.
async fn send(stream: &mut Stream, mut head: &[u8], body: Body, len: u64) -> io::Result<()> {
    let mut body = pin!(body);
    let mut left = len;
    loop {
        let mut data = Bytes::new();
        if left > 0 {
            let frame = poll_fn(|context| body.as_mut().poll_frame(context)).await;
            let frame = frame.ok_or(ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
            data = frame.into_data().unwrap_or_default();
            left = left.checked_sub(data.len() as u64).ok_or(ErrorKind::InvalidData)?;
        }
        poll_fn(|context| {
            while !(head.is_empty() && data.is_empty()) {
                let slices = [IoSlice::new(head), IoSlice::new(&data)];
                let written = ready!(Pin::new(&mut *stream).poll_write_vectored(context, &slices))?;
                if written == 0 {
                    return Poll::Ready(Err(io::Error::from(ErrorKind::WriteZero)));
                }
                let of_head = written.min(head.len());
                head.advance(of_head);
                data.advance(written - of_head);
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        if left == 0 {
            return Ok(());
        }
    }
}

/// What a connection waits for that has nothing to do.
struct Idle<S> {
    deadline: Deadline,
    stop: S,
    is_waiting_for_stop: bool,
    seen: watch::Receiver<bool>,
}

impl<S: Future> Idle<Pin<&mut S>> {
    fn is_stopping(&self) -> bool {
        self.seen.has_changed().unwrap_or(true)
    }

    /// Ready when the connection has had its time, or when all are to stop and nothing has begun.
    fn poll(&mut self, context: &mut Context<'_>, may_stop: bool) -> Poll<()> {
        if !std::mem::replace(&mut self.is_waiting_for_stop, true) {
            // From now on the signal wakes this task when it comes; whether it has come, others say.
            let _ = self.stop.as_mut().poll(context);
        }
        if may_stop && self.is_stopping() {
            return Poll::Ready(());
        }
        self.deadline.poll(context)
    }
}

/// The time that a head may take. Its timer is set anew only when it has rung, and not at each request.
struct Deadline {
    limit: Duration,
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    fn new(limit: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(limit));
        Self { limit, at: timer.deadline(), timer }
    }

    fn begin(&mut self) {
        self.at = Instant::now() + self.limit;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            if self.timer.deadline() >= self.at {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.at);
        }
    }
}
