//! `private-media audit`: verifies and shows the records of who read what.

use std::fmt::Write as _;
use std::io::{self, BufWriter, ErrorKind};
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;

use crate::audit::{AuditOptions, FaultKind, Filter, Format, Keys, Verification, read_key, show, verify};
use crate::config::{self, Config, ConfigError, Scope};
use crate::output;
use crate::startup::{load, text};

/// The exit code if there are faults.
const FAULTS: u8 = 1;

pub(crate) fn command() -> Command {
    let format = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .default_value("text")
        .help("Output format: text or json");
    let old_keys = Arg::new("old-key-file")
        .long("old-key-file")
        .value_name("FILE")
        .action(ArgAction::Append)
        .help("Key of older records; may be repeated");
    let verify = Command::new("verify")
        .about("Check that no record was removed, changed, reordered or doubled; exit code 0 if so, 1 if not")
        .arg(old_keys)
        .arg(format.clone())
        .args(config::args(Scope::Audit));
    let filter = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let show = Command::new("show")
        .about("Print records, the oldest first")
        .arg(filter("user", "USER", "Only records of the user with this id or name"))
        .arg(filter("path", "PATH", "Only records of this file; * stands for any text, as in 'cars/7/*'"))
        .arg(filter(
            "since",
            "TIME",
            "Only records from this time on: 2026-11-29, 2026-11-29T18:20:00Z, or 7d ago",
        ))
        .arg(filter("until", "TIME", "Only records before this time"))
        .arg(
            filter("action", "ACTION", "Only records of this action; may be repeated")
                .value_parser(["read", "sign-in", "sign-out", "audit"])
                .action(ArgAction::Append),
        )
        .arg(format)
        .args(config::args(Scope::Audit));
    Command::new("audit")
        .about("Verify or print the records of who read what")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(verify)
        .subcommand(show)
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let Some((name, matches)) = matches.subcommand() else { return Ok(ExitCode::SUCCESS) };
    let config = load(matches)?;
    let Some(options) = &config.audit else {
        return Err(ConfigError::new("audit.path is not set; name the audit file with --audit-path"));
    };
    match name {
        "verify" => run_verify(&config, options, matches),
        _ => run_show(&config, options, matches),
    }
}

fn run_verify(
    config: &Config,
    options: &AuditOptions,
    matches: &ArgMatches,
) -> Result<ExitCode, ConfigError> {
    let current = options.key_file.as_deref().map(read_key).transpose();
    let old = matches.get_many::<String>("old-key-file").unwrap_or_default().map(|path| {
        read_key(Path::new(path))
            .map_err(|error| ConfigError::new(format!("--old-key-file {path:?}: {error}")))
    });
    let keys = Keys {
        current: current.map_err(|error| config.audit_error(&error))?,
        old: old.collect::<Result<_, _>>()?,
    };
    let verification = verify(&options.path, &keys).map_err(|error| unreadable(config, &error))?;
    match text(matches, "format") {
        "json" => output::line(format_args!("{}", to_json(&verification)))?,
        _ => output::text(format_args!("{}", to_text(&verification)))?,
    }
    let is_intact = verification.findings.fault_count == 0;
    Ok(if is_intact { ExitCode::SUCCESS } else { ExitCode::from(FAULTS) })
}

/// Returns the faults, one a line. Writing to a string cannot fail.
fn to_text(verification: &Verification) -> String {
    let Verification { files, findings, key } = verification;
    let mut text = String::new();
    for fault in &findings.faults {
        let file = files.get(fault.place.file).map(|file| file.display().to_string()).unwrap_or_default();
        let line = if fault.place.line > 0 { format!(":{}", fault.place.line) } else { String::new() };
        let _ = writeln!(text, "{file}{line}: {}: {}", fault.kind, fault.detail);
    }
    let (records, faults) = (findings.records, findings.fault_count);
    let more = faults.saturating_sub(findings.faults.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "{more} more faults");
    }
    let last = findings.end.sequence;
    // The head is no file of records.
    let count = files.len().saturating_sub(1);
    if faults > 0 {
        let _ = writeln!(text, "{faults} faults; {records} records are intact, in {count} files");
        if findings.faults.iter().all(|fault| fault.kind == FaultKind::Torn) {
            text.push_str("a gateway was stopped while it wrote, which is no sign of a change\n");
        }
        return text;
    }
    let sealed = if key.is_some() { ", sealed with the key" } else { "" };
    let _ = writeln!(text, "intact: {records} records up to number {last}, in {count} files{sealed}");
    text
}

fn to_json(verification: &Verification) -> serde_json::Value {
    let Verification { files, findings, key } = verification;
    let faults = findings.faults.iter().map(|fault| {
        let file = files.get(fault.place.file).map(|file| file.display().to_string());
        json!({ "file": file, "line": fault.place.line, "kind": fault.kind.name(), "detail": fault.detail })
    });
    json!({
        "intact": findings.fault_count == 0,
        "records": findings.records,
        "last": findings.end.sequence,
        "hash": String::from_utf8_lossy(&findings.end.hash),
        "key": key,
        "fault_count": findings.fault_count,
        "faults": faults.collect::<Vec<_>>(),
    })
}

fn run_show(config: &Config, options: &AuditOptions, matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let given = |name: &str| matches.get_one::<String>(name).cloned();
    let time = |name: &str| given(name).map(|value| parse_time(name, &value)).transpose();
    let filter = Filter {
        user: given("user"),
        path: given("path"),
        since: time("since")?,
        until: time("until")?,
        actions: matches.get_many("action").unwrap_or_default().cloned().collect(),
    };
    let format = if text(matches, "format") == "json" { Format::Json } else { Format::Text };
    let mut stdout = BufWriter::with_capacity(64 << 10, Stdout(io::stdout().lock()));
    let unreadable_lines = match show(&options.path, &filter, format, &mut stdout) {
        Ok(lines) => lines,
        // As with `head`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        Err(error)
            if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<OutputError>) =>
        {
            return Err(ConfigError::new(format!("cannot write to standard output: {error}")));
        }
        Err(error) => return Err(unreadable(config, &error)),
    };
    if unreadable_lines > 0 {
        let problem = format!("{unreadable_lines} lines are no records; run: private-media audit verify");
        crate::log::print(format_args!("private-media: warning: {problem}"));
        return Ok(ExitCode::from(FAULTS));
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the error of files that cannot be read.
fn unreadable(config: &Config, error: &io::Error) -> ConfigError {
    config.audit_error(&crate::audit::Problem {
        is_key: false,
        what: format!("cannot be read: {error}"),
        fix: "name the file of audit.path with --audit-path, as a user that may read it".to_owned(),
    })
}

/// Parses a date, a time, or a duration before now.
fn parse_time(name: &str, value: &str) -> Result<SystemTime, ConfigError> {
    let day = format!("{value}T00:00:00Z");
    let ago = humantime::parse_duration(value.strip_suffix("ago").unwrap_or(value).trim());
    humantime::parse_rfc3339_weak(value)
        .or_else(|_| humantime::parse_rfc3339_weak(&day))
        .ok()
        .or_else(|| SystemTime::now().checked_sub(ago.ok()?))
        .ok_or_else(|| {
            ConfigError::new(format!(
                "invalid value {value:?} for --{name}: not a time; expected e.g. 2026-11-29, 2026-11-29T18:20:00Z or 7d"
            ))
        })
}

/// Standard output, whose errors differ from those of the audit files.
struct Stdout<W>(W);

/// An error of standard output.
#[derive(Debug)]
struct OutputError(io::Error);

impl std::fmt::Display for OutputError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for OutputError {}

impl<W: io::Write> io::Write for Stdout<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(output_error)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(output_error)
    }
}

fn output_error(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), OutputError(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let time = |text| humantime::parse_rfc3339(text).unwrap();
        for (value, expected) in [
            ("2026-11-29", "2026-11-29T00:00:00Z"),
            ("2026-11-29T18:20:00Z", "2026-11-29T18:20:00Z"),
            ("2026-11-29 18:20:00", "2026-11-29T18:20:00Z"),
        ] {
            assert_eq!(parse_time("since", value).unwrap(), time(expected), "{value}");
        }
        let week = parse_time("since", "7d ago").unwrap();
        let ago = SystemTime::now().duration_since(week).unwrap();
        assert_eq!(ago.as_secs() / 86_400, 7);
        for value in ["", "yesterday", "2026-13-01", "7"] {
            let error = parse_time("until", value).unwrap_err().to_string();
            assert!(error.contains("--until: not a time; expected e.g."), "{error}");
        }
    }
}
