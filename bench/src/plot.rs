//! Requests per second as a bar chart, for the documentation.

use std::fmt::Write;

use crate::report::{BASELINE, Report};

const WIDTH: f64 = 800.0;
const LABEL: f64 = 340.0;
const BAR_HEIGHT: f64 = 18.0;
const GAP: f64 = 6.0;
const MARGIN: f64 = 16.0;

/// The work that is drawn, if it was measured.
const DRAWN: [&str; 3] = ["1 KiB", "100 KiB", "1 MiB"];

/// Draws a group of bars for each kind of work, with lengths relative to the longest bar of the group.
pub(crate) fn svg(report: &Report) -> String {
    let mut bars = String::new();
    let mut y = MARGIN;
    for work in report.works().iter().filter(|work| DRAWN.contains(work)) {
        let rates = report.rates(work);
        let most = rates.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
        y += BAR_HEIGHT;
        let _ =
            writeln!(bars, r#"<text x="{MARGIN}" y="{y}" class="work">{work}, requests per second</text>"#);
        y += GAP;
        for (peer, rate) in rates {
            let width = (rate / most * (WIDTH - LABEL - 90.0)).max(1.0);
            let class = match peer {
                BASELINE => "bar",
                peer if peer.starts_with("private-media") => "own",
                _ => "peer",
            };
            let (text, end) = (y + BAR_HEIGHT * 0.75, LABEL + width + 6.0);
            let _ = writeln!(
                bars,
                r#"<text x="{}" y="{text}" text-anchor="end">{peer}</text><rect class="{class}" x="{LABEL}" y="{y}" width="{width:.1}" height="{BAR_HEIGHT}"/><text x="{end:.1}" y="{text}">{rate:.0}</text>"#,
                LABEL - 8.0
            );
            y += BAR_HEIGHT + GAP;
        }
        y += GAP;
    }
    let height = y + MARGIN;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<style>text {{ fill: #333 }} .work {{ font-weight: bold }} .own {{ fill: #b7410e }} .bar {{ fill: #2f6f4f }} .peer {{ fill: #9aa5b1 }}
@media (prefers-color-scheme: dark) {{ text {{ fill: #ddd }} }}</style>
{bars}</svg>
"#
    )
}
