//! Checks the files for containers. No container runs: the test machines have no image to build from.

use std::path::Path;
use std::process::Command;

use crate::links::read;
use crate::machine::{self, step};

const VENV: &str = "target/container-venv";

/// Lints `Containerfile`, `compose.yaml` and nginx's configuration, and checks that a build finds its sources.
pub(crate) fn check() -> Result<(), String> {
    machine::venv(VENV, "tests/install/requirements.txt")?;
    step(Command::new(format!("{VENV}/bin/hadolint")).arg("Containerfile"))?;
    let schema = ["--builtin-schema", "vendor.compose-spec", "compose.yaml"];
    step(Command::new(format!("{VENV}/bin/check-jsonschema")).args(schema))?;
    for mounted in mounts(&read("compose.yaml")?) {
        if !Path::new(&mounted).is_file() {
            return Err(format!("compose.yaml: {mounted}: no such file"));
        }
    }
    check_context(&read(".dockerignore")?)?;
    // nginx resolves the name of the other container at start.
    let nginx = "{ echo 'events {} http {'; sed 's/media:8000/127.0.0.1:8000/' packaging/nginx.conf; echo '}'; } > target/container.conf
        nginx -t -q -c \"$PWD/target/container.conf\"";
    step(Command::new("sh").args(["-eu", "-c", nginx]))
}

/// Checks that cargo finds all crates of the workspace among the files that are sent to the build.
fn check_context(ignore: &str) -> Result<(), String> {
    let sent: Vec<_> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let unpack = "folder=$(mktemp -d)
        trap 'rm -rf \"$folder\"' EXIT
        git ls-files -z --cached --others --exclude-standard -- \"$@\" | xargs -0 cp --parents -t \"$folder\"
        cd \"$folder\"
        cargo metadata --format-version 1 --locked > metadata";
    step(Command::new("sh").args(["-eu", "-c", unpack, "context"]).args(sent))
}

/// Returns the files of the repository that containers mount.
fn mounts(compose: &str) -> Vec<String> {
    let mounts = compose.lines().filter_map(|line| line.trim().strip_prefix("- ./"));
    let files = mounts.filter_map(|mount| mount.split(':').next()).filter(|path| path.contains('.'));
    files.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::mounts;

    #[test]
    fn files_that_are_mounted_are_found() {
        let compose = "    volumes:\n      - ./private:/srv:ro\n      - ./a/nginx.conf:/etc/x:ro\n      - state:/var/lib/x\n";
        assert_eq!(mounts(compose), ["a/nginx.conf"]);
    }
}
