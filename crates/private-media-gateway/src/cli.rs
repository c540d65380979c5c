//! The command line.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

#[cfg(feature = "demo")]
use crate::commands::demo;
use crate::commands::{account, check, config, doctor, serve, who};
use crate::config::ConfigError;
use crate::log;

/// Runs the program, from its arguments to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    match run(&command().get_matches()) {
        Ok(code) => code,
        Err(error) => {
            log::print(format_args!("private-media: {error}"));
            ExitCode::from(2)
        }
    }
}

/// Returns the command line, for its manual pages and completions.
#[must_use]
pub fn command() -> Command {
    let command = Command::new("private-media")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Private user uploads for any web application: authenticates, authorizes and serves each file")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve::command())
        .subcommand(check::command())
        .subcommand(who::command())
        .subcommand(doctor::command())
        .subcommand(account::command())
        .subcommand(config::command());
    #[cfg(feature = "demo")]
    let command = command.subcommand(demo::command());
    command
}

fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    match matches.subcommand() {
        Some(("serve", matches)) => serve::run(matches),
        #[cfg(feature = "demo")]
        Some(("demo", matches)) => demo::run(matches),
        Some(("check", matches)) => check::run(matches),
        Some(("who", matches)) => who::run(matches),
        Some(("doctor", matches)) => doctor::run(matches),
        Some(("account", matches)) => account::run(matches),
        Some(("config", matches)) => config::run(matches),
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: &str = "--identity <SOURCE> --accounts <FILE> --database <URL> --secret-file <FILE> --session-engine <ENGINE>";

    fn help(path: &str) -> String {
        let mut command = &mut command();
        for name in path.split(' ') {
            command = command.find_subcommand_mut(name).unwrap();
        }
        command.render_long_help().to_string()
    }

    /// Returns the flags of a command as help shows them.
    fn flags(path: &str) -> Vec<String> {
        let help = help(path);
        let lines = help.lines().map(str::trim_start);
        let flags = lines.filter_map(|line| line.strip_prefix("-h, ").or(Some(line)));
        flags.filter(|line| line.starts_with("--")).map(str::to_owned).collect()
    }

    #[test]
    fn help_shows_the_settings_that_a_command_uses() {
        let check =
            format!("--root <DIR> --url <PREFIX> --public <DIR> --state <URL> {IDENTITY} --grant <GRANT>");
        let front = "--front <ADDR> --listen <ADDR> --root <DIR> --url <PREFIX> --mode <MODE> --header-timeout <DURATION>";
        let change = "--wait --wait-timeout <DURATION> --accounts <FILE> --identity <SOURCE> --state <URL>";
        for (path, shown, hidden) in [
            ("serve", check.as_str(), ""),
            (
                "serve",
                "--listen <ADDR> --log <LEVEL> --min-rate <BYTES> --max-connections <COUNT> --debug[=<BOOL>]",
                "",
            ),
            ("check", &check, "--listen --log --workers --mode --min-rate --debug"),
            (
                "doctor",
                &check.replace("--url <PREFIX>", "--private-url <PREFIX> --url <URL>"),
                "--log --workers --min-rate",
            ),
            (
                "who",
                &format!("--url <PREFIX> --state <URL> {IDENTITY} --session-cookie <NAME> --format <FORMAT>"),
                "--root --grant --listen",
            ),
            ("account add", change, "--root --listen --grant --mode --log"),
            ("account passwd", change, "--root --group"),
            ("account remove", change, "--root --password-stdin"),
            ("account list", "--config <FILE> --accounts <FILE>", "--state --wait --identity --root"),
            ("config show", "--listen <ADDR> --grant <GRANT> --shutdown-timeout <DURATION>", ""),
            ("config nginx", front, "--grant --accounts --log"),
            ("config caddy", front, "--grant --accounts --log"),
        ] {
            let flags = flags(path);
            // A flag is shown with its value name, `--name <VALUE>`.
            for expected in shown.replace(" --", "\n--").lines() {
                assert!(flags.iter().any(|flag| flag == expected), "{path}: {expected}: {flags:?}");
            }
            for flag in hidden.split_whitespace() {
                assert!(
                    !flags.iter().any(|shown| shown.split([' ', '[']).next() == Some(flag)),
                    "{path}: {flag}"
                );
            }
        }
    }

    #[test]
    fn help_is_grouped() {
        let help = help("serve");
        let headings = [
            "Server:",
            "Storage:",
            "Permissions:",
            "Identity:",
            "Delivery:",
            "Cross-origin requests:",
            "Limits:",
            "Log:",
        ];
        for heading in headings {
            assert_eq!(help.lines().filter(|line| *line == heading).count(), 1, "{heading}");
        }
        assert!(!help.contains("VALUE"), "{help}");
        assert!(help.contains("[env: PRIVATE_MEDIA_REVALIDATE_AFTER]"), "{help}");
        // Long lines are wrapped.
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("[default: 127.0.0.1:8000]"), "{help}");
    }

    #[test]
    fn flags_of_other_commands_are_rejected() {
        for arguments in [
            &["check", "alice", "a.jpg", "--listen", "127.0.0.1:0"][..],
            &["account", "list", "--root", "private"],
            &["config", "nginx", "--grant", "a=staff"],
            &["doctor", "--workers", "2"],
        ] {
            let error = command().try_get_matches_from([&["private-media"], arguments].concat()).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::UnknownArgument, "{arguments:?}");
        }
    }

    #[test]
    fn the_demo_is_a_feature() {
        let result = command().try_get_matches_from(["private-media", "demo"]);
        assert_eq!(result.is_ok(), cfg!(feature = "demo"));
    }
}
