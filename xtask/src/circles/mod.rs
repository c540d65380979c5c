//! Circles between the modules of a crate: `cargo xtask circles` prints each, with the lines that make it.
//!
//! A module uses another if one of its paths names an item that the other defines, also through re-exports. Re-exporting an item of a
//! child module is no use. Test code and method calls, which have no path, are ignored.

mod graph;
mod resolve;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use graph::Circle;

/// Folders of packages, and folders that hold packages.
const PACKAGES: [&str; 4] = ["bench", "crates", "examples", "xtask"];

/// Fails if a crate of the workspace has a circle.
pub(crate) fn check() -> Result<(), String> {
    let mut count = 0;
    for root in roots()? {
        let circles = circles(&root, &|path| fs::read_to_string(path).ok())?;
        for circle in &circles {
            println!("{}: a circle of {circle}", root.display());
        }
        count += circles.len();
    }
    match count {
        0 => Ok(()),
        1 => Err("there is a circle between modules; see above".into()),
        count => Err(format!("there are {count} circles between modules; see above")),
    }
}

fn circles(root: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Result<Vec<Circle>, String> {
    Ok(graph::circles(&tree::read_crate(root, read)?))
}

/// Returns the root file of each library and program of the workspace.
fn roots() -> Result<Vec<PathBuf>, String> {
    let mut roots = vec![];
    for folder in PACKAGES {
        let mut packages = vec![PathBuf::from(folder)];
        packages.extend(entries(Path::new(folder))?);
        for sources in packages.iter().map(|package| package.join("src")).filter(|folder| folder.is_dir()) {
            roots.extend(
                ["lib.rs", "main.rs"]
                    .map(|name| sources.join(name))
                    .into_iter()
                    .filter(|file| file.is_file()),
            );
            let programs = sources.join("bin");
            if programs.is_dir() {
                roots.extend(
                    entries(&programs)?
                        .into_iter()
                        .filter(|file| file.extension().is_some_and(|end| end == "rs")),
                );
            }
        }
    }
    Ok(roots)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
