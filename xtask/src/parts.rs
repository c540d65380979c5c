//! The parts of the tests, ordered so that mistakes show up early.

use crate::machine::{Program, cargo, cargo_command, run_tests, step};
use crate::needs::Need::{self, Buckets, Databases, Garage, Programs, ReleaseProgram, Root, Tool, Wheel};
use crate::outcome::Outcome;
use crate::{
    bench, browser, circles, django, docs, features, frameworks, fuzz, garage, install, package, python,
    soak, wheel,
};

/// A part of the tests, which `--only` can choose.
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) needs: &'static [Need],
    /// Whether it runs only with `--full` or `--only`.
    pub(crate) is_long: bool,
    pub(crate) run: fn(&mut Outcome) -> Result<(), String>,
}

/// The programs that the Rust tests start.
const PROGRAMS: [Program; 19] = [
    ("/usr/lib/apache2/modules/mod_xsendfile.so", "libapache2-mod-xsendfile"),
    ("/usr/lib/lighttpd/mod_deflate.so", "lighttpd-mod-deflate"),
    ("apache2ctl", "apache2"),
    ("aws", "awscli"),
    ("b3sum", "b3sum"),
    ("caddy", "caddy"),
    ("curl", "curl"),
    ("faketime", "faketime"),
    ("fincore", "util-linux-extra"),
    ("lighttpd", "lighttpd"),
    ("mkfifo", "coreutils"),
    ("nghttp", "nghttp2-client"),
    ("nginx", "nginx"),
    ("openssl", "openssl"),
    ("promtool", "prometheus"),
    ("python3", "python3"),
    ("rclone", "rclone"),
    ("strace", "strace"),
    ("unshare", "util-linux"),
];

pub(crate) const PARTS: [Part; 16] = [
    Part {
        name: "lint",
        about: "formatting, module circles, clippy, and the licences and sources of the dependencies",
        needs: &[Tool("cargo-deny")],
        is_long: false,
        run: lint,
    },
    Part {
        name: "rust",
        about: "the tests of all Rust crates",
        needs: &[Programs(&PROGRAMS), Tool("cargo-nextest"), Databases, Wheel, Buckets],
        is_long: false,
        run: rust,
    },
    Part {
        name: "doc",
        about: "the crates' documentation and its examples",
        needs: &[],
        is_long: false,
        run: doc,
    },
    Part {
        name: "features",
        about: "each feature alone, the tests of those that are off by default, and the oldest supported compiler",
        needs: &[Programs(&features::PROGRAMS), Tool("cargo-nextest")],
        is_long: false,
        run: features::check,
    },
    Part {
        name: "package",
        about: "the published crates, built and tested from their packages",
        needs: &[],
        is_long: false,
        run: package::test,
    },
    Part {
        name: "install",
        about: "README's ways to install, and the Debian package, in a bare Debian",
        needs: &[Programs(&install::PROGRAMS), Root, ReleaseProgram, Wheel],
        is_long: false,
        run: install::test,
    },
    Part {
        name: "fuzz",
        about: "each fuzz target for ten seconds",
        needs: &[Programs(&fuzz::PROGRAMS)],
        is_long: false,
        run: fuzz::test,
    },
    Part {
        name: "bench",
        about: "a moment of the benchmark",
        needs: &[Programs(&bench::PROGRAMS)],
        is_long: false,
        run: bench::test,
    },
    Part {
        name: "soak",
        about: "three minutes of load and faults",
        needs: &[Programs(&soak::PROGRAMS)],
        is_long: false,
        run: soak::test,
    },
    Part {
        name: "docs",
        about: "links and commands of the documentation",
        needs: &[Programs(&docs::PROGRAMS), Root, ReleaseProgram, Wheel],
        is_long: false,
        run: docs::test,
    },
    Part {
        name: "django",
        about: "the session vectors, read by each Django",
        needs: &[Databases],
        is_long: false,
        run: django::vectors,
    },
    Part {
        name: "python",
        about: "the Python package on each Django",
        needs: &[Programs(&python::PROGRAMS), Wheel, Buckets],
        is_long: false,
        run: python::test,
    },
    Part {
        name: "wheel",
        about: "the wheel, and the program that pip installs",
        needs: &[Programs(&python::PROGRAMS), Wheel],
        is_long: false,
        run: wheel::test,
    },
    Part {
        name: "browser",
        about: "the demo, the Django example, pages of other origins and the documentation in Chromium",
        needs: &[Programs(&browser::PROGRAMS), ReleaseProgram, Wheel],
        is_long: false,
        run: browser::test,
    },
    Part {
        name: "frameworks",
        about: "the gateway beside applications in Express, PHP, Symfony, Rails, Flask, FastAPI and Go",
        needs: &[Programs(&frameworks::PROGRAMS), ReleaseProgram],
        is_long: false,
        run: frameworks::test,
    },
    Part {
        name: "garage",
        about: "buckets in a Garage cluster whose nodes are killed, and downloads of eleven minutes",
        needs: &[Tool("cargo-nextest"), Buckets, Garage],
        is_long: true,
        run: garage::test,
    },
];

fn lint(_: &mut Outcome) -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])?;
    circles::check()?;
    cargo(&["deny", "check", "bans", "licenses", "sources"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn rust(outcome: &mut Outcome) -> Result<(), String> {
    let mut tests = cargo_command();
    tests.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    // Tests that lack something fail rather than skip.
    run_tests(tests.env("PRIVATE_MEDIA_TEST_ALL", "1"), outcome)
}

fn doc(outcome: &mut Outcome) -> Result<(), String> {
    let doc = ["doc", "--workspace", "--no-deps", "--all-features"];
    step(cargo_command().args(doc).env("RUSTDOCFLAGS", "-D warnings"))?;
    run_tests(cargo_command().args(["test", "--workspace", "--doc"]), outcome)
}
