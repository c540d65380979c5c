//! The systemd unit of the configuration in force.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::key::Kind;
use super::keys::KEYS;
use super::load::Config;
use super::settings::{Origin, Setting};
use crate::addresses::ListenAddr;
use crate::folders;
use crate::systemd_unit::SystemdUnit;

/// The user of the service, if the files belong to root.
const USER: &str = "private-media";
/// Ports below this one are reserved for root.
const FIRST_PORT: u16 = 1024;

impl Config {
    /// Returns the unit that serves this configuration with this program. Settings of flags and variables become arguments.
    pub(crate) fn systemd_unit(&self, program: PathBuf) -> Result<SystemdUnit, ConfigError> {
        let absolute = |path: &Path| {
            let path = std::path::absolute(path);
            path.map_err(|error| ConfigError::new(format!("cannot find the working directory: {error}")))
        };
        let mut arguments = vec!["serve".to_owned()];
        if let Some(file) = self.file() {
            arguments.extend(["--config".to_owned(), absolute(file)?.to_string_lossy().into_owned()]);
        }
        for key in KEYS {
            if let Some(setting) = self.given(key) {
                arguments.extend(as_arguments(setting)?);
            }
        }
        let own_files = self.own_files().into_iter().map(|(_, path)| absolute(&path));
        let own_files = own_files.collect::<Result<Vec<_>, _>>()?;
        let root = if self.bucket.is_some() { None } else { Some(self.absolute_root()?) };
        // SQLite creates its journal next to the state.
        let state =
            self.state.as_ref().and_then(|state| state.file()).map(|file| absolute(folders::parent(file)));
        let (low_port, socket) = match &self.listen {
            ListenAddr::Tcp(addresses) => {
                (addresses.iter().any(|address| (1..FIRST_PORT).contains(&address.port())), None)
            }
            ListenAddr::Unix(path) => (false, Some(path.clone())),
        };
        let owner = self.accounts().map(|accounts| accounts.file.path.as_path());
        let (user, files_group) = owners(owner, root.as_deref());
        Ok(SystemdUnit {
            program,
            arguments,
            folder: absolute(Path::new("."))?.components().collect(),
            user,
            files_group,
            readable: own_files,
            writable: root.into_iter().map(Ok).chain(state).collect::<Result<_, _>>()?,
            socket,
            has_low_port: low_port,
            max_connections: self.limits.max_connections,
            shutdown_timeout: self.limits.shutdown_timeout,
        })
    }
}

/// Returns the arguments with the values of a flag or variable. Passwords are refused, as every user can see arguments.
fn as_arguments(setting: &Setting) -> Result<Vec<String>, ConfigError> {
    if !matches!(setting.origin(), Origin::Flag(_) | Origin::Environment) {
        return Ok(vec![]);
    }
    let key = setting.key();
    if matches!(key.kind, Kind::Url) && setting.shown() != setting.values() {
        return Err(
            setting.error("a unit is readable for every user", "write it into the configuration file")
        );
    }
    Ok(setting.values().iter().map(|value| format!("--{}={value}", key.flag)).collect())
}

/// Returns the user who owns the accounts, or else the root, and the group of the root, if that user is not its owner.
fn owners(accounts: Option<&Path>, root: Option<&Path>) -> (String, Option<String>) {
    let metadata = |path: &Path| std::fs::metadata(path).ok();
    let of_root = root.and_then(metadata);
    let owner = accounts.and_then(metadata).or_else(|| of_root.clone()).map(|file| file.uid());
    let user = owner.filter(|id| *id != 0).map_or_else(|| USER.to_owned(), |id| name_of("/etc/passwd", id));
    let is_owner = of_root.as_ref().is_some_and(|root| Some(root.uid()) == owner && root.uid() != 0);
    let group =
        of_root.filter(|root| !is_owner && root.gid() != 0).map(|root| name_of("/etc/group", root.gid()));
    (user, group)
}

/// Returns the name of a user or group, or its id if it has no name in this file.
fn name_of(file: &str, id: u32) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let name = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == id.to_string()).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| id.to_string())
}
