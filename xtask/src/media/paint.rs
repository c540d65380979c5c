//! A thin canvas over tiny-skia: shapes are written as SVG paths and colours as
//! `#rrggbb[aa]`, which keeps a drawing readable as data.

use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LinearGradient, Mask, Paint, Path, PathBuilder, Pixmap,
    PixmapPaint, Point, RadialGradient, Rect, Shader, SpreadMode, Stroke, Transform,
};

pub(crate) struct Canvas {
    map: Pixmap,
    view: Transform,
    mask: Option<Mask>,
    /// What every colour is multiplied by: the light of the hour.
    pub(crate) light: [f32; 3],
}

pub(crate) const DAYLIGHT: [f32; 3] = [1.0, 1.0, 1.0];

/// What a shape is filled with. Stops are words, `#rrggbb[aa][@place]`.
#[derive(Clone, Copy)]
pub(crate) enum Ink<'a> {
    Flat(&'a str),
    Down(f32, f32, &'a str),
    Across(f32, f32, &'a str),
    Round(f32, f32, f32, &'a str),
}

impl<'a> From<&'a str> for Ink<'a> {
    fn from(colour: &'a str) -> Self {
        Ink::Flat(colour)
    }
}

impl<'a> From<&'a String> for Ink<'a> {
    fn from(colour: &'a String) -> Self {
        Ink::Flat(colour)
    }
}

impl Canvas {
    pub(crate) fn new(width: u16, height: u16, scale: f32) -> Result<Self, &'static str> {
        Ok(Self {
            map: Pixmap::new(width.into(), height.into()).ok_or("an empty picture")?,
            view: Transform::from_scale(scale, scale),
            mask: None,
            light: DAYLIGHT,
        })
    }

    /// RGBA, row by row.
    pub(crate) fn pixels(&self) -> &[u8] {
        self.map.data()
    }

    pub(crate) fn fill<'a>(&mut self, shape: &str, ink: impl Into<Ink<'a>>) {
        if let (Some(path), Some(paint)) = (path(shape), self.paint(ink.into())) {
            let (view, mask) = (self.view, self.mask.as_ref());
            self.map.fill_path(&path, &paint, FillRule::Winding, view, mask);
        }
    }

    pub(crate) fn stroke<'a>(&mut self, shape: &str, width: f32, ink: impl Into<Ink<'a>>) {
        let pen = Stroke { width, line_cap: LineCap::Round, ..Stroke::default() };
        if let (Some(path), Some(paint)) = (path(shape), self.paint(ink.into())) {
            let (view, mask) = (self.view, self.mask.as_ref());
            self.map.stroke_path(&path, &paint, &pen, view, mask);
        }
    }

    /// A soft round light (or shadow) that fades to nothing at radius `r`.
    pub(crate) fn glow(&mut self, x: f32, y: f32, r: f32, colour: &str) {
        let rgb = colour.get(..7).unwrap_or(colour);
        let alpha = f32::from(rgba(colour).3);
        let [half, tenth] = [0.42, 0.12].map(|part| format!("{rgb}{:02x}", byte(alpha * part)));
        let stops = format!("{colour} {half}@0.35 {tenth}@0.68 {rgb}00");
        self.fill(&format!("O {x} {y} {r} {r}"), Ink::Round(x, y, r, &stops));
    }

    /// Draws with the origin moved to (x, y) and the axes scaled.
    pub(crate) fn at(&mut self, x: f32, y: f32, sx: f32, sy: f32, draw: impl FnOnce(&mut Self)) {
        let view = self.view;
        self.view = view.pre_translate(x, y).pre_scale(sx, sy);
        draw(self);
        self.view = view;
    }

    pub(crate) fn turned(&mut self, degrees: f32, draw: impl FnOnce(&mut Self)) {
        let view = self.view;
        self.rotate(degrees);
        draw(self);
        self.view = view;
    }

    /// Turns what is yet to be drawn in the same `at` or `turned`.
    pub(crate) fn rotate(&mut self, degrees: f32) {
        self.view = self.view.pre_concat(Transform::from_rotate(degrees));
    }

    /// Draws only inside `shape`; not to be nested.
    pub(crate) fn within(&mut self, shape: &str, draw: impl FnOnce(&mut Self)) {
        let mask = Mask::new(self.map.width(), self.map.height());
        if let (Some(path), Some(mut mask)) = (path(shape), mask) {
            mask.fill_path(&path, FillRule::Winding, true, self.view);
            self.mask = Some(mask);
            draw(self);
            self.mask = None;
        }
    }

    /// Mirrors what stands above the line `y` (in the unscaled picture) below it.
    pub(crate) fn mirror(&mut self, y: f32, opacity: f32, draw: impl FnOnce(&mut Self)) {
        let Some(blank) = Pixmap::new(self.map.width(), self.map.height()) else {
            return;
        };
        let picture = std::mem::replace(&mut self.map, blank);
        draw(self);
        let layer = std::mem::replace(&mut self.map, picture);
        let paint = PixmapPaint { opacity, ..PixmapPaint::default() };
        let flip = Transform::from_row(1.0, 0.0, 0.0, -1.0, 0.0, 2.0 * y);
        self.map.draw_pixmap(0, 0, layer.as_ref(), &paint, flip, None);
    }

    fn paint(&self, ink: Ink) -> Option<Paint<'static>> {
        let pad = SpreadMode::Pad;
        let still = Transform::identity();
        let line = |from, to, stops| LinearGradient::new(from, to, self.stops(stops), pad, still);
        let shader = match ink {
            Ink::Flat(colour) => Shader::SolidColor(self.lit(colour)),
            Ink::Down(top, foot, list) => line(Point::from_xy(0.0, top), Point::from_xy(0.0, foot), list)?,
            Ink::Across(left, right, list) => {
                line(Point::from_xy(left, 0.0), Point::from_xy(right, 0.0), list)?
            }
            Ink::Round(x, y, r, list) => {
                let heart = Point::from_xy(x, y);
                RadialGradient::new(heart, 0.0, heart, r, self.stops(list), pad, still)?
            }
        };
        Some(Paint { shader, ..Paint::default() })
    }

    fn stops(&self, list: &str) -> Vec<GradientStop> {
        let count = u8::try_from(list.split_whitespace().count()).unwrap_or(u8::MAX);
        let gap = 1.0 / f32::from(count.saturating_sub(1).max(1));
        let stop = |(index, word): (u8, &str)| {
            let (colour, place) = word.split_once('@').unwrap_or((word, ""));
            let place = place.parse().unwrap_or(f32::from(index) * gap);
            GradientStop::new(place, self.lit(colour))
        };
        (0..).zip(list.split_whitespace()).map(stop).collect()
    }

    fn lit(&self, colour: &str) -> Color {
        let (red, green, blue, alpha) = rgba(colour);
        let [r, g, b] = self.light;
        Color::from_rgba8(
            byte(f32::from(red) * r),
            byte(f32::from(green) * g),
            byte(f32::from(blue) * b),
            alpha,
        )
    }
}

/// The colour `t` of the way from `a` to `b`.
pub(crate) fn mix(a: &str, b: &str, t: f32) -> String {
    let (a, b) = (rgba(a), rgba(b));
    let part = |a: u8, b: u8| byte(f32::from(a) + (f32::from(b) - f32::from(a)) * t);
    let (red, green, blue) = (part(a.0, b.0), part(a.1, b.1), part(a.2, b.2));
    format!("#{red:02x}{green:02x}{blue:02x}{:02x}", part(a.3, b.3))
}

/// Dice that fall the same on every run.
pub(crate) struct Dice(pub u32);

impl Dice {
    /// A number from `low` to `high`.
    pub(crate) fn roll(&mut self, low: f32, high: f32) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [top, next, ..] = self.0.to_be_bytes();
        low + (high - low) * f32::from(u16::from_be_bytes([top, next])) / f32::from(u16::MAX)
    }
}

fn rgba(colour: &str) -> (u8, u8, u8, u8) {
    let digits = colour.trim_start_matches('#');
    let number = u32::from_str_radix(digits, 16).unwrap_or(0);
    let whole = if digits.len() > 6 { number } else { number << 8 | 0xff };
    whole.to_be_bytes().into()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte first")]
fn byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// Reads an SVG path (`M L Q C Z`, absolute, blanks between numbers), with
/// two verbs of its own: `O x y rx ry`, an ellipse, and `R x y w h`, a box.
fn path(shape: &str) -> Option<Path> {
    let mut pen = PathBuilder::new();
    let mut words = shape.split_whitespace().peekable();
    let mut verb = "";
    while let Some(&word) = words.peek() {
        if word.starts_with(char::is_alphabetic) {
            verb = word;
            words.next();
        }
        let mut n = || words.next().and_then(|w| w.parse().ok()).unwrap_or(0.0);
        match verb {
            "M" => pen.move_to(n(), n()),
            "L" => pen.line_to(n(), n()),
            "Q" => pen.quad_to(n(), n(), n(), n()),
            "C" => pen.cubic_to(n(), n(), n(), n(), n(), n()),
            "O" => {
                let (x, y, rx, ry) = (n(), n(), n(), n());
                pen.push_oval(Rect::from_ltrb(x - rx, y - ry, x + rx, y + ry)?);
            }
            "R" => pen.push_rect(Rect::from_xywh(n(), n(), n(), n())?),
            "Z" => {
                pen.close();
                verb = "";
            }
            _ => {
                n();
            }
        }
    }
    pen.finish()
}
