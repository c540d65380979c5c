//! Twelve seconds of the roadster on the road, from dawn into the night.

use std::error::Error;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::car;
use super::paint::{Canvas, DAYLIGHT, Ink, mix};
use super::scene::{cloud, cypress, grass, ridge, road, stars};

const WIDTH: u16 = 960;
const HEIGHT: u16 = 540;
const RATE: u16 = 24;
const FRAMES: u16 = 12 * RATE;
/// The drawing is 1200 units wide, as the photos are.
const SCALE: f32 = 0.8;

/// An hour of the day: when it is, the sky from top to horizon, the light.
type Hour = (f32, [&'static str; 3], [f32; 3]);

const HOURS: [Hour; 6] = [
    (0.0, ["#3a3f86", "#d9789a", "#ffd0a0"], [0.86, 0.74, 0.78]),
    (0.16, ["#3f93dc", "#a5d8f2", "#fff0d0"], [1.0, 0.97, 0.92]),
    (0.5, ["#2b86d8", "#8accf2", "#e4f5f6"], [1.0, 1.0, 1.0]),
    (0.7, ["#4a62b4", "#f0a878", "#ffdc98"], [1.0, 0.86, 0.74]),
    (0.84, ["#2c1f60", "#b5427c", "#ff9a5c"], [0.72, 0.52, 0.6]),
    (1.0, ["#070a26", "#161a4c", "#3a2f70"], [0.34, 0.36, 0.58]),
];

/// Films the drive into `path`; Debian's ffmpeg does the encoding.
pub(crate) fn film(path: &Path) -> Result<(), Box<dyn Error>> {
    let size = format!("{WIDTH}x{HEIGHT}");
    let rate = RATE.to_string();
    // One thread and no version notes: the same bytes wherever this runs.
    let mut ffmpeg = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-y", "-f", "rawvideo"])
        .args(["-pix_fmt", "rgba", "-s", &size, "-r", &rate, "-i", "-"])
        .args(["-c:v", "libx264", "-preset", "medium", "-crf", "24"])
        .args(["-pix_fmt", "yuv420p", "-g", &rate, "-threads", "1", "-an"])
        .args(["-fflags", "+bitexact", "-flags:v", "+bitexact"])
        .args(["-map_metadata", "-1", "-movflags", "+faststart"])
        .args(["-f", "mp4"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => {
                "ffmpeg is not on the PATH; install it with `apt-get install ffmpeg`".into()
            }
            _ => format!("ffmpeg does not start: {error}"),
        })?;
    let fed = ffmpeg.stdin.take().map_or(Ok(()), |mut pipe| feed(&mut pipe));
    // Its own verdict first: a broken pipe is only the consequence.
    let status = ffmpeg.wait()?;
    if !status.success() {
        return Err(format!("ffmpeg could not encode {}: {status}", path.display()).into());
    }
    fed
}

fn feed(pipe: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let mut canvas = Canvas::new(WIDTH, HEIGHT, SCALE)?;
    for frame in 0..FRAMES {
        draw(&mut canvas, frame);
        pipe.write_all(canvas.pixels())?;
    }
    Ok(())
}

/// Sky and light at `time`, between the two hours around it.
fn hour(time: f32) -> ([String; 3], [f32; 3]) {
    let mut pairs = HOURS.iter().zip(HOURS.iter().skip(1));
    let around = pairs.find(|(_, next)| time <= next.0);
    let Some(((from, sky, light), (to, next_sky, next_light))) = around else {
        return (Default::default(), DAYLIGHT);
    };
    let part = (time - from) / (to - from);
    let [top, middle, low] = *sky;
    let [next_top, next_middle, next_low] = *next_sky;
    let mut mixed = *light;
    for (now, goal) in mixed.iter_mut().zip(next_light) {
        *now += (goal - *now) * part;
    }
    let sky = [mix(top, next_top, part), mix(middle, next_middle, part), mix(low, next_low, part)];
    (sky, mixed)
}

fn draw(c: &mut Canvas, frame: u16) {
    let seconds = f32::from(frame) / f32::from(RATE);
    let time = f32::from(frame) / f32::from(FRAMES - 1);
    let way = seconds * 520.0;
    let ([top, middle, low], light) = hour(time);
    c.light = DAYLIGHT;
    let sky = format!("{top} {middle}@0.6 {low}");
    c.fill("R 0 0 1200 680", Ink::Down(0.0, 430.0, &sky));
    let night = ((time - 0.8) * 5.0).clamp(0.0, 1.0);
    stars(c, 330.0, &mix("#ffffff00", "#ffffffe0", night));
    sun(c, time);
    c.light = light;
    for (x, y, size) in [(200.0, 120.0, 0.9), (640.0, 170.0, 0.6), (1000.0, 90.0, 1.1), (1350.0, 190.0, 0.7)]
    {
        let drift = (x - way * 0.04_f32 + 200.0).rem_euclid(1500.0) - 200.0;
        cloud(c, drift, y, size, Ink::Down(-60.0, 22.0, "#ffffffcc #ffffffaa #ffffff44"));
    }
    let haze = |near: &str, t: f32| {
        let far = mix(near, &low, t);
        format!("{} {far}", mix(near, &low, t * 0.6))
    };
    let hills = [
        (0.03, (430.0, 150.0, 150.0), haze("#7f9cc4", 0.55)),
        (0.08, (460.0, 110.0, 190.0), haze("#6a9c92", 0.35)),
        (0.18, (490.0, 90.0, 230.0), haze("#5f9a5a", 0.2)),
    ];
    for (speed, form, stops) in &hills {
        ridge(c, way * speed, *form, Ink::Down(form.0 - form.1, form.0 + 60.0, stops));
    }
    for tree in 0..12_u8 {
        let place = f32::from(tree) * 130.0 + (f32::from(tree) * 2.4).sin() * 50.0;
        let x = (place - way * 0.3_f32).rem_euclid(1560.0) - 120.0;
        let size = 0.75 + (f32::from(tree) * 1.7).sin() * 0.25;
        cypress(c, x, 502.0, size, Ink::Across(-16.0, 16.0, "#2c5a3c #3f7a48 #1d4030"));
    }
    ridge(c, way * 0.3, (540.0, 60.0, 300.0), Ink::Down(480.0, 560.0, "#8fbf5c #5f9a48"));
    for post in 0..9_u8 {
        let x = (f32::from(post) * 160.0 - way * 0.8_f32).rem_euclid(1440.0) - 120.0;
        c.fill(&format!("R {x} 500 9 46"), "#e8dcc4");
    }
    c.fill("R 0 508 1200 7 R 0 524 1200 6", Ink::Down(508.0, 530.0, "#fff4dc #c9b898"));
    road(c, 540.0, 655.0, way, ["#7c8290", "#4a4f5c"]);
    let bounce = (seconds * 11.0).sin() * 1.2;
    c.at(560.0, 622.0 + bounce, 0.95, 0.95, |c| {
        // Well below half the angle between two spokes a frame, or the wheels seem to run backwards.
        car::roadster(c, f32::from(frame) * 13.0, true);
    });
    grass(c, 648.0, way * 1.4, ["#5f9a48", "#47803c", "#2f6030"]);
    c.light = DAYLIGHT;
    let lamps = ((time - 0.72) * 8.0).clamp(0.0, 1.0);
    if lamps > 0.0 {
        let beam = format!("{} #fff2b000", mix("#fff2b000", "#fff2b088", lamps));
        c.fill("M 838 512 L 1240 500 L 1240 650 L 838 534 Z", Ink::Across(838.0, 1200.0, &beam));
        c.glow(836.0, 522.0 + bounce, 80.0, &mix("#fff6d000", "#fff6d0ee", lamps));
        c.glow(276.0, 516.0 + bounce, 50.0, &mix("#ff2a3a00", "#ff2a3acc", lamps));
    }
}

/// The sun's way over the sky is also the film's progress bar.
fn sun(c: &mut Canvas, time: f32) {
    let arc = |t: f32| {
        let angle = std::f32::consts::PI * t;
        (600.0 - 530.0 * angle.cos(), 440.0 - 370.0 * angle.sin())
    };
    for dot in 0..=60_u8 {
        let (x, y) = arc(f32::from(dot) / 60.0);
        let past = f32::from(dot) / 60.0 <= time;
        let (r, colour) = if past { (3.6, "#fff6d0e0") } else { (2.2, "#ffffff70") };
        c.fill(&format!("O {x} {y} {r} {r}"), colour);
    }
    let (x, y) = arc(time);
    let late = ((time - 0.55) * 3.0).clamp(0.0, 1.0);
    c.glow(x, y, 200.0, &mix("#fff6c8bb", "#ffb060bb", late));
    c.fill(&format!("O {x} {y} 40 40"), &mix("#fffbe4", "#ff9a50", late));
}
