//! The files that every peer serves.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use crate::result::Result;

/// Names and lengths in bytes. All files belong to user 7.
pub(crate) const FILES: [(&str, u64); 6] = [
    ("1k.jpg", 1 << 10),
    ("10k.jpg", 10 << 10),
    ("100k.jpg", 100 << 10),
    ("1m.jpg", 1 << 20),
    ("10m.mp4", 10 << 20),
    ("1g.mp4", 1 << 30),
];

/// How many files [`make_many`] creates, of 1 KiB each.
pub(crate) const MANY: u32 = 100_000;
const FILES_PER_FOLDER: u32 = 1000;

/// Returns the name of one of many files, below the folder of user 7.
pub(crate) fn name_of(number: u32) -> String {
    format!("{}/{}.jpg", number / FILES_PER_FOLDER, number % FILES_PER_FOLDER)
}

/// Creates many files of 1 KiB.
pub(crate) fn make_many(root: &Path, numbers: Range<u32>) -> Result<()> {
    let folder = root.join("cars/7");
    for number in numbers.clone() {
        let path = folder.join(name_of(number));
        if number % FILES_PER_FOLDER == 0 || number == numbers.start {
            std::fs::create_dir_all(path.parent().unwrap_or(root))?;
        }
        std::fs::write(path, [7; 1024])?;
    }
    // Writing back to the disk must not overlap with a measurement.
    rustix::fs::sync();
    Ok(())
}

/// Creates the files below a root. Their content has no holes.
pub(crate) fn make(root: &Path) -> Result<()> {
    let folder = root.join("cars/7");
    std::fs::create_dir_all(&folder)?;
    let piece: Vec<u8> =
        (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect();
    for (name, len) in FILES {
        let mut file = File::create(folder.join(name))?;
        let mut left = len;
        while left > 0 {
            let now = left.min(piece.len() as u64);
            file.write_all(piece.get(..usize::try_from(now)?).unwrap_or(&piece))?;
            left -= now;
        }
    }
    Ok(())
}
