//! Folds the ranges of one playback into a view.
//!
//! The first range of a view is recorded at once. The sum of the others follows after each window, so a crash loses no view, only the bytes
//! of its last ranges.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::entry::Entry;

/// The most views at a time. Beyond it, all sums are written early.
const MAX_VIEWS: usize = 10_000;
/// What the part of a body that differs between the ranges of a view begins with: the id of the request.
pub(super) const ID_FIELD: &str = ",\"request\":\"";

/// The views that are open: those with a range in the last window.
#[derive(Debug)]
pub(super) struct Views {
    window: Duration,
    /// By the part of the records that is the same for all ranges.
    open: HashMap<Box<[u8]>, View>,
    /// When the first window ends. Not later than that of any view.
    next_end: Option<Instant>,
}

/// The ranges of one user, path, client and decision.
#[derive(Debug)]
struct View {
    /// The request id of the first range.
    id: Box<[u8]>,
    window_end: Instant,
    /// The ranges since the last record.
    ranges: u64,
    bytes: u64,
    first: u64,
    last: u64,
}

impl Views {
    /// Creates views with windows of this length. With zero, nothing is folded.
    pub(super) fn new(window: Duration) -> Self {
        Self { window, open: HashMap::new(), next_end: None }
    }

    /// Adds an entry to its view, or appends it to `entries`.
    pub(super) fn add(&mut self, entry: &Entry<'_>, now: Instant, entries: &mut Vec<u8>) {
        let plain = |entries: &mut Vec<u8>| Entry { key_length: 0, ..*entry }.append_to(entries);
        let split = entry.body.split_at_checked(entry.key_length);
        let Some((key, rest)) = split.filter(|(key, _)| !key.is_empty() && !self.window.is_zero()) else {
            return plain(entries);
        };
        if let Some(view) = self.open.get_mut(key) {
            if view.ranges == 0 {
                view.first = entry.time;
            }
            view.ranges += 1;
            view.bytes = view.bytes.saturating_add(entry.bytes);
            view.last = entry.time;
            return;
        }
        plain(entries);
        if self.open.len() >= MAX_VIEWS {
            self.end_all(entries);
        }
        let id =
            rest.strip_prefix(ID_FIELD.as_bytes()).and_then(|rest| rest.split(|byte| *byte == b'"').next());
        let window_end = now + self.window;
        let id = id.unwrap_or_default().into();
        self.open.insert(key.into(), View { id, window_end, ranges: 0, bytes: 0, first: 0, last: 0 });
        self.next_end = Some(self.next_end.map_or(window_end, |end| end.min(window_end)));
    }

    /// Appends the sums of the windows that have ended. A view without a range in its window ends.
    pub(super) fn end_windows(&mut self, now: Instant, entries: &mut Vec<u8>) {
        if self.next_end.is_none_or(|end| now < end) {
            return;
        }
        self.next_end = None;
        self.open.retain(|key, view| {
            if view.window_end <= now {
                if view.ranges == 0 {
                    return false;
                }
                view.append_sum(key, entries);
                view.window_end = now + self.window;
            }
            self.next_end = Some(self.next_end.map_or(view.window_end, |end| end.min(view.window_end)));
            true
        });
    }

    /// Appends the sums of all views, and ends them.
    pub(super) fn end_all(&mut self, entries: &mut Vec<u8>) {
        for (key, mut view) in self.open.drain() {
            if view.ranges > 0 {
                view.append_sum(&key, entries);
            }
        }
        self.next_end = None;
    }

    /// Returns when the next window ends.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.next_end
    }
}

impl View {
    fn append_sum(&mut self, key: &[u8], entries: &mut Vec<u8>) {
        let Self { ranges, bytes, first, last, .. } = *self;
        let numbers = format!(
            "\",\"ranges\":{ranges},\"bytes\":{bytes},\"milliseconds\":{}",
            // The clock may have been set back.
            last.saturating_sub(first)
        );
        let body = [key, b",\"view\":\"", &self.id, numbers.as_bytes()].concat();
        Entry { time: last, bytes, key_length: 0, body: &body }.append_to(entries);
        (self.ranges, self.bytes) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::entry::entries;

    const WINDOW: Duration = Duration::from_secs(60);

    fn add(views: &mut Views, key: &str, id: &str, bytes: u64, now: Instant, to: &mut Vec<u8>) {
        let body = format!("{key}{ID_FIELD}{id}\",\"bytes\":{bytes}");
        Entry { time: 5, bytes, key_length: key.len(), body: body.as_bytes() }.append_to(&mut vec![]);
        views.add(&Entry { time: 5, bytes, key_length: key.len(), body: body.as_bytes() }, now, to);
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        entries(bytes).map(|entry| String::from_utf8(entry.body.to_vec()).unwrap()).collect()
    }

    #[test]
    fn the_first_range_is_recorded_at_once_and_the_others_as_sums() {
        let (mut views, start, mut out) = (Views::new(WINDOW), Instant::now(), vec![]);
        for number in 0..10 {
            add(&mut views, "\"path\":\"a\"", &format!("id{number}"), 100 + number, start, &mut out);
        }
        add(&mut views, "\"path\":\"b\"", "other", 7, start, &mut out);
        assert_eq!(
            texts(&out),
            [r#""path":"a","request":"id0","bytes":100"#, r#""path":"b","request":"other","bytes":7"#]
        );
        out.clear();
        views.end_windows(start + WINDOW / 2, &mut out);
        assert!(out.is_empty());
        views.end_windows(start + WINDOW, &mut out);
        let sum = r#""path":"a","view":"id0","ranges":9,"bytes":945,"milliseconds":0"#;
        assert_eq!(texts(&out), [sum]);
        assert_eq!(views.open.len(), 1, "the other view has ended");
        // The view goes on.
        add(&mut views, "\"path\":\"a\"", "id10", 1, start + WINDOW, &mut out);
        out.clear();
        views.end_windows(start + 2 * WINDOW, &mut out);
        assert_eq!(texts(&out), [r#""path":"a","view":"id0","ranges":1,"bytes":1,"milliseconds":0"#]);
        views.end_windows(start + 3 * WINDOW, &mut out);
        assert_eq!((views.open.len(), views.next_end()), (0, None));
    }

    #[test]
    fn without_a_window_nothing_is_folded() {
        let (mut views, mut out) = (Views::new(Duration::ZERO), vec![]);
        for _ in 0..3 {
            add(&mut views, "\"path\":\"a\"", "id", 1, Instant::now(), &mut out);
        }
        assert_eq!(texts(&out).len(), 3);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut views, mut out) = (Views::new(WINDOW), vec![]);
        for number in 0..3 * MAX_VIEWS {
            add(&mut views, &format!("\"path\":\"{number}\""), "id", 1, Instant::now(), &mut out);
            assert!(views.open.len() <= MAX_VIEWS);
        }
    }

    proptest! {
        /// Whatever is folded and whenever windows end, no byte and no range is lost or counted twice.
        #[test]
        fn sums_are_complete(steps in prop::collection::vec((0..4_u8, 0..1000_u64, 0..90_u64), 0..60)) {
            let (mut views, mut now, mut out) = (Views::new(WINDOW), Instant::now(), vec![]);
            let mut expected = 0;
            for (path, bytes, seconds) in &steps {
                now += Duration::from_secs(*seconds);
                views.end_windows(now, &mut out);
                add(&mut views, &format!("\"path\":\"{path}\""), "id", *bytes, now, &mut out);
                expected += bytes;
            }
            views.end_all(&mut out);
            prop_assert_eq!(entries(&out).map(|entry| entry.bytes).sum::<u64>(), expected);
            let ranges = texts(&out).iter().map(|text| {
                text.split("\"ranges\":").nth(1).map_or(1, |rest| rest.split(',').next().unwrap().parse::<usize>().unwrap())
            }).sum::<usize>();
            prop_assert_eq!(ranges, steps.len());
        }
    }
}
