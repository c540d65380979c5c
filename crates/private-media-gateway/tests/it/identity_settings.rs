//! The settings of identity sources: errors of one line, and which value wins.

use crate::support::{Place, program};

#[test]
fn errors_of_flags_name_key_value_and_fix() {
    let place = Place::new();
    for (arguments, parts) in [
        (&["--identity", "ldap"][..], &["--identity: unknown source \"ldap\"", "accounts, django"][..]),
        (&["--identity", "djano"], &["--identity: unknown source \"djano\"", "did you mean \"django\""]),
        (&["--identity", "{"], &["--identity: invalid TOML"]),
        (&["--identity", "[1]"], &["--identity: expected a TOML table"]),
        (&["--identity", "[]"], &["--identity: the list is empty", "remove it to use accounts"]),
        (&["--identity", "{}"], &["--identity: missing key \"source\"", "accounts, django"]),
        (&["--identity", "{source = 1}"], &["--identity: invalid value 1 for source", "accounts, django"]),
        (
            &["--identity", "{source = \"accounts\", acounts = \"x\"}"],
            &["--identity: unknown key \"acounts\" with source \"accounts\"", "did you mean \"accounts\""],
        ),
        (
            &["--identity", "{source = \"accounts\", database = \"sqlite:x\"}"],
            &["--identity: unknown key \"database\" with source \"accounts\"", "belongs to django"],
        ),
        (
            &["--identity", "{source = \"accounts\", cache_ttl = 5}"],
            &["--identity: invalid value 5 for cache_ttl", "in quotes"],
        ),
        (
            &["--identity", "{source = \"accounts\", cache_ttl = \"5\"}"],
            &["invalid value \"5\" for cache_ttl in --identity", "missing unit, e.g. 5s"],
        ),
        (
            &["--identity", "{source = \"accounts\", accounts = \"none.toml\"}"],
            &["accounts in --identity \"none.toml\"", "no such file"],
        ),
        (
            &["--identity", "accounts", "--identity", "accounts"],
            &["--identity: an earlier source", "remove one"],
        ),
        (&["--identity", "django;django", "--database", "sqlite:x"], &["--identity: an earlier source"]),
        (&["--secret-file", "x"], &["--secret-file \"x\": no [[identity]] table has this key", "\"django\""]),
        (
            &["--identity", "{source = \"accounts\", login_url = \"//evil.example\"}"],
            &["invalid value \"//evil.example\" for login_url in --identity", "a path such as /login/"],
        ),
        (
            &["--identity", "{source = \"django\", login_url = \"-/sign-in\"}"],
            &["invalid value \"-/sign-in\" for login_url in --identity", "a path such as /login/"],
        ),
        (
            &["--identity", "{source = \"django\", login_return = \"a=b\"}"],
            &["invalid value \"a=b\" for login_return", "next or rd"],
        ),
        (
            &["--identity", "{source = \"django\", login_origin = \"example.org\"}"],
            &["invalid value \"example.org\" for login_origin", "https://media.example.org"],
        ),
    ] {
        let line = place.refusal(&[&["serve"], arguments].concat());
        assert!(parts.iter().all(|part| line.contains(part)), "{arguments:?}: {line}");
    }
}

#[test]
fn errors_of_a_file_name_table_key_value_and_fix() {
    let place = Place::new();
    for (text, parts) in [
        ("[identity]\nsource = \"accounts\"", &["identity: expected tables", "write [[identity]]"][..]),
        ("identity = \"accounts\"", &["identity: expected tables", "write [[identity]]"]),
        ("\"identity.accounts\" = \"x\"", &["unknown key \"identity.accounts\""]),
        ("identity = []", &["[[identity]]: the list is empty", "remove it to use accounts"]),
        ("[[identity]]", &["[[identity]]: missing key \"source\"", "accounts, django"]),
        ("[[identity]]\nsource = \"ldap\"", &["[[identity]]: unknown source \"ldap\"", "accounts, django"]),
        (
            "[[identity]]\nsource = \"accounts\"\nacounts = \"x\"",
            &["[[identity]]: unknown key \"acounts\" with source \"accounts\"", "did you mean \"accounts\""],
        ),
        (
            "[[identity]]\nsource = \"accounts\"\n[[identity]]\nsource = \"django\"\naccounts = \"x\"",
            &["[[identity]] table 2: unknown key \"accounts\" with source \"django\"", "belongs to accounts"],
        ),
        (
            "[[identity]]\nsource = \"accounts\"\n[[identity]]\nsource = \"django\"\ncache_ttl = \"5\"",
            &["invalid value \"5\" for cache_ttl in [[identity]] table 2", "missing unit, e.g. 5s"],
        ),
        (
            "[[identity]]\nsource = \"accounts\"\ncache_ttl = \"5\"",
            &["invalid value \"5\" for identity.cache_ttl", "missing unit, e.g. 5s"],
        ),
        (
            "[[identity]]\nsource = \"accounts\"\n[[identity]]\nsource = \"accounts\"",
            &["[[identity]] table 2: an earlier source decides", "remove one"],
        ),
    ] {
        place.write("private-media.toml", text);
        let line = place.refusal(&["serve"]);
        let is_about_file = line.contains("private-media.toml");
        assert!(is_about_file && parts.iter().all(|part| line.contains(part)), "{text}: {line}");
    }
}

/// The list of the file, of the environment and of flags, and the flags of single keys.
#[test]
fn lists_are_replaced_and_flags_apply_to_each_source() {
    let place = Place::new();
    place.write(
        "private-media.toml",
        "[[identity]]\nsource = \"accounts\"\ncache_ttl = \"1s\"\n[[identity]]\nsource = \"django\"\ndatabase = \"sqlite:a.db\"\n",
    );
    let shown = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = program();
        command.args(["config", "show"]).args(arguments).current_dir(place.path(""));
        let output = command.envs(variables.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let keys = ["source", "cache_ttl", "database", "accounts", "login_url"];
        let is_shown = |line: &&str| keys.iter().any(|key| line.starts_with(&format!("{key} = ")));
        text.lines().filter(is_shown).map(str::to_owned).collect::<Vec<_>>()
    };
    let array = "[{source = \"django\", database = \"sqlite:b.db\"}, {source = \"accounts\"}]";
    for (arguments, variables, expected) in [
        (
            &[][..],
            &[][..],
            &[
                "source = \"accounts\"",
                "accounts = \"accounts.toml\"  # default",
                "cache_ttl = \"1s\"  # private-media.toml",
                "login_url = \"-/sign-in\"  # default",
                "source = \"django\"",
                "database = \"sqlite:a.db\"  # private-media.toml",
                "cache_ttl = \"5s\"  # default",
                "login_url = \"none\"  # default",
            ][..],
        ),
        // A single key applies to each source that has it, over what the file says.
        (
            &["--cache-ttl", "3s"],
            &[("PRIVATE_MEDIA_DATABASE", "sqlite:c.db")],
            &[
                "source = \"accounts\"",
                "accounts = \"accounts.toml\"  # default",
                "cache_ttl = \"3s\"  # --cache-ttl",
                "login_url = \"-/sign-in\"  # default",
                "source = \"django\"",
                "database = \"sqlite:c.db\"  # PRIVATE_MEDIA_DATABASE",
                "cache_ttl = \"3s\"  # --cache-ttl",
                "login_url = \"none\"  # default",
            ],
        ),
        // A list replaces the whole list.
        (
            &[],
            &[("PRIVATE_MEDIA_IDENTITY", array)],
            &[
                "source = \"django\"",
                "database = \"sqlite:b.db\"  # PRIVATE_MEDIA_IDENTITY",
                "cache_ttl = \"5s\"  # default",
                "login_url = \"none\"  # default",
                "source = \"accounts\"",
                "accounts = \"accounts.toml\"  # default",
                "cache_ttl = \"5s\"  # default",
                "login_url = \"-/sign-in\"  # default",
            ],
        ),
        (
            &["--identity", "{source = \"accounts\", accounts = \"a.toml\", login_url = \"/in/\"}"],
            &[
                ("PRIVATE_MEDIA_IDENTITY", array),
                ("PRIVATE_MEDIA_ACCOUNTS", "b.toml"),
                ("PRIVATE_MEDIA_DATABASE", "x"),
            ],
            &[
                "source = \"accounts\"",
                "accounts = \"a.toml\"  # --identity",
                "cache_ttl = \"5s\"  # default",
                "login_url = \"/in/\"  # --identity",
            ],
        ),
        (
            &["--identity", "{source = \"accounts\", accounts = \"a.toml\"}", "--accounts", "b.toml"],
            &[],
            &[
                "source = \"accounts\"",
                "accounts = \"b.toml\"  # --accounts",
                "cache_ttl = \"5s\"  # default",
                "login_url = \"-/sign-in\"  # default",
            ],
        ),
    ] {
        assert_eq!(shown(arguments, variables), expected, "{arguments:?} {variables:?}");
    }
}

#[test]
fn shown_sources_can_be_used_as_a_file() {
    let place = Place::new();
    let shown = |arguments: &[&str]| {
        let output = place.run(&[&["config", "show"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
    };
    for identities in [
        &["accounts"][..],
        &["django", "accounts"],
        &["django;accounts"],
        &["[{source = \"django\"}, {source = \"django\", session_cookie = \"b\"}]", "accounts"],
        &["{source = \"django\", backends = [], login_url = \"/login/?a=b\"}"],
        &["{source = \"django\", backends = [\"a;b\", \"c\"], session_engine = \"signed_cookies\"}"],
        &["{source = \"accounts\", login_url = \"none\", login_origin = \"https://media.example.org\"}"],
        &["{source = \"accounts\", accounts = \"a \\\" \\\\ b\\nc.toml\"}"],
    ] {
        let _ = std::fs::remove_file(place.path("private-media.toml"));
        let flags: Vec<_> = identities.iter().flat_map(|identity| ["--identity", identity]).collect();
        let first = shown(&flags);
        place.write("private-media.toml", &first);
        assert_eq!(values(&shown(&[])), values(&first), "{identities:?}");
    }
}

/// The configurations of the pages are accepted, and mean what the pages say.
#[test]
fn configurations_of_the_documentation_are_valid() {
    const PAGES: [&str; 2] = [
        include_str!("../../../../docs/how-to/identity.md"),
        include_str!("../../../../docs/reference/configuration.md"),
    ];
    let mut count = 0;
    for page in PAGES {
        for block in page.split("```toml\n").skip(1) {
            let block = block.split("\n```").next().unwrap();
            if !block.contains("[[identity]]") {
                continue;
            }
            let place = Place::new();
            place.write("private-media.toml", block);
            let output = place.run(&["config", "show"]);
            assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
            let shown = String::from_utf8(output.stdout).unwrap();
            let keys = ["accounts", "cache_ttl", "session_lifetime", "database", "secret_file", "login_url"];
            let is_of_source = |line: &&str| keys.iter().any(|key| line.starts_with(&format!("{key} = ")));
            for line in block.lines().filter(is_of_source) {
                assert!(shown.contains(&format!("\n{line}  # private-media.toml\n")), "{line}: {shown}");
            }
            count += 1;
        }
    }
    assert!(count >= 3, "{count}");
}
