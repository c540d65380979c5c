//! The results that a run of the tests prints at its end.

/// The closing lines of the runners, and the tests that did not run.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Closing lines of test runners, such as `12 passed in 3 s`.
    pub(crate) closing: Vec<String>,
    /// Parts or tests that need something that this machine lacks. They fail the run, unless `--allow-missing` is given.
    pub(crate) skipped: Vec<String>,
    /// Tests whose requirements are in no package registry. They never fail the run.
    pub(crate) not_required: Vec<String>,
}

impl Outcome {
    /// Stores a line of output if it is the closing line of a runner.
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim();
        let is_closing = line.starts_with("Summary [")
            || line.starts_with("test result:")
            || (line.starts_with("Ran ") && line.contains(" test"))
            || line.split_once(" passed").is_some_and(|(_, rest)| rest.contains(" in "));
        if is_closing {
            self.closing.push(line.trim_matches(['=', ' ']).to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn closing_lines_of_each_runner_are_noted() {
        for (line, noted) in [
            ("     Summary [   0.080s] 9 tests run: 9 passed, 0 skipped", true),
            ("test result: ok. 12 passed; 0 failed; 0 ignored; finished in 0.24s", true),
            ("312 passed, 2 warnings in 20.35s", true),
            ("===== 41 passed in 61.02s (0:01:01) =====", true),
            ("1 failed, 40 passed in 61.02s", true),
            ("Ran 12 tests in 0.104s", true),
            ("        PASS [   0.012s] (5/9) xtask::bin/xtask outcome::tests::a_test_that_passed", false),
            ("the connection passed its deadline", false),
            ("Ran out of memory", false),
            ("", false),
        ] {
            let mut outcome = Outcome::default();
            outcome.read(line);
            assert_eq!(!outcome.closing.is_empty(), noted, "{line}");
        }
    }
}
