//! Saves the standard input as a file, and prints its path:
//!
//! ```text
//! cargo run --example save -- ROOT cars/7/photo.jpg < photo.jpg
//! ```
//!
//! `--named-temporary` uses a named temporary file, as on file systems without unnamed ones. `--blocking` saves on the main thread.
//! `--not-durable` does not call fsync(2). The tests kill this program at any time and check the remaining files.

use std::error::Error;
use std::io::Read as _;
use std::path::Path;

use bytes::Bytes;
use futures_util::stream;
use private_media::storage::{LocalStorage, SaveOptions, Storage as _};
use private_media::{MediaPath, Permit};

fn main() -> Result<(), Box<dyn Error>> {
    // A single blocking thread, because the tests let strace fail the nth call of a thread.
    tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build()?.block_on(save())
}

async fn save() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, name, options @ ..] = &*arguments else {
        return Err("usage: save ROOT NAME [--named-temporary] [--blocking] [--not-durable]".into());
    };
    let mut storage = LocalStorage::open_root(Path::new(root))?;
    let mut is_blocking = false;
    for option in options {
        match option.as_str() {
            "--named-temporary" => storage = storage.named_temporaries(),
            "--not-durable" => storage = storage.durable(false),
            "--blocking" => is_blocking = true,
            other => return Err(format!("unknown option {other}").into()),
        }
    }

    let permit = Permit::trusted(MediaPath::new(name)?);
    let options = SaveOptions::default();
    let used = if is_blocking {
        storage.save_blocking(&permit, standard_input(), &options)?
    } else {
        storage.save(&permit, Box::pin(stream::iter(standard_input())), &options).await?
    };
    println!("{used}");
    Ok(())
}

/// Returns the standard input in pieces.
fn standard_input() -> impl Iterator<Item = std::io::Result<Bytes>> {
    std::iter::from_fn(|| {
        let mut piece = vec![0; 64 << 10];
        let result = std::io::stdin().lock().read(&mut piece);
        result
            .map(|len| (len > 0).then(|| Bytes::copy_from_slice(piece.get(..len).unwrap_or_default())))
            .transpose()
    })
}
