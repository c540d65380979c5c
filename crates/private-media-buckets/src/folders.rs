//! What a sole writer knows about the folders.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use private_media::MediaPath;
use tokio::sync::OnceCell;

/// How many folders are remembered.
const REMEMBERED: usize = 10_000;

/// What a sole writer knows about the folders.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    /// Whether nothing was below the prefix before the first save.
    pub(crate) was_empty: OnceCell<bool>,
    /// Folders whose names are not those of files.
    checked: Mutex<HashSet<MediaPath>>,
}

impl Folders {
    pub(crate) fn knows(&self, folder: &MediaPath) -> bool {
        self.lock().contains(folder)
    }

    pub(crate) fn remember(&self, folder: MediaPath) {
        let mut checked = self.lock();
        // Files come folder by folder, so the older folders are rarely needed again.
        if checked.len() >= REMEMBERED {
            checked.clear();
        }
        checked.insert(folder);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<MediaPath>> {
        // No panic leaves the set inconsistent, so a poisoned lock is usable.
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
