//! The files of an entry: its content, and a map of the blocks that it has.
//!
//! The content is a sparse file of the object's length. The map is a header and a record for each block, at a fixed position. A record is
//! a checksum of its block, and a checksum of the record that is keyed with the entry: a record that is missing, torn or of another entry
//! is no record.

use std::ops::Range;

/// The length of a block, in bytes. The last one of an object may be shorter.
pub(crate) const BLOCK_LEN: u64 = 1 << 20;
/// File systems allocate space in pages of this length, in bytes.
const PAGE: u64 = 4096;
const MAGIC: &[u8; 16] = b"private-media 1\n";
/// The magic number, and a checksum.
pub(crate) const HEADER_LEN: u64 = 48;
pub(crate) const RECORD_LEN: usize = 48;
const CHECK_LEN: usize = 16;

pub(crate) type Checksum = [u8; 32];

/// Names one version of one object, by a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EntryId(pub(crate) Checksum);

impl EntryId {
    /// Returns the id of an object with this entity tag and length. The scope names the bucket.
    pub(crate) fn new(scope: &str, key: &str, tag: &str, len: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        for field in [scope, key, tag] {
            // With its length, a field cannot continue in the next one.
            hasher.update(&(field.len() as u64).to_le_bytes()).update(field.as_bytes());
        }
        Self(hasher.update(&len.to_le_bytes()).finalize().into())
    }
}

/// Returns the checksum of a block.
pub(crate) fn checksum(block: &[u8]) -> Checksum {
    blake3::hash(block).into()
}

/// The positions of an object's blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The length of the object, in bytes.
    pub(crate) len: u64,
}

impl Layout {
    /// Returns the number of blocks.
    pub(crate) fn blocks(self) -> u64 {
        self.len.div_ceil(BLOCK_LEN)
    }

    /// Returns the bytes of a block.
    pub(crate) fn range(self, block: u64) -> Range<u64> {
        let start = block.saturating_mul(BLOCK_LEN).min(self.len);
        start..start.saturating_add(BLOCK_LEN).min(self.len)
    }

    /// Returns the length of the map, in bytes.
    pub(crate) fn map_len(self) -> u64 {
        Self::record_start(self.blocks())
    }

    /// Returns the position of a record in the map.
    pub(crate) fn record_start(block: u64) -> u64 {
        HEADER_LEN.saturating_add(block.saturating_mul(RECORD_LEN as u64))
    }

    /// Returns the space that a block needs, in bytes.
    pub(crate) fn block_cost(self, block: u64) -> u64 {
        let Range { start, end } = self.range(block);
        end.saturating_sub(start).next_multiple_of(PAGE)
    }

    /// Returns the space of an entry without blocks, in bytes: that of its map.
    pub(crate) fn map_cost(self) -> u64 {
        self.map_len().next_multiple_of(PAGE)
    }

    /// Returns the space of an entry with all of its blocks, in bytes.
    pub(crate) fn whole_cost(self) -> u64 {
        self.map_cost().saturating_add(self.len.next_multiple_of(PAGE))
    }
}

/// Returns the blocks that contain a range of bytes, which is not empty.
pub(crate) fn blocks_of(range: &Range<u64>) -> Range<u64> {
    range.start / BLOCK_LEN..range.end.div_ceil(BLOCK_LEN)
}

/// Returns the header of a map.
pub(crate) fn header(id: &EntryId, len: u64) -> Vec<u8> {
    let check = blake3::Hasher::new_keyed(&id.0).update(MAGIC).update(&len.to_le_bytes()).finalize();
    [&MAGIC[..], check.as_bytes()].concat()
}

/// Returns the record of a block.
pub(crate) fn record(id: &EntryId, block: u64, checksum: &Checksum) -> Vec<u8> {
    [&checksum[..], &record_check(id, block, checksum)].concat()
}

fn record_check(id: &EntryId, block: u64, checksum: &Checksum) -> [u8; CHECK_LEN] {
    let hash = blake3::Hasher::new_keyed(&id.0).update(&block.to_le_bytes()).update(checksum).finalize();
    let mut check = [0; CHECK_LEN];
    check.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
    check
}

/// Returns the blocks of a map with their checksums; `None` if it is no map of this entry.
pub(crate) fn parse_map(id: &EntryId, layout: Layout, map: &[u8]) -> Option<Vec<(u64, Checksum)>> {
    let records = map.strip_prefix(&*header(id, layout.len))?;
    if map.len() as u64 != layout.map_len() {
        return None;
    }
    let records = (0..).zip(records.chunks_exact(RECORD_LEN));
    let valid = records.filter_map(|(block, record)| {
        let (checksum, check) = record.split_first_chunk::<32>()?;
        (record_check(id, block, checksum) == *check).then_some((block, *checksum))
    });
    Some(valid.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_differ_by_each_field() {
        let id = EntryId::new;
        let ids = [
            id("s3://b", "a/b", "t", 1),
            id("s3://c", "a/b", "t", 1),
            id("s3://ba", "/b", "t", 1),
            id("s3://b", "a/bt", "", 1),
            id("s3://b", "a/b", "u", 1),
            id("s3://b", "a/b", "t", 2),
        ];
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
        assert_eq!(ids[0], id("s3://b", "a/b", "t", 1));
    }

    #[test]
    fn blocks_cover_the_object() {
        for (len, blocks, last) in [
            (0, 0, 0..0),
            (1, 1, 0..1),
            (BLOCK_LEN, 1, 0..BLOCK_LEN),
            (BLOCK_LEN + 1, 2, BLOCK_LEN..BLOCK_LEN + 1),
        ] {
            let layout = Layout { len };
            assert_eq!(layout.blocks(), blocks, "{len}");
            assert_eq!(layout.range(blocks.saturating_sub(1)), last, "{len}");
            let cost: u64 = (0..blocks).map(|block| layout.block_cost(block)).sum();
            assert_eq!(layout.map_cost() + cost, layout.whole_cost(), "{len}");
        }
        assert_eq!(blocks_of(&(0..1)), 0..1);
        assert_eq!(blocks_of(&(BLOCK_LEN - 1..BLOCK_LEN + 1)), 0..2);
        assert_eq!(blocks_of(&(BLOCK_LEN..2 * BLOCK_LEN)), 1..2);
    }

    fn map_of(id: &EntryId, layout: Layout, blocks: &[u64]) -> Vec<u8> {
        let mut map = header(id, layout.len);
        map.resize(usize::try_from(layout.map_len()).unwrap(), 0);
        for block in blocks {
            let start = usize::try_from(Layout::record_start(*block)).unwrap();
            map[start..start + RECORD_LEN].copy_from_slice(&record(id, *block, &[7; 32]));
        }
        map
    }

    proptest! {
        /// Whatever happens to a map, it names no block that was not recorded.
        #[test]
        fn a_damaged_map_names_fewer_blocks_and_no_others(
            recorded in prop::collection::btree_set(0_u64..6, 0..6),
            damage in prop::collection::vec((0_usize..400, any::<u8>()), 0..4),
            cut in prop::option::of(0_usize..400),
        ) {
            let (id, layout) = (EntryId::new("s", "k", "t", 6 * BLOCK_LEN), Layout { len: 6 * BLOCK_LEN });
            let recorded: Vec<_> = recorded.into_iter().collect();
            let whole = map_of(&id, layout, &recorded);
            let all = parse_map(&id, layout, &whole).unwrap();
            prop_assert_eq!(all.iter().map(|(block, _)| *block).collect::<Vec<_>>(), recorded.clone());
            let mut map = whole.clone();
            for (at, byte) in damage {
                let at = at % map.len();
                map[at] = byte;
            }
            map.truncate(cut.unwrap_or(map.len()));
            let named = parse_map(&id, layout, &map).unwrap_or_default();
            prop_assert!(named.iter().all(|(block, sum)| recorded.contains(block) && *sum == [7; 32]));
            prop_assert!(map == whole || map.len() == whole.len() || named.is_empty());
            // The map of another version is none.
            prop_assert!(parse_map(&EntryId::new("s", "k", "u", layout.len), layout, &whole).is_none());
        }
    }
}
