//! What a part of the tests needs before it runs.

use crate::machine::{self, Program, cargo, cargo_tool};
use crate::outcome::Outcome;
use crate::{django, garage, python};

const BUCKETS: [Program; 1] = [("python3", "python3")];

/// A requirement of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Programs(&'static [Program]),
    /// A subcommand of cargo.
    Tool(&'static str),
    Root,
    /// The databases, and a virtual environment for each Django that the gateway reads sessions of.
    Databases,
    /// The wheel, in a virtual environment for each Django that the package supports.
    Wheel,
    /// An S3 server, and a client of it, in a virtual environment.
    Buckets,
    /// Garage, an S3 server.
    Garage,
    /// The release build of the program.
    ReleaseProgram,
}

impl Need {
    /// Installs or builds it. Returns the name of what this machine cannot have.
    pub(crate) fn prepare(self, outcome: &mut Outcome) -> Result<Option<String>, String> {
        match self {
            Self::Programs(programs) => return install(programs),
            Self::Databases => {
                let missing = install(&django::PROGRAMS)?;
                if missing.is_some() {
                    return Ok(missing);
                }
                django::install()?;
            }
            Self::Wheel => {
                let missing = install(&python::PROGRAMS)?;
                if missing.is_some() {
                    return Ok(missing);
                }
                python::build(outcome)?;
            }
            Self::Buckets => {
                let missing = install(&BUCKETS)?;
                if missing.is_some() {
                    return Ok(missing);
                }
                machine::venv("target/buckets", "tests/buckets/requirements.txt")?;
            }
            Self::Garage => {
                let missing = install(&garage::PROGRAMS)?;
                if missing.is_some() {
                    return Ok(missing);
                }
                garage::install()?;
            }
            Self::Root if !machine::is_root() => return Ok(Some("root".into())),
            Self::Root => {}
            Self::Tool(name) => cargo_tool(name)?,
            Self::ReleaseProgram => cargo(&["build", "--release", "--package", "private-media-gateway"])?,
        }
        Ok(None)
    }
}

fn install(programs: &[Program]) -> Result<Option<String>, String> {
    let packages = machine::missing(programs);
    if !packages.is_empty() && !machine::can_install() {
        return Ok(Some(format!("the Debian packages {}", packages.join(" "))));
    }
    machine::install(programs).map(|()| None)
}
