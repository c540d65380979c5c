//! Checks the root before anything is served from it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::keys;
use super::settings::{Setting, Settings};
use crate::folders::{ancestors, dev_ino, parent};

/// Checks that the root is a readable folder, that no public folder contains or is inside it, and that it contains none of the
/// gateway's own files.
pub(super) fn check(settings: &Settings, own_files: Vec<(Setting, PathBuf)>) -> Result<(), ConfigError> {
    let (setting, path) = (settings.get(&keys::ROOT), settings.path(&keys::ROOT));
    let root = check_folder(&setting, &path)?;
    for (setting, file) in own_files {
        if ancestors(parent(&file)).any(|id| id == root) {
            return Err(
                setting.error("the file is inside the root, where a grant could expose it", "move it")
            );
        }
    }
    for folder in settings.paths(&keys::PUBLIC) {
        let public = settings.get(&keys::PUBLIC).with_value(&folder.display().to_string());
        let Ok(Some(shared)) = dev_ino(&folder) else {
            let fix = "name folders that the application serves publicly";
            return Err(public.error("no such folder", fix));
        };
        if ancestors(&path).any(|id| id == shared) {
            let problem = format!("the root is inside the public folder {}", folder.display());
            return Err(setting.error(&problem, "move it"));
        }
        if ancestors(&folder).any(|id| id == root) {
            return Err(public.error("the public folder is inside the root", "move it"));
        }
    }
    Ok(())
}

/// Returns the device and inode of a readable folder.
fn check_folder(setting: &Setting, path: &Path) -> Result<(u64, u64), ConfigError> {
    let root = dev_ino(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let fix = format!("create it with: mkdir -p -m 750 {}", path.display());
            match std::env::current_dir() {
                Ok(folder) if path.is_relative() => setting.error(
                    &format!("no such folder in {}", folder.display()),
                    &format!("{fix}, or start in another folder"),
                ),
                _ => setting.error("no such folder", &fix),
            }
        }
        _ => setting.error(&error.to_string(), "name a folder that this user can read"),
    })?;
    let Some(root) = root else {
        return Err(setting.error("not a folder", "name the folder of the private files"));
    };
    match std::fs::read_dir(path) {
        Ok(_) => Ok(root),
        Err(error) => {
            Err(setting.error(&format!("cannot be read ({error})"), "give this user read access to it"))
        }
    }
}
