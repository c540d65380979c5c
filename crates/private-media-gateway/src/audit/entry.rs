//! Entries: records on their way to the file, as bytes in a queue. The file adds the sequence number, the time and the hashes.

/// The length of the numbers before the body of an entry.
const HEADER: usize = 24;

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// The time of the event, in milliseconds since 1970.
    pub(super) time: u64,
    /// The number of bytes that left.
    pub(super) bytes: u64,
    /// How much of the body is the same for all ranges of one view; 0 if the record is not folded.
    pub(super) key_length: usize,
    /// The fields of the record, as JSON without braces.
    pub(super) body: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Returns the numbers before the body.
    pub(super) fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let numbers = u128::from(self.time) | u128::from(self.bytes) << 64;
        let lengths = u64::from(to_u32(self.body.len())) | u64::from(to_u32(self.key_length)) << 32;
        for (to, from) in
            header.iter_mut().zip(numbers.to_le_bytes().into_iter().chain(lengths.to_le_bytes()))
        {
            *to = from;
        }
        header
    }

    /// Appends the entry.
    pub(super) fn append_to(&self, entries: &mut Vec<u8>) {
        entries.extend_from_slice(&self.header());
        entries.extend_from_slice(self.body);
    }

    /// Returns the first entry, and the others.
    fn split(entries: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = entries.split_first_chunk::<HEADER>()?;
        let (time, header) = header.split_first_chunk::<8>()?;
        let (bytes, header) = header.split_first_chunk::<8>()?;
        let (length, header) = header.split_first_chunk::<4>()?;
        let (key, _) = header.split_first_chunk::<4>()?;
        let (body, others) = rest.split_at_checked(to_usize(u32::from_le_bytes(*length)))?;
        let entry = Self {
            time: u64::from_le_bytes(*time),
            bytes: u64::from_le_bytes(*bytes),
            key_length: to_usize(u32::from_le_bytes(*key)),
            body,
        };
        Some((entry, others))
    }
}

/// Returns the entries that were appended to these bytes.
pub(super) fn entries(bytes: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (entry, others) = Entry::split(rest)?;
        rest = others;
        Some(entry)
    })
}

/// The parts of a body are bounded far below 4 GiB.
fn to_u32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn to_usize(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_are_read_as_they_were_appended(
            values in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 0..5),
            cut: prop::sample::Index,
        ) {
            let mut bytes = Vec::new();
            for (time, number, key, body) in &values {
                Entry { time: *time, bytes: *number, key_length: to_usize(*key), body }.append_to(&mut bytes);
            }
            let read: Vec<_> = entries(&bytes).map(|e| (e.time, e.bytes, to_u32(e.key_length), e.body.to_vec())).collect();
            prop_assert_eq!(&read, &values);
            // What is incomplete is no entry.
            let part = &bytes[..cut.index(bytes.len() + 1)];
            prop_assert!(entries(part).count() <= values.len());
        }
    }
}
