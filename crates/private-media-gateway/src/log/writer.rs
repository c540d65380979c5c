//! The thread that writes log lines to standard error.

use std::io::{self, ErrorKind};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};

use super::queue::Queue;

/// The pause between two batches, so that a busy gateway writes many lines with one call and rarely wakes the writer.
const BATCH_INTERVAL: Duration = Duration::from_millis(1);
/// The pause after a failed write.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// The longest wait for a non-blocking standard error to become writable.
const POLL_TIMEOUT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// The largest write to a pipe that is never split (`PIPE_BUF`).
const PIPE_BUF: usize = 4096;
/// The largest capacity of the buffer that is reused for the next batch, in bytes.
const REUSED_CAPACITY: usize = 256 << 10;

/// A destination of lines.
pub(super) trait Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Waits until a write that would have blocked may succeed.
    fn wait(&mut self);

    /// Returns whether writes up to `PIPE_BUF` are never split.
    fn is_pipe(&self) -> bool;
}

/// Standard error. It bypasses the lock of std, because a stalled reader would block every other thread that prints.
struct Stderr {
    is_pipe: bool,
}

impl Stderr {
    fn new() -> Self {
        let mode = fstat(io::stderr()).map(|stat| stat.st_mode);
        Self { is_pipe: mode.is_ok_and(|mode| FileType::from_raw_mode(mode) == FileType::Fifo) }
    }
}

impl Sink for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(io::stderr(), bytes)?)
    }

    fn wait(&mut self) {
        let stderr = io::stderr();
        // The next write returns the error of a failed poll.
        let _ = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&POLL_TIMEOUT));
    }

    fn is_pipe(&self) -> bool {
        self.is_pipe
    }
}

/// Starts the thread. The process can exit while it runs.
pub(super) fn spawn(queue: Arc<Queue>) -> io::Result<()> {
    let run = move || loop {
        // A panic loses one batch, but logging continues.
        let _ = std::panic::catch_unwind(AssertUnwindSafe(|| run(&queue, &mut Stderr::new())));
        std::thread::sleep(RETRY_INTERVAL);
    };
    std::thread::Builder::new().name("log".into()).spawn(run).map(drop)
}

fn run(queue: &Queue, sink: &mut impl Sink) {
    let mut batch = Vec::new();
    loop {
        queue.take(&mut batch);
        write(&batch, queue, sink, RETRY_INTERVAL);
        batch.clear();
        batch.shrink_to(REUSED_CAPACITY);
        std::thread::sleep(BATCH_INTERVAL);
    }
}

/// Writes a batch. After an error it resumes at the end of the last write, so no line is split or written twice.
fn write(batch: &[u8], queue: &Queue, sink: &mut impl Sink, pause: Duration) {
    let mut rest = batch;
    while !rest.is_empty() {
        let piece = if sink.is_pipe() { whole_lines(rest, PIPE_BUF) } else { rest };
        match sink.write(piece) {
            Ok(0) => queue.retry_later(&ErrorKind::WriteZero.into(), pause),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => sink.wait(),
            Err(error) => queue.retry_later(&error, pause),
        }
    }
}

/// Returns the first lines that fit into `limit` bytes, or the first line if it is longer.
fn whole_lines(bytes: &[u8], limit: usize) -> &[u8] {
    let within = bytes.get(..limit).unwrap_or(bytes);
    let end = memchr::memrchr(b'\n', within).or_else(|| memchr::memchr(b'\n', bytes));
    end.and_then(|end| bytes.get(..=end)).unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::Write as _;
    use std::sync::mpsc;

    use super::*;

    /// The result of one write.
    #[derive(Debug, Clone, Copy)]
    enum Does {
        Take(usize),
        Fail(ErrorKind),
    }

    /// Returns the scripted results, then accepts all bytes.
    #[derive(Default)]
    struct Script {
        writes: VecDeque<Does>,
        is_pipe: bool,
        written: Vec<u8>,
        sizes: Vec<usize>,
        waits: usize,
    }

    impl Sink for Script {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = match self.writes.pop_front() {
                Some(Does::Fail(kind)) => return Err(kind.into()),
                Some(Does::Take(most)) => most.min(bytes.len()),
                None => bytes.len(),
            };
            self.written.extend_from_slice(&bytes[..taken]);
            self.sizes.push(taken);
            Ok(taken)
        }

        fn wait(&mut self) {
            self.waits += 1;
        }

        fn is_pipe(&self) -> bool {
            self.is_pipe
        }
    }

    fn report(batch: &mut Vec<u8>, dropped: u64, reason: &str) {
        writeln!(batch, "dropped {dropped}: {reason}").unwrap();
    }

    #[test]
    fn write_errors_do_not_split_repeat_or_lose_lines() {
        use Does::{Fail, Take};

        let lines = b"first\nsecond\nthird\n";
        for (writes, waits, reported) in [
            (vec![], 0, None),
            (vec![Take(3), Take(1), Take(7)], 0, None),
            (vec![Take(3), Fail(ErrorKind::Interrupted)], 0, None),
            (vec![Take(3), Fail(ErrorKind::WouldBlock), Fail(ErrorKind::WouldBlock)], 2, None),
            (vec![Take(8), Fail(ErrorKind::StorageFull), Take(0)], 0, Some("write zero")),
            (
                vec![Fail(ErrorKind::BrokenPipe), Take(2), Fail(ErrorKind::StorageFull)],
                0,
                Some("no storage space"),
            ),
        ] {
            for is_pipe in [false, true] {
                let queue = Queue::new(1, report);
                let mut script = Script { writes: writes.clone().into(), is_pipe, ..Script::default() };
                write(lines, &queue, &mut script, Duration::ZERO);
                assert_eq!(script.written, lines, "{writes:?}");
                assert_eq!(script.waits, waits, "{writes:?}");
                // Dropped lines are reported with the last error.
                queue.push(b"does not fit\n");
                let mut batch = Vec::new();
                queue.take(&mut batch);
                let reason = reported.unwrap_or("the log's reader is too slow");
                assert_eq!(String::from_utf8(batch).unwrap(), format!("dropped 1: {reason}\n"), "{writes:?}");
            }
        }
    }

    #[test]
    fn writes_to_a_pipe_contain_whole_lines() {
        let queue = Queue::new(0, report);
        let line = [[b'x'; 99].as_slice(), b"\n"].concat();
        let long = [vec![b'y'; 9000].as_slice(), b"\n"].concat();
        let batch = [line.repeat(100), long.clone(), line.clone()].concat();
        let mut pipe = Script { is_pipe: true, ..Script::default() };
        write(&batch, &queue, &mut pipe, Duration::ZERO);
        assert_eq!((pipe.sizes, pipe.written), (vec![4000, 4000, 2000, 9001, 100], batch.clone()));
        let mut file = Script::default();
        write(&batch, &queue, &mut file, Duration::ZERO);
        assert_eq!(file.sizes, [batch.len()], "one write for many lines");
    }

    #[test]
    fn dropped_lines_are_counted_and_reported_after_the_others() {
        let queue = Queue::new(10, report);
        for line in [&b"one\n"[..], b"two\n", b"three\n", b"four\n"] {
            queue.push(line);
        }
        let mut batch = Vec::new();
        queue.take(&mut batch);
        queue.push(b"five\n");
        assert_eq!(batch, b"one\ntwo\ndropped 2: the log's reader is too slow\n");
        batch.clear();
        queue.take(&mut batch);
        assert_eq!(batch, b"five\n");
    }

    /// A sink that blocks until it gets a result.
    struct Gate(mpsc::Receiver<io::Result<usize>>);

    impl Sink for Gate {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.0.recv().unwrap_or(Ok(usize::MAX))
        }

        fn wait(&mut self) {}

        fn is_pipe(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_flush_ends_after_the_last_line_an_error_or_the_timeout() {
        let queue = Arc::new(Queue::new(100, report));
        let (results, gate) = mpsc::channel();
        let writer = Arc::clone(&queue);
        std::thread::spawn(move || run(&writer, &mut Gate(gate)));
        let took = |limit| {
            let begin = std::time::Instant::now();
            queue.flush(limit);
            begin.elapsed()
        };
        let (short, long) = (Duration::from_millis(30), Duration::from_secs(60));
        assert!(took(long) < long, "there is nothing to write");
        queue.push(b"line\n");
        assert!(took(short) >= short, "the reader is stalled");
        results.send(Err(ErrorKind::BrokenPipe.into())).unwrap();
        results.send(Err(ErrorKind::BrokenPipe.into())).unwrap();
        assert!(took(long) < long, "the reader is gone");
        drop(results);
        assert!(took(long) < long, "all is written");
    }
}
