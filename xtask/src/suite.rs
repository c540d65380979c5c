//! `cargo xtask test`: runs the parts of the tests, and prints a summary.

use std::time::{Duration, Instant};

use crate::machine::use_quick_release;
use crate::needs::Need;
use crate::outcome::Outcome;
use crate::parts::{PARTS, Part};

/// The chosen parts.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    only: Vec<String>,
    full: bool,
    allow_missing: bool,
    help: bool,
}

/// Runs the parts that the arguments choose.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let options = parse(arguments)?;
    if options.help {
        println!("{}", help());
        return Ok(());
    }
    let chosen = |part: &&Part| {
        let is_named = options.only.iter().any(|name| name == part.name);
        is_named || (options.only.is_empty() && (options.full || !part.is_long))
    };
    use_quick_release();
    let mut suite = Suite::default();
    for part in PARTS.iter().filter(chosen) {
        suite.run(part)?;
    }
    println!("\n{}", suite.summary());
    if suite.outcome.skipped.is_empty() || options.allow_missing {
        return Ok(());
    }
    Err("some tests did not run, see above; --allow-missing accepts that".into())
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--only" => {
                let name = arguments.next().ok_or("--only needs the name of a part")?;
                if !PARTS.iter().any(|part| part.name == name) {
                    let names = PARTS.map(|part| part.name).join(", ");
                    return Err(format!("unknown part {name:?}; expected one of {names}"));
                }
                options.only.push(name);
            }
            "--full" => options.full = true,
            "--allow-missing" => options.allow_missing = true,
            "--help" | "-h" => options.help = true,
            _ => return Err(format!("unknown argument {argument:?}\n\n{}", help())),
        }
    }
    Ok(options)
}

fn help() -> String {
    let line = |Part { name, about, is_long, .. }| {
        format!("  {name:<9} {about}{}\n", if is_long { " (with --full)" } else { "" })
    };
    let parts = PARTS.map(line).concat();
    format!(
        "Usage: cargo xtask test [--full | --only PART…] [--allow-missing]

As root it installs missing Debian packages. A part that lacks something else is skipped, and the run fails.

  --full           runs all parts, also those that take long
  --only PART      runs this part only; may be repeated
  --allow-missing  accepts skipped parts

Parts:
{parts}"
    )
}

/// The state of a run.
#[derive(Default)]
struct Suite {
    /// Each prepared need, with the name of what is missing.
    prepared: Vec<(Need, Option<String>)>,
    /// Each part that passed, with its duration and the closing lines of its runners.
    passed: Vec<(&'static str, Duration, Vec<String>)>,
    outcome: Outcome,
}

impl Suite {
    fn run(&mut self, part: &Part) -> Result<(), String> {
        let begin = Instant::now();
        let failed = |problem| format!("{}: {problem}", part.name);
        for need in part.needs {
            if let Some(missing) = self.prepare(*need).map_err(failed)? {
                self.outcome.skipped.push(format!("{} (needs {missing})", part.name));
                return Ok(());
            }
        }
        (part.run)(&mut self.outcome).map_err(failed)?;
        self.passed.push((part.name, begin.elapsed(), std::mem::take(&mut self.outcome.closing)));
        Ok(())
    }

    /// Prepares a need once.
    fn prepare(&mut self, need: Need) -> Result<Option<String>, String> {
        if let Some((_, missing)) = self.prepared.iter().find(|(prepared, _)| *prepared == need) {
            return Ok(missing.clone());
        }
        let missing = need.prepare(&mut self.outcome)?;
        self.prepared.push((need, missing.clone()));
        Ok(missing)
    }

    fn summary(&self) -> String {
        let passed = self.passed.iter().flat_map(|(name, time, closing)| {
            let closing = closing.iter().map(|line| format!("{:<10}{line}", ""));
            std::iter::once(format!("{name:<9} passed in {} s", time.as_secs())).chain(closing)
        });
        let Outcome { not_required, skipped, .. } = &self.outcome;
        let not_required = not_required.iter().map(|tests| format!("not required here: {tests}"));
        let skipped = skipped.iter().map(|tests| format!("SKIPPED: {tests}"));
        let total: Duration = self.passed.iter().map(|(_, time, _)| *time).sum();
        let last = format!("{} parts passed in {} s", self.passed.len(), total.as_secs());
        passed.chain(not_required).chain(skipped).chain([last]).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<Options, String> {
        parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn arguments_choose_parts() {
        assert_eq!(parsed(&[]), Ok(Options::default()));
        let only = vec!["rust".to_owned(), "doc".to_owned()];
        assert_eq!(
            parsed(&["--only", "rust", "--allow-missing", "--only", "doc"]),
            Ok(Options { only, allow_missing: true, ..Options::default() })
        );
        assert_eq!(parsed(&["--full"]), Ok(Options { full: true, ..Options::default() }));
        assert!(
            parsed(&["--only", "rusty"])
                .unwrap_err()
                .starts_with("unknown part \"rusty\"; expected one of lint, ")
        );
        assert_eq!(parsed(&["--only"]).unwrap_err(), "--only needs the name of a part");
        assert!(parsed(&["rust"]).unwrap_err().starts_with("unknown argument \"rust\"\n"));
    }

    #[test]
    fn part_names_differ_and_are_in_the_help() {
        for (index, part) in PARTS.iter().enumerate() {
            assert!(help().contains(&format!("  {:<9} {}", part.name, part.about)), "{}", part.name);
            assert!(PARTS.iter().skip(index + 1).all(|other| other.name != part.name), "{}", part.name);
        }
    }

    /// A part with these needs that passes if it runs.
    fn part(needs: &'static [Need]) -> Part {
        let run = |outcome: &mut Outcome| {
            outcome.read("3 passed in 1s");
            Ok(())
        };
        Part { name: "example", about: "", needs, is_long: false, run }
    }

    #[test]
    fn parts_without_their_needs_are_skipped() {
        let mut suite = Suite::default();
        suite.prepared.push((Need::Root, Some("root".into())));
        suite.run(&part(&[Need::Root])).unwrap();
        assert_eq!(suite.outcome.skipped, ["example (needs root)"]);
        assert!(suite.passed.is_empty());
        suite.run(&part(&[])).unwrap();
        let summary = "example   passed in 0 s\n          3 passed in 1s\nSKIPPED: example (needs root)\n1 parts passed in 0 s";
        assert_eq!(suite.summary(), summary);
    }

    #[test]
    fn a_failure_names_its_part() {
        let failing = Part { run: |_| Err("cargo: exit status: 1".into()), ..part(&[]) };
        assert_eq!(Suite::default().run(&failing).unwrap_err(), "example: cargo: exit status: 1");
    }
}
