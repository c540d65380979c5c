//! The processor time and memory of a server: of all processes of its session.

use std::process::Command;
use std::time::Duration;

use crate::result::Result;

/// Processor time since the start, and memory now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// The proportional set size (PSS) in bytes.
    pub(crate) memory: u64,
}

/// Returns the usage of all processes of these sessions.
pub(crate) fn of_sessions(sessions: &[u32]) -> Result<Usage> {
    let mut usage = Usage::default();
    for process in processes(sessions)? {
        usage.cpu += process.cpu;
        // The process may have ended.
        let memory =
            std::fs::read_to_string(format!("/proc/{}/smaps_rollup", process.id)).unwrap_or_default();
        let kib = memory
            .lines()
            .find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse().ok());
        usage.memory += kib.unwrap_or(0) * 1024;
    }
    Ok(usage)
}

pub(crate) struct Process {
    pub(crate) id: u32,
    cpu: Duration,
}

/// Returns all processes of these sessions.
pub(crate) fn processes(sessions: &[u32]) -> Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(id) = entry?.file_name().to_string_lossy().parse() else { continue };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        // The name of the program, in parentheses, may contain anything; see proc(5) for the fields after it.
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<u64> = fields.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
        let (Some(session), Some(user), Some(system)) = (fields.get(3), fields.get(11), fields.get(12))
        else {
            continue;
        };
        if sessions.iter().any(|wanted| u64::from(*wanted) == *session) {
            processes.push(Process { id, cpu: Duration::from_millis((user + system) * 1000 / ticks()?) });
        }
    }
    Ok(processes)
}

/// Returns how many ticks of the processor clock are a second.
fn ticks() -> Result<u64> {
    static TICKS: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    if let Some(ticks) = TICKS.get() {
        return Ok(*ticks);
    }
    let output = Command::new("getconf").arg("CLK_TCK").output()?;
    let ticks = String::from_utf8(output.stdout)?.trim().parse::<u64>()?.max(1);
    Ok(*TICKS.get_or_init(|| ticks))
}
