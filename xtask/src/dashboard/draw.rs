//! Draws panels as an SVG that is readable on a light and on a dark page.

use std::fmt::Write as _;
use std::time::Duration;

use super::panel::{Panel, Series};

/// The size of a unit of the grid, and of the space around panels.
const UNIT: [f64; 2] = [41.0, 25.0];
const GAP: f64 = 8.0;
/// The space around the graph of a panel: left, top, right and bottom.
const INSET: [f64; 4] = [62.0, 34.0, 14.0, 40.0];
/// The colors of the lines, on a light and on a dark page. They differ for people with a color vision deficiency, too.
const COLORS: [[&str; 2]; 6] = [
    ["#2f6f4f", "#5fb587"],
    ["#d9822b", "#f0a35a"],
    ["#3b7dd8", "#6fa8f5"],
    ["#b7410e", "#e8743f"],
    ["#8e5bb5", "#b88ade"],
    ["#6b7a89", "#9fb0c0"],
];
const STYLE: &str = "
.page { fill: #f4f5f7 } .panel { fill: #fff; stroke: #d9dde2 } text { fill: #333 } .title { font-weight: 600 }
.axis, .legend { font-size: 11px } .axis { fill: #6b7480 } .grid { stroke: #e6e9ed } .value { font-size: 24px; font-weight: 600; fill: #2f6f4f }
.line { fill: none; stroke-width: 1.6; stroke-linejoin: round }
";
const DARK_STYLE: &str = "
.page { fill: #15181c } .panel { fill: #1f2429; stroke: #343b43 } text { fill: #d8dce1 } .axis { fill: #98a2ad } .grid { stroke: #2d343b }
.value { fill: #7cc39d }
";

/// Draws all panels at their places. Graphs show this time before the last point.
pub(super) fn svg(panels: &[Panel], duration: Duration) -> String {
    let end = |at: usize, size: usize| {
        let ends = panels.iter().filter_map(|panel| Some(panel.place.get(at)? + panel.place.get(size)?));
        f64::from(ends.max().unwrap_or_default())
    };
    let ([unit_x, unit_y], mut shapes) = (UNIT, String::new());
    let (width, height) = (end(0, 2) * unit_x + GAP, end(1, 3) * unit_y + GAP);
    for panel in panels {
        let [x, y, w, h] = panel.place.map(f64::from);
        let (w, h) = (w * unit_x - GAP, h * unit_y - GAP);
        let _ = writeln!(
            shapes,
            r#"<g transform="translate({:.1} {:.1})"><rect class="panel" width="{w:.1}" height="{h:.1}" rx="4"/><text class="title" x="12" y="21">{}</text>"#,
            x * unit_x + GAP,
            y * unit_y + GAP,
            escape(&panel.title)
        );
        if panel.is_stat {
            stat(&mut shapes, panel, h);
        } else {
            graph(&mut shapes, panel, [w, h], duration);
        }
        shapes.push_str("</g>\n");
    }
    let colors = |dark: usize| {
        let color = |(number, both): (usize, &[&str; 2])| {
            let color = both.get(dark).copied().unwrap_or_default();
            format!(".c{number} {{ stroke: {color} }} ")
        };
        COLORS.iter().enumerate().map(color).collect::<String>()
    };
    let (light, dark) = (colors(0), colors(1));
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" font-family="system-ui, sans-serif" font-size="13">
<style>{STYLE}{light}
@media (prefers-color-scheme: dark) {{{DARK_STYLE}{dark}}}</style>
<rect class="page" width="{width:.0}" height="{height:.0}"/>
{shapes}</svg>
"#
    )
}

/// Draws the last values. A version is the name of its series.
fn stat(shapes: &mut String, panel: &Panel, height: f64) {
    let last = |series: &Series| series.points.last().map_or(0.0, |(_, value)| *value);
    let is_version = panel.targets.iter().any(|target| target.legend == "{{version}}");
    let texts = panel
        .series
        .iter()
        .map(|series| if is_version { series.name.clone() } else { number(last(series), &panel.unit) });
    let text = texts.collect::<Vec<_>>().join(" / ");
    let y = height - if panel.series.len() > 1 { 24.0 } else { 18.0 };
    let _ = write!(shapes, r#"<text class="value" x="12" y="{y:.1}">{}</text>"#, escape(&text));
    if panel.series.len() > 1 {
        let names: Vec<_> = panel.series.iter().map(|series| series.name.as_str()).collect();
        let _ = write!(
            shapes,
            r#"<text class="legend" x="12" y="{:.1}">{}</text>"#,
            height - 8.0,
            escape(&names.join(" / "))
        );
    }
}

fn graph(shapes: &mut String, panel: &Panel, [width, height]: [f64; 2], duration: Duration) {
    let [left, top, right, bottom] = INSET;
    let (plot_width, plot_height) = (width - left - right, height - top - bottom);
    let values = || panel.series.iter().flat_map(|series| &series.points).map(|(_, value)| *value);
    let step = tick(values().fold(0.0, f64::max), &panel.unit);
    let max = step * 4.0;
    for line in 0..=4 {
        let value = step * f64::from(line);
        let y = top + plot_height * (1.0 - value / max);
        let _ = write!(
            shapes,
            r#"<path class="grid" d="M{left:.1} {y:.1}h{plot_width:.1}"/><text class="axis" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            left - 6.0,
            y + 4.0,
            escape(&number(value, &panel.unit))
        );
    }
    let times = panel.series.iter().filter_map(|series| series.points.last()).map(|(time, _)| *time);
    let (end, seconds) = (times.fold(0.0, f64::max), duration.as_secs_f64());
    for minute in 0..=u32::try_from(duration.as_secs() / 60).unwrap_or_default() {
        let x = left + plot_width * f64::from(minute) * 60.0 / seconds;
        let y = height - bottom + 14.0;
        let _ = write!(
            shapes,
            r#"<text class="axis" x="{x:.1}" y="{y:.1}" text-anchor="middle">{minute}:00</text>"#
        );
    }
    let mut legend_x = 12.0;
    for (series, color) in panel.series.iter().zip((0..COLORS.len()).cycle()) {
        let points = series.points.iter().map(|(time, value)| {
            let x = left + plot_width * (1.0 - (end - time) / seconds);
            format!("{x:.1} {:.1}", top + plot_height * (1.0 - value / max))
        });
        let points = points.collect::<Vec<_>>().join("L");
        let y = height - 8.0;
        let _ = write!(
            shapes,
            r#"<path class="line c{color}" d="M{points}"/><path class="line c{color}" style="stroke-width: 3" d="M{legend_x:.1} {:.1}h10"/><text class="legend" x="{:.1}" y="{y:.1}">{}</text>"#,
            y - 4.0,
            legend_x + 14.0,
            escape(&series.name)
        );
        #[expect(clippy::cast_precision_loss, reason = "a short name")]
        let text_width = series.name.chars().count() as f64 * 5.8;
        legend_x += 14.0 + text_width + 14.0;
    }
}

/// Returns a round distance between the lines of a grid with four of them.
fn tick(max: f64, unit: &str) -> f64 {
    if unit == "percentunit" {
        return 0.25;
    }
    let least = max / 4.0;
    if least <= 0.0 {
        return 0.25;
    }
    let power = 10_f64.powf(least.log10().floor());
    let factor = [1.0, 2.0, 2.5, 5.0].into_iter().find(|factor| factor * power >= least).unwrap_or(10.0);
    factor * power
}

/// Returns a value with its unit.
fn number(value: f64, unit: &str) -> String {
    if value <= 0.0 {
        return "0".to_owned();
    }
    let scaled = |value: f64, steps: &[(f64, &str)]| {
        let found = steps.iter().find(|(size, _)| value >= *size).or(steps.last());
        let (size, name) = found.copied().unwrap_or((1.0, ""));
        format!("{}{name}", rounded(value / size))
    };
    let bytes = [(1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B")];
    match unit {
        "s" => scaled(value, &[(1.0, " s"), (1e-3, " ms"), (1e-6, " µs")]),
        "bytes" => scaled(value, &bytes),
        "Bps" => format!("{}/s", scaled(value, &bytes)),
        "percentunit" => format!("{} %", rounded(value * 100.0)),
        "reqps" | "cps" => format!("{}/s", scaled(value, &[(1e3, "k"), (1.0, "")])),
        _ => scaled(value, &[(1e6, "M"), (1e3, "k"), (1.0, "")]),
    }
}

fn rounded(value: f64) -> String {
    let text = format!("{value:.*}", if value < 10.0 { 2 } else { 0 });
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_unit() {
        for (value, unit, expected) in [
            (0.000_25, "s", "250 µs"),
            (0.0125, "s", "12 ms"),
            (2.5, "s", "2.5 s"),
            (0.0, "s", "0"),
            (1500.0, "Bps", "1.5 kB/s"),
            (0.75, "percentunit", "75 %"),
            (40.0, "reqps", "40/s"),
            (0.0, "short", "0"),
        ] {
            assert_eq!(number(value, unit), expected);
        }
    }

    #[test]
    fn the_grid_contains_all_values_and_is_round() {
        for (max, expected) in [(0.0, 0.25), (1.0, 0.25), (70.0, 20.0), (0.003, 0.001), (99.0, 25.0)] {
            let step = tick(max, "short");
            assert!((step - expected).abs() < 1e-9, "{max}: {step}");
            assert!(step * 4.0 >= max);
        }
    }
}
