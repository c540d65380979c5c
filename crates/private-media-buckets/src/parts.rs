//! Content, in parts of equal length.

use bytes::Bytes;
use futures_util::StreamExt as _;
use object_store::PutPayload;
use private_media::storage::Content;
use private_media::{SaveOptions, StorageError};

/// Divides content into parts, without copying it. Fails as soon as it is too long.
pub(crate) struct Parts<'a> {
    content: Content<'a>,
    options: &'a SaveOptions,
    part_len: usize,
    /// What follows the last part of what was read.
    rest: Bytes,
    /// The number of bytes that were read.
    total: u64,
}

/// A part of content.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) payload: PutPayload,
    /// Whether the content ends with it. Only the last part is shorter than the others, and may be empty.
    pub(crate) is_last: bool,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(content: Content<'a>, options: &'a SaveOptions, part_len: usize) -> Self {
        Self { content, options, part_len, rest: Bytes::new(), total: 0 }
    }

    /// Returns the next part.
    pub(crate) async fn next(&mut self) -> Result<Part, StorageError> {
        let (mut pieces, mut missing, mut is_last) = (Vec::new(), self.part_len, false);
        loop {
            let piece = self.rest.split_to(self.rest.len().min(missing));
            missing = missing.saturating_sub(piece.len());
            if !piece.is_empty() {
                pieces.push(piece);
            }
            if missing == 0 {
                break;
            }
            let Some(read) = self.content.next().await else {
                is_last = true;
                break;
            };
            self.rest = read.map_err(StorageError::Content)?;
            self.total = self.total.saturating_add(self.rest.len() as u64);
            self.options.check_len(self.total)?;
        }
        Ok(Part { payload: PutPayload::from_iter(pieces), is_last })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    proptest! {
        #[test]
        fn parts_are_the_content(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..12),
            part_len in 1_usize..40,
            max_len in prop::option::of(0_u64..200),
        ) {
            let all = pieces.concat();
            let content: Content<'_> = stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece)))).boxed();
            let options = SaveOptions::new().max_len(max_len);
            let mut parts = Parts::new(content, &options, part_len);
            let mut read = Vec::new();
            let result = run(async {
                loop {
                    let part = parts.next().await?;
                    let len = part.payload.content_length();
                    assert!(len == part_len || (part.is_last && len < part_len));
                    read.extend(part.payload.iter().flat_map(|piece| piece.to_vec()));
                    if part.is_last {
                        return Ok(());
                    }
                }
            });
            match result {
                Ok(()) => prop_assert!(read == all && max_len.is_none_or(|max_len| all.len() as u64 <= max_len)),
                Err(StorageError::TooLarge { .. }) => prop_assert!(all.len() as u64 > max_len.unwrap()),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
