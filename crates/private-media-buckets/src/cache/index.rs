//! Which entries there are, by their last use, and the space that they need.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::sync::{Arc, Weak};

use tokio::time::{Duration, Instant};

use super::entry::{Entry, OpenEntry};
use super::layout::EntryId;

/// The most entries, so that their memory is bounded: some 300 bytes each.
const MAX_ENTRIES: usize = 1 << 17;
/// The last use of an entry is written to disk at most this often.
const MARK_AFTER: Duration = Duration::from_secs(60);

/// The entries of a cache. It neither reads nor writes files, so its lock is held for a short time.
#[derive(Debug)]
pub(crate) struct Index {
    entries: HashMap<EntryId, Slot>,
    /// The entries, the least recently used one first.
    order: BTreeMap<u64, EntryId>,
    next_turn: u64,
    /// The space of all entries, in bytes.
    total: u64,
    /// Removed files that are still read, with their space in bytes.
    retired: Vec<(Weak<File>, u64)>,
    /// Files that stay open, the most recently used one last.
    open: VecDeque<(EntryId, Arc<File>)>,
    size: u64,
    max_open_files: usize,
}

#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    cost: u64,
    turn: u64,
    marked: Option<Instant>,
}

/// What is removed from an index. Its files are still on disk, and are closed when this is dropped: not under a lock.
#[derive(Debug, Default)]
pub(crate) struct Removed {
    pub(crate) entries: Vec<Arc<Entry>>,
    files: Vec<Arc<File>>,
}

impl Index {
    pub(crate) fn new(size: u64, max_open_files: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeMap::new(),
            next_turn: 0,
            total: 0,
            retired: Vec::new(),
            open: VecDeque::new(),
            size,
            max_open_files,
        }
    }

    /// Returns the space that all files occupy, in bytes.
    pub(crate) fn occupied(&mut self) -> u64 {
        self.retired.retain(|(file, _)| file.strong_count() > 0);
        self.retired.iter().fold(self.total, |sum, (_, cost)| sum.saturating_add(*cost))
    }

    /// Returns an entry, and counts it as used.
    pub(crate) fn get(&mut self, id: &EntryId) -> Option<Arc<Entry>> {
        let turn = self.turn();
        let slot = self.entries.get_mut(id)?;
        self.order.remove(&slot.turn);
        self.order.insert(turn, *id);
        slot.turn = turn;
        Some(Arc::clone(&slot.entry))
    }

    /// Returns whether the last use of an entry should be written to disk now.
    pub(crate) fn is_mark_due(&mut self, id: &EntryId, now: Instant) -> bool {
        let Some(slot) = self.entries.get_mut(id) else { return false };
        let is_due = slot.marked.is_none_or(|marked| now.saturating_duration_since(marked) >= MARK_AFTER);
        if is_due {
            slot.marked = Some(now);
        }
        is_due
    }

    /// Adds an entry. `None` if there is one with its id, or no room.
    pub(crate) fn insert(&mut self, entry: &Arc<Entry>, cost: u64) -> Option<Removed> {
        let id = entry.name.id;
        if self.entries.contains_key(&id) {
            return None;
        }
        let removed = self.make_room(cost, 1, None)?;
        let turn = self.turn();
        self.order.insert(turn, id);
        self.total = self.total.saturating_add(cost);
        self.entries.insert(id, Slot { entry: Arc::clone(entry), cost, turn, marked: None });
        Some(removed)
    }

    /// Adds the space of a block to an entry. `None` if the entry was removed, or if there is no room.
    pub(crate) fn grow(&mut self, entry: &Arc<Entry>, cost: u64) -> Option<Removed> {
        if !self.has(entry) {
            return None;
        }
        let removed = self.make_room(cost, 0, Some(&entry.name.id))?;
        if let Some(slot) = self.entries.get_mut(&entry.name.id) {
            slot.cost = slot.cost.saturating_add(cost);
            self.total = self.total.saturating_add(cost);
        }
        Some(removed)
    }

    /// Subtracts the space of a block from an entry.
    pub(crate) fn shrink(&mut self, entry: &Arc<Entry>, cost: u64) {
        if !self.has(entry) {
            return;
        }
        if let Some(slot) = self.entries.get_mut(&entry.name.id) {
            let cost = cost.min(slot.cost);
            slot.cost = slot.cost.saturating_sub(cost);
            self.total = self.total.saturating_sub(cost);
        }
    }

    /// Removes an entry, unless another one has its id by now.
    pub(crate) fn remove(&mut self, entry: &Arc<Entry>) -> Removed {
        let mut removed = Removed::default();
        if self.has(entry) {
            self.remove_by_id(&entry.name.id, &mut removed);
        }
        removed
    }

    /// Removes the entry with this id.
    pub(crate) fn remove_id(&mut self, id: &EntryId) -> Removed {
        let mut removed = Removed::default();
        self.remove_by_id(id, &mut removed);
        removed
    }

    /// Lets the files of an entry stay open. Returns one to close.
    pub(crate) fn stay_open(&mut self, entry: &OpenEntry) -> Option<(EntryId, Arc<File>)> {
        if !self.has(&entry.entry) {
            return None;
        }
        let id = entry.entry.name.id;
        let previous = self.close(&id);
        self.open.push_back((id, Arc::clone(&entry.data)));
        let surplus = if self.open.len() > self.max_open_files { self.open.pop_front() } else { None };
        surplus.or(previous.map(|file| (id, file)))
    }

    /// Returns whether this very entry is in the index.
    fn has(&self, entry: &Arc<Entry>) -> bool {
        self.entries.get(&entry.name.id).is_some_and(|slot| Arc::ptr_eq(&slot.entry, entry))
    }

    /// Removes the least recently used entries until there is room. An entry that is being read stays, because its space would not be
    /// free before the reader ends. `None`, and nothing is removed, if that is not enough.
    fn make_room(&mut self, cost: u64, count: usize, except: Option<&EntryId>) -> Option<Removed> {
        let mut missing = self.occupied().checked_add(cost)?.saturating_sub(self.size);
        let mut surplus = self.entries.len().saturating_add(count).saturating_sub(MAX_ENTRIES);
        let mut victims = Vec::new();
        for id in self.order.values().filter(|id| Some(*id) != except) {
            if missing == 0 && surplus == 0 {
                break;
            }
            if let Some(slot) = self.entries.get(id).filter(|slot| !self.is_read(slot)) {
                missing = missing.saturating_sub(slot.cost);
                surplus = surplus.saturating_sub(1);
                victims.push(*id);
            }
        }
        if missing > 0 || surplus > 0 {
            return None;
        }
        let mut removed = Removed::default();
        for id in &victims {
            self.remove_by_id(id, &mut removed);
        }
        Some(removed)
    }

    /// Returns whether a reader has the files of an entry open.
    fn is_read(&self, slot: &Slot) -> bool {
        let handles = slot.entry.handles();
        // Mostly none, which saves the search.
        handles > 0 && handles > self.open.iter().filter(|(id, _)| *id == slot.entry.name.id).count()
    }

    fn remove_by_id(&mut self, id: &EntryId, removed: &mut Removed) {
        let Some(slot) = self.entries.remove(id) else { return };
        self.order.remove(&slot.turn);
        self.total = self.total.saturating_sub(slot.cost);
        if self.is_read(&slot) {
            self.retired.push((slot.entry.data(), slot.cost));
        }
        removed.files.extend(self.close(id));
        removed.entries.push(slot.entry);
    }

    fn close(&mut self, id: &EntryId) -> Option<Arc<File>> {
        let at = self.open.iter().rposition(|(open, _)| open == id)?;
        self.open.remove(at).map(|(_, file)| file)
    }

    fn turn(&mut self) -> u64 {
        self.next_turn = self.next_turn.saturating_add(1);
        self.next_turn
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cache::folder::{FileName, Folder};
    use crate::cache::layout::Layout;

    struct Place {
        _place: tempfile::TempDir,
        folder: Folder,
    }

    impl Place {
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            Self { folder: Folder::open(place.path()).unwrap(), _place: place }
        }

        /// Adds an entry of the size 10. Returns it open, and the numbers of those that were removed.
        fn insert(&self, index: &mut Index, number: u64) -> Option<(OpenEntry, Vec<u64>)> {
            let name = FileName::new(EntryId::new("", "", "", number)).unwrap();
            let entry = Arc::new(Entry::new(name, Layout { len: number }));
            let removed = index.insert(&entry, 10)?;
            let open = entry.create(&self.folder, || true).unwrap().unwrap();
            Some((open, numbers(&removed)))
        }
    }

    fn numbers(removed: &Removed) -> Vec<u64> {
        removed.entries.iter().map(|entry| entry.layout.len).collect()
    }

    #[test]
    fn the_least_recently_used_entries_go_first() {
        let (place, mut index) = (Place::new(), Index::new(30, 2));
        let add = |index: &mut Index, number| place.insert(index, number).map(|(_, removed)| removed);
        for number in 1..=3 {
            assert_eq!(add(&mut index, number), Some(vec![]));
        }
        assert!(add(&mut index, 2).is_none(), "there is one");
        assert!(index.get(&EntryId::new("", "", "", 1)).is_some());
        assert_eq!(add(&mut index, 4), Some(vec![2]));
        let first = index.get(&EntryId::new("", "", "", 1)).unwrap();
        // An entry is not removed for its own blocks.
        assert_eq!(numbers(&index.grow(&first, 15).unwrap()), [3, 4]);
        assert_eq!(index.occupied(), 25);
        assert!(index.grow(&first, 6).is_none());
        index.shrink(&first, 15);
        assert_eq!(index.occupied(), 10);
        assert_eq!(numbers(&index.remove(&first)), [1]);
        assert!(index.grow(&first, 1).is_none(), "it was removed");
        assert_eq!(index.occupied(), 0);
    }

    #[test]
    fn an_entry_that_is_read_stays_and_counts() {
        let (place, mut index) = (Place::new(), Index::new(30, 10));
        let (read, _) = place.insert(&mut index, 1).unwrap();
        let (open, _) = place.insert(&mut index, 2).unwrap();
        assert!(index.stay_open(&read).is_none());
        assert!(index.stay_open(&open).is_none());
        drop(open);
        place.insert(&mut index, 3).unwrap();
        // Number 1 is older, but it is read. Number 2 is open for nobody.
        let (_, removed) = place.insert(&mut index, 4).unwrap();
        assert_eq!(removed, [2]);
        // A removed file occupies its space until it is closed.
        assert_eq!(numbers(&index.remove(&read.entry)), [1]);
        assert_eq!(index.occupied(), 30);
        let listener = Arc::clone(&read.data);
        drop(read);
        assert_eq!(index.occupied(), 30);
        drop(listener);
        assert_eq!(index.occupied(), 20);
    }

    #[test]
    fn the_last_use_is_written_once_a_minute() {
        let (place, mut index) = (Place::new(), Index::new(30, 10));
        let (entry, _) = place.insert(&mut index, 1).unwrap();
        let (id, now) = (entry.entry.name.id, Instant::now());
        for (seconds, is_due) in [(0, true), (1, false), (59, false), (60, true), (61, false)] {
            assert_eq!(index.is_mark_due(&id, now + Duration::from_secs(seconds)), is_due, "{seconds}");
        }
        assert!(!index.is_mark_due(&EntryId::new("", "", "", 9), now));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_size_is_a_limit(steps in prop::collection::vec((0_u8..6, 1_u64..12, 1_u64..40), 1..60)) {
            let (place, mut index) = (Place::new(), Index::new(100, 3));
            let mut readers: Vec<OpenEntry> = Vec::new();
            for (step, number, cost) in steps {
                let id = EntryId::new("", "", "", number);
                match step {
                    0 => readers.extend(place.insert(&mut index, number).map(|(open, _)| open)),
                    1 => drop(place.insert(&mut index, number)),
                    2 => if let Some(entry) = index.get(&id) { drop(index.grow(&entry, cost)) },
                    3 => drop(index.remove_id(&id)),
                    4 => drop(readers.pop()),
                    _ => if let Some(open) = index.get(&id).and_then(|entry| entry.open_now()) {
                        drop(index.stay_open(&open));
                    },
                }
                prop_assert!(index.occupied() <= 100, "{}", index.occupied());
                prop_assert!(index.open.len() <= 3);
                prop_assert_eq!(index.order.len(), index.entries.len());
                prop_assert_eq!(index.total, index.entries.values().map(|slot| slot.cost).sum::<u64>());
            }
            drop(readers);
            for slot in index.entries.values() {
                prop_assert!(!index.is_read(slot));
            }
        }
    }
}
