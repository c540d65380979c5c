//! Options for writing files.

/// Options for writing files and folders.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent setting")]
pub(super) struct WriteOptions {
    pub(super) file_mode: u32,
    pub(super) dir_mode: u32,
    pub(super) exact_file_mode: bool,
    pub(super) exact_dir_mode: bool,
    pub(super) named_temporaries: bool,
    pub(super) durable: bool,
    pub(super) share_group: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            file_mode: 0o640,
            dir_mode: 0o750,
            exact_file_mode: false,
            exact_dir_mode: false,
            named_temporaries: false,
            durable: true,
            share_group: false,
        }
    }
}
