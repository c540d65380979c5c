//! Whether the gateway's memory stays what it is: all kinds of work in turn, for many minutes.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::Result;
use crate::load::WORKS;
use crate::peers::{Place, own};

/// The whole table, as Markdown: the memory after each minute's work, in lines of ten.
pub(crate) fn run(minutes: u64, seconds: u64, place: &Place) -> Result<String> {
    let running = own::gateway(place)?;
    let idle = running.usage()?.memory >> 10;
    let mut table = format!(
        "The gateway, idle at first: {idle} KiB. Then all kinds of work in turn, {seconds} s each, for {minutes} minutes; its memory \
         (PSS, KiB) after each minute.\n\n| minutes | |\n|---|---|\n"
    );
    let begin = Instant::now();
    // Whole gibibytes take so long that there might be no answer in this time.
    let mut works = WORKS.iter().filter(|work| work.name != "1 GiB").cycle();
    let mut asked = 0;
    for minute in 0..minutes {
        let end = Duration::from_secs(60 * (minute + 1));
        while begin.elapsed() < end {
            let Some(work) = works.next() else { break };
            asked += work.load(&running, place, seconds)?.requests;
        }
        let memory = running.usage()?.memory >> 10;
        eprintln!("minute {}: {memory} KiB, {asked} requests", minute + 1);
        match minute % 10 {
            0 => write!(table, "| {}– | {memory}", minute + 1)?,
            _ => write!(table, ", {memory}")?,
        }
        if minute % 10 == 9 || minute + 1 == minutes {
            table.push_str(" |\n");
        }
    }
    let _ = writeln!(table, "\n{asked} requests were answered.");
    Ok(table)
}
