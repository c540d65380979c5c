//! Finds out which parts of a file are in the page cache, so that sendfile(2) does not block the event loop.
//!
//! The kernel has no cheap query for this: mincore(2) needs a mapping, and cachestat(2) counts pages that are still being read. A read with
//! `RWF_NOWAIT` returns only bytes that are in the page cache. It costs a copy, so its result (a proof) is cached for [`VALID`] ticks.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;

/// The part of a file that one entry of the table covers, in bytes.
const GRAIN: u64 = 64 << 10;
const GRAIN_LEN: usize = 64 << 10;
/// The maximum number of grains that one call reads.
const GRAINS_AT_ONCE: usize = 4;
/// The number of ticks for which a proof is valid: less than a second in total.
const VALID: u64 = 3;
/// The length of a tick, in milliseconds.
const TICK: u128 = 250;
/// The number of bits of an entry that hold the tick; the others hold the tag.
const TICK_BITS: u32 = 28;

/// The time at which each grain was last read from the page cache, for a gigabyte of files. All workers share the table. Two grains with
/// the same slot replace each other.
static PROOFS: [AtomicU64; 1 << 14] = [const { AtomicU64::new(0) }; 1 << 14];

thread_local! {
    /// The target of reads whose bytes are not needed.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Identifies an open file in the table of proofs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileKey {
    hash: u64,
    len: u64,
}

impl FileKey {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let stat = rustix::fs::fstat(file)?;
        // Inode numbers are reused. The time distinguishes the files.
        let changed = i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec);
        let hash = [stat.st_dev, stat.st_ino, u64::try_from(changed).unwrap_or(0)]
            .into_iter()
            .fold(0, |hash: u64, n| mix(hash.wrapping_add(n)));
        Ok(Self { hash, len: u64::try_from(stat.st_size).unwrap_or(0) })
    }

    fn proof(self, grain: u64) -> Proof {
        let hash = mix(self.hash.wrapping_add(grain));
        Proof {
            slot: PROOFS.get(usize::try_from(hash).unwrap_or(usize::MAX) % PROOFS.len()),
            tag: hash >> TICK_BITS << TICK_BITS,
        }
    }

    /// Returns the end of the grain that contains this position, or the end of the file.
    fn end_of_grain(self, at: u64) -> u64 {
        (at / GRAIN).saturating_add(1).saturating_mul(GRAIN).min(self.len.max(at))
    }
}

/// The finalizer of `SplitMix64`: each bit of the result depends on each bit of `n`.
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// The table entry of one grain.
struct Proof {
    slot: Option<&'static AtomicU64>,
    tag: u64,
}

impl Proof {
    fn is_valid(&self, now: u64) -> bool {
        let entry = self.slot.map_or(0, |slot| slot.load(Ordering::Relaxed));
        let age = now.wrapping_sub(entry) & MAX_TICK;
        entry & !MAX_TICK == self.tag && age <= VALID
    }

    fn renew(&self, now: u64) {
        if let Some(slot) = self.slot {
            slot.store(self.tag | now, Ordering::Relaxed);
        }
    }
}

const MAX_TICK: u64 = (1 << TICK_BITS) - 1;

/// Returns the present tick. It wraps around after two years.
fn now() -> u64 {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    // The initial value of an entry, zero, is never valid.
    let ticks = BEGIN.elapsed().as_millis() / TICK + u128::from(VALID) + 1;
    u64::try_from(ticks).unwrap_or(0) & MAX_TICK
}

/// Returns whether [`cached_len`] works for this file: not every file system supports `RWF_NOWAIT`.
#[cfg(target_os = "linux")]
pub(crate) fn can_tell(file: &File, key: FileKey, offset: u64) -> bool {
    use rustix::io::Errno;

    let is_proven = key.proof(offset / GRAIN).is_valid(now());
    is_proven
        || !matches!(read_now(file, &mut [0], offset), Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn can_tell(_: &File, _: FileKey, _: u64) -> bool {
    false
}

/// Returns how many of the next `len` bytes are in the page cache without a gap, by proofs of the last second. The result may be too small,
/// but is zero only if the first byte is not cached.
#[cfg(target_os = "linux")]
pub(crate) fn cached_len(file: &File, key: FileKey, offset: u64, len: usize) -> usize {
    let now = now();
    let end = offset.saturating_add(len as u64);
    let mut at = offset;
    while at < end && key.proof(at / GRAIN).is_valid(now) {
        at = at.max(key.end_of_grain(at));
        if at >= key.len {
            break;
        }
    }
    if at == offset {
        at = read_grains(file, key, offset, end, now);
    }
    usize::try_from(at.min(end) - offset).unwrap_or(0)
}

/// Reads grains from the page cache, renews their proofs, and returns the position of the first gap.
#[cfg(target_os = "linux")]
fn read_grains(file: &File, key: FileKey, offset: u64, end: u64, now: u64) -> u64 {
    let mut buffer = SCRATCH.take();
    buffer.resize(GRAIN_LEN, 0);
    let mut at = offset;
    for _ in 0..GRAINS_AT_ONCE {
        let end_of_grain = key.end_of_grain(at);
        let wanted = usize::try_from(end_of_grain - at).unwrap_or(0);
        let read = read_now(file, buffer.get_mut(..wanted).unwrap_or_default(), at).unwrap_or(0);
        if read == wanted && at.is_multiple_of(GRAIN) {
            key.proof(at / GRAIN).renew(now);
        }
        at = at.saturating_add(read as u64);
        if read < wanted || at >= end.min(key.len) {
            break;
        }
    }
    SCRATCH.set(buffer);
    at
}

/// Reads bytes that are in the page cache. Some kernels (5.9 and 5.10) report "end of file" instead of "not cached".
#[cfg(target_os = "linux")]
fn read_now(file: &File, buffer: &mut [u8], at: u64) -> rustix::io::Result<usize> {
    use rustix::io::{ReadWriteFlags, preadv2};

    preadv2(file, &mut [io::IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT)
}

/// Reads between one and `len` bytes without waiting for the disk; `None` if the first one is not in the page cache.
#[cfg(target_os = "linux")]
pub(crate) fn read_cached(file: &File, offset: u64, len: usize) -> Option<Bytes> {
    let mut buffer = vec![0; len];
    let count = read_now(file, &mut buffer, offset).ok().filter(|count| *count > 0)?;
    buffer.truncate(count);
    Some(buffer.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn read_cached(_: &File, _: u64, _: usize) -> Option<Bytes> {
    None
}

/// Reads bytes into a buffer without waiting for the disk, and returns how many. None means that the first one is not in the page cache.
#[cfg(all(target_os = "linux", feature = "tls"))]
pub(crate) fn read_cached_into(file: &File, offset: u64, buffer: &mut [u8]) -> usize {
    read_now(file, buffer, offset).unwrap_or(0)
}

#[cfg(all(not(target_os = "linux"), feature = "tls"))]
pub(crate) fn read_cached_into(_: &File, _: u64, _: &mut [u8]) -> usize {
    0
}

/// Reads at most `len` bytes, and may wait for the disk. The result is empty if the file ends at `offset`.
pub(crate) fn read(file: &File, offset: u64, len: usize) -> io::Result<Bytes> {
    use std::os::unix::fs::FileExt;

    let mut buffer = vec![0; len];
    let count = file.read_at(&mut buffer, offset)?;
    buffer.truncate(count);
    Ok(buffer.into())
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn cached_len(_: &File, _: FileKey, _: u64, _: usize) -> usize {
    0
}

/// Reads a part of a file into the page cache, and may wait for the disk. Returns the number of bytes.
pub(crate) fn read_in(file: &File, key: FileKey, offset: u64, len: usize) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;

    let mut buffer = vec![0; GRAIN_LEN.min(len)];
    let end = offset.saturating_add(len as u64);
    // The start of a grain that has been read completely so far, and the time before it was read.
    let (mut at, mut whole_from) = (offset, offset.is_multiple_of(GRAIN).then_some((offset, now())));
    while at < end {
        let next = key.end_of_grain(at);
        let wanted = usize::try_from(next.min(end) - at).unwrap_or(0).min(buffer.len());
        let read = file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), at)?;
        if read == 0 {
            break;
        }
        at = at.saturating_add(read as u64);
        if at == next {
            if let Some((begin, since)) = whole_from {
                key.proof(begin / GRAIN).renew(since);
            }
            whole_from = Some((at, now()));
        }
    }
    Ok(usize::try_from(at - offset).unwrap_or(0))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
pub(crate) mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::FileExt;
    use std::process::Command;

    use rustix::fs::{Advice, fadvise};

    use super::*;

    /// Creates a file with only the pages at these positions in the page cache. It is on the disk of the build, because `/tmp` may be in
    /// memory.
    pub(crate) fn cold_file(len: usize, warm: impl Iterator<Item = u64>) -> File {
        let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let mut file = tempfile::tempfile_in(folder).unwrap();
        file.write_all(&vec![b'x'; len]).unwrap();
        file.sync_all().unwrap();
        evict(&file);
        // Disables readahead.
        fadvise(&file, 0, None, Advice::Random).unwrap();
        for at in warm {
            file.read_exact_at(&mut [0], at).unwrap();
        }
        file
    }

    /// Evicts a file from the page cache. The kernel keeps pages that are in use, so this is repeated until none is left. fincore(1) checks
    /// with a mapping, because a read would load the missing pages.
    fn evict(file: &File) {
        let name = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
        for _ in 0..500 {
            fadvise(file, 0, None, Advice::DontNeed).unwrap();
            let fincore = Command::new("fincore").args(["--noheadings", "--output", "PAGES", &name]).output();
            let Ok(fincore) = fincore else {
                // Without fincore, one attempt has to do.
                assert!(std::env::var_os("PRIVATE_MEDIA_TEST_ALL").is_none(), "this machine has no fincore");
                return;
            };
            if String::from_utf8(fincore.stdout).unwrap().trim() == "0" {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{name} stays in the page cache");
    }

    fn cached(file: &File, offset: u64, len: usize) -> usize {
        cached_len(file, FileKey::of(file).unwrap(), offset, len)
    }

    #[test]
    fn a_cached_page_proves_nothing_about_the_pages_after_it() {
        let step = 64 << 10;
        let file = cold_file(2 << 20, (0..2 << 20).step_by(step));
        let first = cached(&file, 0, 1 << 20);
        assert!((1..step).contains(&first), "{first}");
        // The first proof does not extend the second one.
        assert!(cached(&file, 0, 1 << 20) < 2 * step);
    }

    #[test]
    fn parts_that_were_read_in_are_cached() {
        // The files stay open, because a new file could get the inode of a closed one.
        let mut files = Vec::new();
        for (len, offset, wanted) in [
            (1, 0, 1),
            (100, 10, 50),
            (GRAIN_LEN, 0, GRAIN_LEN),
            (3 * GRAIN_LEN + 5, 0, 3 * GRAIN_LEN + 5),
            (3 * GRAIN_LEN + 5, 7, 3 * GRAIN_LEN - 100),
            (3 << 20, GRAIN_LEN - 1, 1 << 20),
            (3 << 20, 2 << 20, 1 << 20),
        ] {
            let file = cold_file(len, std::iter::empty());
            let offset = offset as u64;
            assert_eq!(cached(&file, offset, wanted), 0);
            assert_eq!(read_in(&file, FileKey::of(&file).unwrap(), offset, wanted).unwrap(), wanted);
            let mut at = 0;
            while at < wanted {
                let next = cached(&file, offset + at as u64, wanted - at);
                assert!(next > 0 && next <= wanted - at, "{len} {offset} {at}: {next}");
                at += next;
            }
            files.push(file);
        }
    }

    #[test]
    fn a_proof_is_valid_for_less_than_a_second() {
        let file = cold_file(GRAIN_LEN, std::iter::empty());
        let key = FileKey::of(&file).unwrap();
        read_in(&file, key, 0, GRAIN_LEN).unwrap();
        evict(&file);
        assert_eq!(cached(&file, 0, GRAIN_LEN), GRAIN_LEN);
        assert_eq!(cached(&file, 10_000, 1000), 1000);
        std::thread::sleep(std::time::Duration::from_secs(1));
        assert_eq!(cached(&file, 0, GRAIN_LEN), 0);
    }

    #[test]
    fn nothing_is_cached_after_the_end_of_a_file_that_shrank() {
        let file = cold_file(GRAIN_LEN, std::iter::empty());
        let key = FileKey::of(&file).unwrap();
        file.set_len(10).unwrap();
        assert_eq!(read_in(&file, key, 10, 1000).unwrap(), 0);
        assert_eq!(cached_len(&file, key, 10, 1000), 0);
        assert_eq!(cached(&file, 10, 1000), 0);
        assert_eq!(cached(&file, u64::MAX - 5, 1000), 0);
    }

    #[test]
    fn files_and_grains_have_separate_entries() {
        let key = |hash| FileKey { hash: mix(hash), len: 1 << 40 };
        let now = now();
        key(1).proof(5).renew(now);
        assert!(key(1).proof(5).is_valid(now) && key(1).proof(5).is_valid(now + VALID));
        assert!(!key(1).proof(5).is_valid(now + VALID + 1));
        // Nor before it was made: ticks wrap around after two years.
        assert!(!key(1).proof(5).is_valid(now - 1));
        for n in 0..100_000 {
            assert!(!key(1).proof(6 + n).is_valid(now) && !key(2 + n).proof(5).is_valid(now));
        }
    }
}
