//! The command line.

use clap::{Arg, ArgAction, Command};

use crate::config;
use crate::front::KINDS;

pub(crate) fn command() -> Command {
    Command::new("private-media")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Private user uploads beside any web application: who asks, and may they?")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("serve")
                .about("Serve the private files to those who may read them")
                .args(config::args()),
        )
        .subcommand(
            Command::new("demo")
                .about("Serve a small car site on a temporary root, to see what private means")
                .arg(
                    Arg::new("listen")
                        .long("listen")
                        .value_name("VALUE")
                        .default_value("127.0.0.1:8000")
                        .help("Address to listen on; port 0 takes a free one"),
                ),
        )
        .subcommand(
            Command::new("check")
                .about("Say whether a user may read a path, and what decides it; exit 0 if so, 1 if not")
                .arg(
                    Arg::new("user")
                        .value_name("USER")
                        .required(true)
                        .help("Name of an account, or anonymous"),
                )
                .arg(
                    Arg::new("path")
                        .value_name("PATH")
                        .required(true)
                        .help("Name of a file below the root, or its path in a URL"),
                )
                .arg(
                    Arg::new("action")
                        .long("action")
                        .value_parser(["read"])
                        .default_value("read")
                        .help("What the user wants to do with it"),
                )
                .args(config::args()),
        )
        .subcommand(
            Command::new("doctor")
                .about("Look at the running deployment from outside: is it really private? Exit 0 if so, 1 if not")
                .arg(
                    Arg::new(config::PUBLIC_URL)
                        .long("url")
                        .value_name("PUBLIC_URL")
                        .help("Where users reach the site, such as https://www.example.org"),
                )
                .arg(
                    Arg::new("json")
                        .long("json")
                        .action(ArgAction::SetTrue)
                        .help("Print what is found as a JSON array"),
                )
                .args(config::args_beside_public_url()),
        )
        .subcommand(account())
        .subcommand(config())
}

fn config() -> Command {
    let show = Command::new("show")
        .about("Print the configuration in force as TOML, and where each value comes from")
        .args(config::args());
    let fronts = KINDS.iter().map(|(name, _)| {
        Command::new(*name)
            .about(format!("Print what {name} needs in front of the gateway, to be included as it is"))
            .arg(
                Arg::new("front")
                    .long("front")
                    .value_name("HOST:PORT")
                    .default_value("*:80")
                    .help("Where it is to listen; HOST is a name, an address, or * for any"),
            )
            .args(config::args())
    });
    Command::new("config")
        .about("Show what is in force, or print a front server's configuration")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(show)
        .subcommands(fronts)
}

fn account() -> Command {
    Command::new("account")
        .about("Add, change, remove and list the accounts that can sign in")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("add")
                .about("Add an account; asks for its password")
                .arg(name())
                .arg(
                    Arg::new("id")
                        .long("id")
                        .value_name("ID")
                        .help("What stands at {owner} in paths [default: the name]"),
                )
                .arg(Arg::new("staff").long("staff").action(ArgAction::SetTrue).help("A member of the staff"))
                .arg(
                    Arg::new("group")
                        .long("group")
                        .value_name("GROUP")
                        .action(ArgAction::Append)
                        .help("A member of this group; may be repeated"),
                )
                .arg(password_stdin())
                .args(wait())
                .args(config::args()),
        )
        .subcommand(
            Command::new("passwd")
                .about("Change the password of an account, and end its sessions; asks for the new password")
                .arg(name())
                .arg(password_stdin())
                .args(wait())
                .args(config::args()),
        )
        .subcommand(
            Command::new("remove")
                .about("Remove an account, and end its sessions")
                .arg(name())
                .args(wait())
                .args(config::args()),
        )
        .subcommand(
            Command::new("list").about("List the accounts: name, id, staff, groups").args(config::args()),
        )
}

fn password_stdin() -> Arg {
    Arg::new("password-stdin")
        .long("password-stdin")
        .action(ArgAction::SetTrue)
        .help("Read the password from the first line of standard input")
}

fn wait() -> [Arg; 2] {
    [
        Arg::new("wait")
            .long("wait")
            .action(ArgAction::SetTrue)
            .help("Wait until every running gateway has the change in force; exit 1 if one does not confirm"),
        Arg::new("wait-timeout")
            .long("wait-timeout")
            .value_name("TIME")
            .default_value("30s")
            .requires("wait")
            .help("How long to wait with --wait"),
    ]
}

fn name() -> Arg {
    Arg::new("name").value_name("NAME").required(true).help("What the user signs in with")
}
