//! Content of a save that comes from Python.

use std::io;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use private_media::storage::ByteStream;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyIterator};
use tokio::sync::mpsc::{self, Receiver};

/// A message to the task that saves: a chunk, or the end of the content.
type Message = Option<Bytes>;

/// Copies the next chunk of an iterator of bytes.
pub(crate) fn next_chunk(iterator: &Bound<'_, PyIterator>) -> Option<PyResult<Bytes>> {
    let chunk = iterator.clone().next()?;
    Some(chunk.and_then(|chunk| Ok(Bytes::copy_from_slice(chunk.cast::<PyBytes>()?.as_bytes()))))
}

/// Sends content from the thread that runs Python to the task that saves it. So Python code that reads another private file is not
/// inside a runtime.
pub(crate) struct Sender(mpsc::Sender<Message>);

impl Sender {
    /// Sends all chunks of an iterator, without the lock of the interpreter while it waits. If the iterator raises, the save fails. If the
    /// save fails, no further chunk is read.
    pub(crate) fn send_all(self, py: Python<'_>, iterator: &Bound<'_, PyIterator>) -> PyResult<()> {
        loop {
            let message = next_chunk(iterator).transpose()?;
            let is_end = message.is_none();
            let sent = py.detach(|| self.0.blocking_send(message));
            if is_end || sent.is_err() {
                return Ok(());
            }
        }
    }
}

/// Returns content, and what sends it. At most one chunk waits.
pub(crate) fn channel() -> (Sender, ByteStream) {
    let (send, receive) = mpsc::channel(1);
    (Sender(send), received(receive))
}

/// Returns the chunks. Without the message that ends them, they end with an error, so that no part is saved as a whole.
fn received(receive: Receiver<Message>) -> ByteStream {
    let next = |mut receive: Receiver<Message>| async move {
        match receive.recv().await {
            Some(Some(chunk)) => Ok(Some((chunk, receive))),
            Some(None) => Ok(None),
            None => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the content ended early")),
        }
    };
    stream::try_unfold(receive, next).boxed()
}
