//! Examples and exit codes of the manual pages.

/// What a manual page has besides the help of its command.
pub(crate) struct Extra {
    /// The command without the name of the program, such as `account add`.
    pub(crate) command: &'static str,
    /// Each example: what it does, and its arguments as a shell reads them.
    pub(crate) examples: &'static [(&'static str, &'static str)],
    /// The meaning of exit code 1, if the command has one.
    pub(crate) failure: Option<&'static str>,
}

const fn extra(
    command: &'static str,
    examples: &'static [(&'static str, &'static str)],
    failure: Option<&'static str>,
) -> Extra {
    Extra { command, examples, failure }
}

const UNCONFIRMED: Option<&str> =
    Some("With --wait: the change is on disk, but a running gateway did not confirm it.");

pub(crate) const EXTRAS: [Extra; 21] = [
    extra("", &[("Serve a demo site, then read its pages in a browser:", "demo")], None),
    extra("demo", &[("Serve the demo on a free port:", "demo --listen 127.0.0.1:0")], None),
    extra(
        "serve",
        &[
            ("Serve the folder private, with private-media.toml in the working directory:", "serve"),
            (
                "Serve files to their owners and to staff, without a configuration file:",
                "serve --root /srv/private --grant 'cars/{owner}/{*file}=owner,staff'",
            ),
            ("Listen on a Unix socket:", "serve --listen unix:/run/private-media/media.sock"),
        ],
        Some("A worker failed. The log has the reason."),
    ),
    extra(
        "check",
        &[
            ("May bob read this file?", "check bob cars/7/photo.jpg"),
            ("Check a table of expected decisions in CI:", "check --table cases.toml"),
        ],
        Some("The user is denied, or a case of the table is not as expected."),
    ),
    extra(
        "who",
        &[("Whose token is this? It is read from standard input:", "who --token -")],
        Some("The credential is not that of a user."),
    ),
    extra(
        "doctor",
        &[("Check a deployment from outside:", "doctor --url https://www.example.org")],
        Some("A problem was found."),
    ),
    extra("audit", &[("Check that nobody changed the audit:", "audit verify")], None),
    extra(
        "audit verify",
        &[("Check the audit that the configuration names:", "audit verify --config private-media.toml")],
        Some("A record was removed, changed, reordered or doubled, or the last line is incomplete."),
    ),
    extra(
        "audit show",
        &[
            ("Who read the files of user 7 in the last week?", "audit show --path 'cars/7/*' --since 7d"),
            ("What did alice read, as JSON?", "audit show --user alice --format json"),
        ],
        Some("Some lines are no records."),
    ),
    extra("account", &[("List the accounts:", "account list")], None),
    extra(
        "account add",
        &[
            ("Add a user, whose files are below a folder named 7:", "account add alice --id 7"),
            ("Add a member of the staff:", "account add carol --staff"),
        ],
        UNCONFIRMED,
    ),
    extra(
        "account passwd",
        &[("Change a password; sessions end everywhere before this returns:", "account passwd alice --wait")],
        UNCONFIRMED,
    ),
    extra(
        "account remove",
        &[("Remove an account, and wait until no gateway accepts it:", "account remove alice --wait")],
        UNCONFIRMED,
    ),
    extra(
        "account list",
        &[(
            "List the accounts of the service:",
            "account list --config /etc/private-media/private-media.toml",
        )],
        None,
    ),
    extra("relocate", &[("Print what would be moved, and move nothing:", RELOCATE)], None),
    extra("config", &[("Print the settings in force:", "config show")], None),
    extra("config show", &[("Print the settings, each with its source:", "config show --debug")], None),
    extra("config systemd", &[("Print a unit for the service:", UNIT)], None),
    extra("config nginx", &[("Let nginx send the files, and receive requests for a name:", NGINX)], None),
    extra(
        "config apache",
        &[("Print a virtual host:", "config apache --front example.org:80 --mode apache")],
        None,
    ),
    extra(
        "config caddy",
        &[("Print a site with a certificate:", "config caddy --front example.org:443")],
        None,
    ),
];

const RELOCATE: &str = "relocate /var/www/media --dry-run";
const UNIT: &str = "config systemd --config /etc/private-media/private-media.toml";
const NGINX: &str = "config nginx --front example.org:80 --mode nginx";
