//! The files that all serve.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use crate::Result;

/// Names and lengths in bytes; all are the files of user 7.
pub(crate) const FILES: [(&str, u64); 5] = [
    ("1k.jpg", 1 << 10),
    ("10k.jpg", 10 << 10),
    ("100k.jpg", 100 << 10),
    ("1m.jpg", 1 << 20),
    ("1g.mp4", 1 << 30),
];

/// Makes them below a root. Their content does not matter, but that it is there: no holes.
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
