//! Stores standard input under a private root, and prints the path that it got.
//!
//! ```sh
//! cargo run --example save -- private cars/7/photo.jpg < photo.jpg
//! ```

use std::error::Error;
use std::io::{self, Read, stdin};

use bytes::Bytes;
use private_media::storage::{LocalOptions, SaveOptions, Storage};
use private_media::{LocalStorage, MediaPath};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(root), Some(name)) = (arguments.next(), arguments.next()) else {
        return Err("usage: save ROOT NAME [--named-draft] < FILE".into());
    };
    let mut options = LocalOptions::default();
    options.named_drafts = arguments.next().as_deref() == Some("--named-draft");
    let storage = LocalStorage::open_root_with(root, options)?;
    let content = futures_util::stream::iter(std::iter::from_fn(next_piece));
    let path = storage.save(&MediaPath::new(&name)?, Box::pin(content), &SaveOptions::default()).await?;
    println!("{path}");
    Ok(())
}

fn next_piece() -> Option<io::Result<Bytes>> {
    let mut piece = vec![0; 64 << 10];
    match stdin().lock().read(&mut piece) {
        Ok(0) => None,
        Ok(len) => Some(Ok(Bytes::from(piece).slice(..len))),
        Err(error) => Some(Err(error)),
    }
}
