//! The systemd unit of the configuration in force.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::key::{Key, Kind};
use super::keys::{self, KEYS};
use super::load::Config;
use super::readable::groups_to_read;
use super::settings::{Origin, Setting};
use crate::addresses::ListenAddr;
use crate::folders;
use crate::systemd_unit::{Credential, SystemdUnit};

/// The user of the service, if the files belong to root.
const USER: &str = "private-media";
/// Ports below this one are reserved for root.
const FIRST_PORT: u16 = 1024;

impl Config {
    /// Returns the unit that serves this configuration with this program. Settings of flags and variables become arguments.
    pub(crate) fn systemd_unit(&self, program: PathBuf) -> Result<SystemdUnit, ConfigError> {
        let owner = self.accounts().map(|accounts| accounts.file.path.as_path());
        let root = if self.bucket.is_some() { None } else { Some(self.absolute_root()?) };
        let (user, groups) = owners(owner, root.as_deref());
        let (tls_groups, credentials) = self.tls_access(user.id)?;
        let mut arguments = vec!["serve".to_owned()];
        if let Some(file) = self.file() {
            arguments.extend(["--config".to_owned(), absolute(file)?.to_string_lossy().into_owned()]);
        }
        for key in KEYS {
            let is_replaced = credentials.iter().any(|credential| credential.flag == key.flag);
            if let Some(setting) = self.given(key).filter(|_| !is_replaced) {
                arguments.extend(as_arguments(setting)?);
            }
        }
        let tls = self.tls.as_ref().filter(|_| credentials.is_empty());
        let tls = tls.into_iter().flat_map(|tls| [tls.certificate.clone(), tls.key.clone()]);
        let key = self.tls.as_ref().map(|tls| &tls.key);
        let own_files = self.own_files().into_iter().map(|(_, path)| path);
        let logo = self.given(&keys::site::LOGO).map(|_| self.layers.settings.path(&keys::site::LOGO));
        let others = tls.chain(logo).chain(self.public_folders());
        let own_files = own_files.filter(|path| Some(path) != key).chain(others).map(|path| absolute(&path));
        // SQLite creates its journal next to the state, and the audit is rotated.
        let state = self.state.as_ref().and_then(|state| state.file());
        let audit = self.audit.as_ref().map(|audit| audit.path.as_path());
        let folders = state.into_iter().chain(audit).map(|file| absolute(folders::parent(file)));
        let cache = self.given(&keys::cache::PATH).filter(|setting| setting.values() != [""]);
        let cache = cache.map(|_| absolute(&self.layers.settings.path(&keys::cache::PATH)));
        let folders = folders.chain(cache);
        let others_roots = self.others.iter().map(|other| &other.config);
        let others_roots = others_roots.filter(|root| root.bucket.is_none()).map(Self::absolute_root);
        let mut groups: Vec<_> =
            groups.into_iter().chain(tls_groups).map(|id| name_of("/etc/group", id)).collect();
        groups.sort();
        groups.dedup();
        let redirect = self.tls.as_ref().and_then(|tls| tls.redirect_http.clone()).map(ListenAddr::Tcp);
        let addresses: Vec<_> =
            [&self.listen].into_iter().chain(&self.admin_listen).chain(&redirect).collect();
        Ok(SystemdUnit {
            program,
            arguments,
            credentials,
            folder: absolute(Path::new("."))?.components().collect(),
            user: user.name,
            groups,
            readable: own_files.collect::<Result<_, _>>()?,
            writable: root
                .into_iter()
                .map(Ok)
                .chain(others_roots)
                .chain(folders)
                .collect::<Result<_, _>>()?,
            sockets: addresses.iter().filter_map(|address| socket(address)).collect(),
            has_low_port: addresses.iter().any(|address| has_low_port(address)),
            max_connections: self.limits.max_connections,
            shutdown_timeout: self.limits.shutdown_timeout,
        })
    }

    /// Returns the groups with which the user of the service can read the certificate and its key. If that user cannot, systemd makes copies.
    fn tls_access(&self, user: Option<u32>) -> Result<(Vec<u32>, Vec<Credential>), ConfigError> {
        let Some(tls) = &self.tls else { return Ok((vec![], vec![])) };
        let files = [(&keys::tls::CERTIFICATE, &tls.certificate), (&keys::tls::KEY, &tls.key)];
        let groups: Option<Vec<_>> = files.iter().map(|(_, path)| groups_to_read(path, user)).collect();
        if let Some(groups) = groups {
            return Ok((groups.concat(), vec![]));
        }
        let credential = |(key, path): (&Key, &PathBuf)| {
            let path = absolute(path)?;
            Ok(Credential { flag: key.flag, path })
        };
        Ok((vec![], files.into_iter().map(credential).collect::<Result<_, ConfigError>>()?))
    }
}

fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    let path = std::path::absolute(path);
    path.map_err(|error| ConfigError::new(format!("cannot find the working directory: {error}")))
}

fn socket(address: &ListenAddr) -> Option<PathBuf> {
    match address {
        ListenAddr::Tcp(_) => None,
        ListenAddr::Unix(path) => Some(path.clone()),
    }
}

fn has_low_port(address: &ListenAddr) -> bool {
    match address {
        ListenAddr::Tcp(addresses) => {
            addresses.iter().any(|address| (1..FIRST_PORT).contains(&address.port()))
        }
        ListenAddr::Unix(_) => false,
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

/// The user of a service.
struct User {
    name: String,
    /// `None` if there is no such user yet.
    id: Option<u32>,
}

/// Returns the user who owns the accounts, or else the root, and the group of the root, if that user is not its owner.
fn owners(accounts: Option<&Path>, root: Option<&Path>) -> (User, Option<u32>) {
    let metadata = |path: &Path| std::fs::metadata(path).ok();
    let of_root = root.and_then(metadata);
    let owner = accounts.and_then(metadata).or_else(|| of_root.clone()).map(|file| file.uid());
    let user = match owner.filter(|id| *id != 0) {
        Some(id) => User { name: name_of("/etc/passwd", id), id: Some(id) },
        None => User { name: USER.to_owned(), id: id_of("/etc/passwd", USER) },
    };
    let is_owner = of_root.as_ref().is_some_and(|root| Some(root.uid()) == owner && root.uid() != 0);
    let group = of_root.filter(|root| !is_owner && root.gid() != 0).map(|root| root.gid());
    (user, group)
}

/// Returns the id of a user.
fn id_of(file: &str, name: &str) -> Option<u32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line?.split(':').nth(1)?.parse().ok()
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
