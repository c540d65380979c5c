//! Which blocks of an object are cached.

use std::collections::BTreeMap;
use std::ops::Range;

use super::layout::Checksum;

/// The blocks of an entry. A block of an earlier process is verified before its first use, as a power failure may lose its bytes but not
/// its record.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    /// A bit for each block that may be used.
    usable: Vec<u64>,
    /// The recorded blocks that were not verified yet.
    unverified: BTreeMap<u64, Checksum>,
}

/// The state of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockState {
    Usable,
    Unverified(Checksum),
    Missing,
}

impl Blocks {
    /// Returns the blocks that a map records.
    pub(crate) fn recorded(blocks: impl IntoIterator<Item = (u64, Checksum)>) -> Self {
        Self { usable: Vec::new(), unverified: blocks.into_iter().collect() }
    }

    pub(crate) fn state(&self, block: u64) -> BlockState {
        if self.is_usable(block) {
            return BlockState::Usable;
        }
        self.unverified.get(&block).map_or(BlockState::Missing, |checksum| BlockState::Unverified(*checksum))
    }

    /// Returns whether all of these blocks may be used.
    pub(crate) fn are_usable(&self, mut blocks: Range<u64>) -> bool {
        blocks.all(|block| self.is_usable(block))
    }

    pub(crate) fn set_usable(&mut self, block: u64) {
        self.unverified.remove(&block);
        let (word, bit) = place(block);
        if self.usable.len() <= word {
            self.usable.resize(word.saturating_add(1), 0);
        }
        if let Some(word) = self.usable.get_mut(word) {
            *word |= bit;
        }
    }

    /// Marks a block as missing. Returns whether it was not.
    pub(crate) fn remove(&mut self, block: u64) -> bool {
        let (word, bit) = place(block);
        let was_usable = self.is_usable(block);
        if let Some(word) = self.usable.get_mut(word) {
            *word &= !bit;
        }
        self.unverified.remove(&block).is_some() || was_usable
    }

    fn is_usable(&self, block: u64) -> bool {
        let (word, bit) = place(block);
        self.usable.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// Returns the word and the bit of a block.
fn place(block: u64) -> (usize, u64) {
    (usize::try_from(block / 64).unwrap_or(usize::MAX), 1 << (block % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_are_a_set(
            recorded in prop::collection::btree_set(0_u64..200, 0..20),
            steps in prop::collection::vec((any::<bool>(), 0_u64..200), 0..50),
            range in (0_u64..200, 0_u64..200),
        ) {
            let mut blocks = Blocks::recorded(recorded.iter().map(|block| (*block, [1; 32])));
            let (mut usable, mut unverified) = (BTreeSet::new(), recorded);
            for (is_set, block) in steps {
                let was_there = unverified.remove(&block) | usable.contains(&block);
                if is_set {
                    blocks.set_usable(block);
                    usable.insert(block);
                } else {
                    prop_assert_eq!(blocks.remove(block), was_there);
                    usable.remove(&block);
                }
            }
            for block in 0..200 {
                let expected = match (usable.contains(&block), unverified.contains(&block)) {
                    (true, _) => BlockState::Usable,
                    (_, true) => BlockState::Unverified([1; 32]),
                    _ => BlockState::Missing,
                };
                prop_assert_eq!(blocks.state(block), expected);
            }
            let range = range.0.min(range.1)..range.0.max(range.1);
            prop_assert_eq!(blocks.are_usable(range.clone()), range.into_iter().all(|block| usable.contains(&block)));
        }
    }
}
