//! The command line.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{ArgMatches, Command};

#[cfg(feature = "demo")]
use crate::commands::demo;
use crate::commands::{account, audit, check, config, doctor, relocate, serve, who};
use crate::config::ConfigError;
use crate::log;

/// Runs the program with the arguments of this process, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    main_from(std::env::args_os())
}

/// Like [`main`], with other arguments, for a process that has a main function of its own. The first argument is the name of the program.
///
/// The program handles signals of the process, and a hanging shutdown ends the process.
///
/// ```
/// use std::process::ExitCode;
///
/// assert_eq!(private_media_gateway::main_from(["private-media", "--version"]), ExitCode::SUCCESS);
/// assert_eq!(private_media_gateway::main_from(["private-media", "unknown"]), ExitCode::from(2));
/// ```
#[must_use]
pub fn main_from(arguments: impl IntoIterator<Item: Into<OsString> + Clone>) -> ExitCode {
    let code = match command().try_get_matches_from(arguments) {
        Ok(matches) => run(&matches).unwrap_or_else(|error| {
            log::print(format_args!("private-media: {error}"));
            ExitCode::from(2)
        }),
        Err(usage) => {
            // An output that cannot be written does not change the exit code.
            let _ = usage.print();
            ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(2))
        }
    };
    // A main function of another language does not flush Rust's output.
    let _ = io::stdout().flush();
    code
}

/// The version, with the commit and its date if this build knows them.
const LONG_VERSION: &str = match option_env!("PRIVATE_MEDIA_LONG_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Returns the command line, for its manual pages and completions.
#[must_use]
pub fn command() -> Command {
    let command = Command::new("private-media")
        .version(env!("CARGO_PKG_VERSION"))
        .long_version(LONG_VERSION)
        .about("Private user uploads for any web application: authenticates, authorizes and serves each file")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve::command())
        .subcommand(check::command())
        .subcommand(who::command())
        .subcommand(doctor::command())
        .subcommand(account::command())
        .subcommand(audit::command())
        .subcommand(relocate::command())
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
        Some(("audit", matches)) => audit::run(matches),
        Some(("relocate", matches)) => relocate::run(matches),
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
            (
                "account list",
                "--config <FILE> --accounts <FILE> --format <FORMAT>",
                "--state --wait --identity --root",
            ),
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
            "Pages:",
            "Delivery:",
            "Cross-origin requests:",
            "Limits:",
            "Log:",
            "Audit:",
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
    fn flags_of_other_servers_are_errors_that_name_ours() {
        for (command_name, flag) in [("serve", "--port"), ("serve", "-p"), ("demo", "--port")] {
            if command_name == "demo" && !cfg!(feature = "demo") {
                continue;
            }
            let error =
                command().try_get_matches_from(["private-media", command_name, flag, "80"]).unwrap_err();
            assert!(error.to_string().contains("use --listen 127.0.0.1:80"), "{error}");
            assert!(!help(command_name).contains("--port"));
        }
    }

    #[test]
    fn the_long_version_may_name_the_commit() {
        let version = env!("CARGO_PKG_VERSION");
        let text = |flag| command().try_get_matches_from(["private-media", flag]).unwrap_err().to_string();
        assert_eq!(text("-V"), format!("private-media {version}\n"));
        let long = text("--version");
        let build = long.trim_end().strip_prefix(&format!("private-media {version}")).unwrap();
        assert!(build.is_empty() || (build.starts_with(" (") && build.ends_with(')')), "{long}");
    }

    #[test]
    fn the_demo_is_a_feature() {
        let result = command().try_get_matches_from(["private-media", "demo"]);
        assert_eq!(result.is_ok(), cfg!(feature = "demo"));
    }
}
