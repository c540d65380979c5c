//! The systemd unit of a configuration.

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Open files that are not those of connections.
const OTHER_FILES: usize = 1024;
/// How long the service manager waits after `limits.shutdown_timeout`.
const STOP_MARGIN: Duration = Duration::from_secs(10);
/// Folders that `ProtectHome=` hides, and those that `PrivateTmp=` replaces.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// The folders of the runtime folders of services, and of their logs.
const RUNTIME: &str = "/run";
const LOGS: &str = "/var/log";

/// A file that only root can read. The service manager copies it for the user of the service.
#[derive(Debug)]
pub(crate) struct Credential {
    /// The flag of the setting that names the file, and the name of the copy.
    pub(crate) flag: &'static str,
    pub(crate) path: PathBuf,
}

/// A unit that serves one configuration in a sandbox. `Display` writes its file.
#[derive(Debug)]
pub(crate) struct SystemdUnit {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) folder: PathBuf,
    pub(crate) user: String,
    /// The groups of files that the user does not own.
    pub(crate) groups: Vec<String>,
    /// Absolute paths that the gateway reads only.
    pub(crate) readable: Vec<PathBuf>,
    /// Absolute paths of folders that the gateway writes to.
    pub(crate) writable: Vec<PathBuf>,
    /// The absolute paths of Unix sockets.
    pub(crate) sockets: Vec<PathBuf>,
    /// Whether a port is reserved for root.
    pub(crate) has_low_port: bool,
    pub(crate) max_connections: usize,
    pub(crate) shutdown_timeout: Duration,
}

impl SystemdUnit {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let own = [&self.program, &self.folder];
        self.readable.iter().chain(&self.writable).chain(&self.sockets).chain(own)
    }

    fn uses(&self, folders: &[&str]) -> bool {
        self.paths().any(|path| folders.iter().any(|folder| path.starts_with(folder)))
    }

    /// Returns the folders of the sockets.
    fn socket_folders(&self) -> impl Iterator<Item = &Path> {
        self.sockets.iter().filter_map(|socket| socket.parent())
    }

    /// Returns the writable folders, without those that are inside another, or that the service manager creates.
    fn read_write_paths(&self) -> Vec<&Path> {
        let of_sockets = self.socket_folders().filter(|folder| created(RUNTIME, folder).is_none());
        let others = self.writable.iter().map(PathBuf::as_path);
        let folders = others.filter(|folder| created(LOGS, folder).is_none()).chain(of_sockets);
        let mut paths: Vec<&Path> = folders.collect();
        paths.sort_unstable();
        paths.dedup_by(|next, first| next.starts_with(&**first));
        paths
    }

    /// Writes the folders that the service manager creates.
    fn write_created(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_sockets: Vec<_> =
            self.socket_folders().filter_map(|folder| created(RUNTIME, folder)).collect();
        let logs: Vec<_> = self.writable.iter().filter_map(|folder| created(LOGS, folder)).collect();
        for (setting, mut names) in [("RuntimeDirectory", of_sockets), ("LogsDirectory", logs)] {
            names.sort_unstable();
            names.dedup();
            let names: Vec<_> = names.into_iter().map(path_word).collect();
            if !names.is_empty() {
                writeln!(f, "{setting}={}\n{setting}Mode=0750", names.join(" "))?;
            }
        }
        Ok(())
    }
}

/// Returns the name of a folder that the service manager creates below `/run` or `/var/log`.
fn created<'a>(parent: &str, folder: &'a Path) -> Option<&'a Path> {
    folder.strip_prefix(parent).ok().filter(|folder| folder.components().count() == 1)
}

impl fmt::Display for SystemdUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command =
            std::iter::once(path_word(&self.program)).chain(self.arguments.iter().map(|word| quote(word)));
        let mut command = command.collect::<Vec<_>>().join(" ");
        for Credential { flag, .. } in &self.credentials {
            // The folder of the copies.
            let _ = write!(command, " --{flag}=%d/{flag}");
        }
        let paths: Vec<_> = self.read_write_paths().into_iter().map(path_word).collect();
        writeln!(f, "[Unit]\nDescription=Private user uploads for any web application")?;
        writeln!(f, "After=network-online.target\nWants=network-online.target\n\n[Service]\nType=notify")?;
        writeln!(f, "User={}", self.user)?;
        if !self.groups.is_empty() {
            writeln!(f, "SupplementaryGroups={}", self.groups.join(" "))?;
        }
        writeln!(f, "WorkingDirectory={}", escape(&self.folder.to_string_lossy()))?;
        writeln!(
            f,
            "ExecStart={command}\nExecReload=/bin/sh -c 'kill -HUP ${{MAINPID}}'\nRestart=on-failure\nRestartSec=5"
        )?;
        let stop = self.shutdown_timeout.saturating_add(STOP_MARGIN);
        writeln!(f, "# Longer than limits.shutdown_timeout.\nTimeoutStopSec={}", stop.as_secs())?;
        let files = self.max_connections.saturating_mul(2).saturating_add(OTHER_FILES);
        writeln!(f, "# Two for each of limits.max_connections.\nLimitNOFILE={files}\nUMask=0027")?;
        self.write_created(f)?;
        if !self.credentials.is_empty() {
            writeln!(
                f,
                "\n# Copies of files that only root can read, made at each start. After a renewal: systemctl restart\n\
                 # Files that a group of the service can read are used without a restart."
            )?;
        }
        for Credential { flag, path } in &self.credentials {
            writeln!(f, "LoadCredential={flag}:{}", escape(&path.to_string_lossy()))?;
        }
        writeln!(
            f,
            "\n# The file system is read-only, but for the root, the state, the audit and the cache.\nProtectSystem=strict"
        )?;
        writeln!(f, "ReadWritePaths={}", paths.join(" "))?;
        let home = if self.uses(&HOMES) { "read-only" } else { "true" };
        let temporary = if self.uses(&TEMPORARY) { "false" } else { "true" };
        writeln!(f, "ProtectHome={home}\nPrivateTmp={temporary}")?;
        let capability = if self.has_low_port { "CAP_NET_BIND_SERVICE" } else { "" };
        writeln!(f, "CapabilityBoundingSet={capability}\nAmbientCapabilities={capability}")?;
        f.write_str(SANDBOX)
    }
}

/// What is the same for each configuration.
const SANDBOX: &str = "PrivateDevices=true
ProtectProc=invisible
NoNewPrivileges=true
RestrictSUIDSGID=true
RestrictNamespaces=true
RestrictRealtime=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
LockPersonality=true
MemoryDenyWriteExecute=true
RemoveIPC=true
ProtectClock=true
ProtectControlGroups=true
ProtectHostname=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
";

/// Returns a value in which systemd expands nothing.
fn escape(value: &str) -> String {
    value.replace('%', "%%")
}

fn path_word(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// Returns a word of a command line or a list (`systemd.syntax(7)`).
fn quote(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-=:,@+".contains(character);
    let escaped = escape(word).replace('$', "$$");
    if !word.is_empty() && word.chars().all(is_plain) {
        return escaped;
    }
    format!(
        "\"{}\"",
        escaped.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> SystemdUnit {
        SystemdUnit {
            program: "/usr/bin/private-media".into(),
            arguments: vec!["serve".into(), "--grant".into(), "{*file}=staff $x 5%".into()],
            folder: "/etc/private-media".into(),
            user: "media".into(),
            credentials: vec![],
            groups: vec![],
            readable: vec!["/etc/private-media/private-media.toml".into()],
            writable: vec!["/srv/private".into(), "/var/lib/media".into(), "/srv/private/x".into()],
            sockets: vec![],
            has_low_port: false,
            max_connections: 1000,
            shutdown_timeout: Duration::from_secs(30),
        }
    }

    fn assert_lines(unit: &SystemdUnit, lines: &[&str]) {
        let text = unit.to_string();
        for line in lines {
            assert!(text.lines().any(|own| own == *line), "{line}: {text}");
        }
    }

    #[test]
    fn the_sandbox_follows_the_paths() {
        assert_lines(
            &unit(),
            &[
                "ExecStart=/usr/bin/private-media serve --grant \"{*file}=staff $$x 5%%\"",
                "ReadWritePaths=/srv/private /var/lib/media",
                "ProtectHome=true",
                "PrivateTmp=true",
                "CapabilityBoundingSet=",
                "LimitNOFILE=3024",
                "TimeoutStopSec=40",
            ],
        );
        let home = SystemdUnit {
            writable: vec!["/home/app/private files".into()],
            has_low_port: true,
            groups: vec!["app".into(), "tls".into()],
            ..unit()
        };
        assert_lines(
            &home,
            &[
                "ReadWritePaths=\"/home/app/private files\"",
                "ProtectHome=read-only",
                "AmbientCapabilities=CAP_NET_BIND_SERVICE",
                "SupplementaryGroups=app tls",
            ],
        );
        assert_lines(&SystemdUnit { folder: "/tmp/x".into(), ..unit() }, &["PrivateTmp=false"]);
    }

    #[test]
    fn the_folder_of_a_socket_is_created_or_writable() {
        let with =
            |sockets: &[&str]| SystemdUnit { sockets: sockets.iter().map(PathBuf::from).collect(), ..unit() };
        assert_lines(
            &with(&["/run/media/media.sock", "/run/admin/admin.sock", "/run/media/other.sock"]),
            &["RuntimeDirectory=admin media", "ReadWritePaths=/srv/private /var/lib/media"],
        );
        assert_lines(
            &with(&["/run/media/a/media.sock"]),
            &["ReadWritePaths=/run/media/a /srv/private /var/lib/media"],
        );
        assert_lines(
            &with(&["/srv/sockets/media.sock"]),
            &["ReadWritePaths=/srv/private /srv/sockets /var/lib/media"],
        );
    }

    #[test]
    fn the_folder_of_the_audit_is_created_or_writable() {
        let with =
            |folder: &str| SystemdUnit { writable: vec!["/srv/private".into(), folder.into()], ..unit() };
        assert_lines(&with("/var/log/media"), &["LogsDirectory=media", "ReadWritePaths=/srv/private"]);
        assert_lines(&with("/var/audit"), &["ReadWritePaths=/srv/private /var/audit"]);
        assert_lines(&with("/var/log/a/b"), &["ReadWritePaths=/srv/private /var/log/a/b"]);
    }

    #[test]
    fn credentials_replace_files_of_root() {
        let key = Credential { flag: "tls-key", path: "/etc/tls/100% key.pem".into() };
        assert_lines(
            &SystemdUnit { credentials: vec![key], ..unit() },
            &[
                "ExecStart=/usr/bin/private-media serve --grant \"{*file}=staff $$x 5%%\" --tls-key=%d/tls-key",
                "LoadCredential=tls-key:/etc/tls/100%% key.pem",
            ],
        );
    }
}
