//! The demo garage's pictures: five photos and one short video, drawn here so
//! that the site has something worth looking at without any foreign asset.

use std::path::Path;

use jpeg_encoder::{ColorType, Encoder};

mod car;
mod paint;
mod scene;
mod video;

use paint::Canvas;

const WIDTH: u16 = 1200;
const HEIGHT: u16 = 800;
/// As fine as the 150 KiB a photo may take allow.
const QUALITY: u8 = 88;

/// Draws every picture into `out`, replacing those of an earlier run.
///
/// # Errors
/// When a file cannot be written, or `ffmpeg` is missing or refuses its work.
pub(crate) fn run(out: &Path) -> Result<(), Box<dyn std::error::Error>> {
    std::fs::create_dir_all(out)?;
    photo(&out.join("roadster.jpg"), scene::sunset)?;
    photo(&out.join("hatchback.jpg"), scene::seaside)?;
    photo(&out.join("camper-van.jpg"), scene::mountains)?;
    photo(&out.join("coupe.jpg"), scene::city)?;
    photo(&out.join("pickup.jpg"), scene::desert)?;
    video::film(&out.join("first-drive.mp4"))
}

fn photo(path: &Path, draw: fn(&mut Canvas)) -> Result<(), Box<dyn std::error::Error>> {
    let mut canvas = Canvas::new(WIDTH, HEIGHT, 1.0)?;
    draw(&mut canvas);
    scene::vignette(&mut canvas);
    let mut encoder = Encoder::new_file(path, QUALITY)?;
    encoder.set_progressive(true);
    encoder.set_optimized_huffman_tables(true);
    Ok(encoder.encode(canvas.pixels(), WIDTH, HEIGHT, ColorType::Rgba)?)
}
