//! The systemd unit of a configuration.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Open files that are not those of connections.
const OTHER_FILES: usize = 1024;
/// How long the service manager waits after `limits.shutdown_timeout`.
const STOP_MARGIN: Duration = Duration::from_secs(10);
/// Folders that `ProtectHome=` hides, and those that `PrivateTmp=` replaces.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// The folder of the runtime folders of services.
const RUNTIME: &str = "/run";

/// A unit that serves one configuration in a sandbox. `Display` writes its file.
#[derive(Debug)]
pub(crate) struct SystemdUnit {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) folder: PathBuf,
    pub(crate) user: String,
    /// The group of the files, if the user is not their owner.
    pub(crate) files_group: Option<String>,
    /// Absolute paths that the gateway reads only.
    pub(crate) readable: Vec<PathBuf>,
    /// Absolute paths of folders that the gateway writes to.
    pub(crate) writable: Vec<PathBuf>,
    /// The absolute path of a Unix socket.
    pub(crate) socket: Option<PathBuf>,
    /// Whether the port is reserved for root.
    pub(crate) has_low_port: bool,
    pub(crate) max_connections: usize,
    pub(crate) shutdown_timeout: Duration,
}

impl SystemdUnit {
    fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        let own = [&self.program, &self.folder];
        self.readable.iter().chain(&self.writable).chain(&self.socket).chain(own)
    }

    fn uses(&self, folders: &[&str]) -> bool {
        self.paths().any(|path| folders.iter().any(|folder| path.starts_with(folder)))
    }

    /// Returns the name of a folder below `/run` that the service manager creates for the socket.
    fn runtime_folder(&self) -> Option<&Path> {
        let folder = self.socket.as_deref()?.parent()?.strip_prefix(RUNTIME).ok()?;
        Some(folder).filter(|folder| folder.components().count() == 1)
    }

    /// Returns the writable folders, without those that are inside another, or that the service manager creates.
    fn read_write_paths(&self) -> Vec<&Path> {
        let of_socket = if self.runtime_folder().is_some() { None } else { self.socket.as_deref() };
        let folders = self.writable.iter().map(PathBuf::as_path).chain(of_socket.and_then(Path::parent));
        let mut paths: Vec<&Path> = folders.collect();
        paths.sort_unstable();
        paths.dedup_by(|next, first| next.starts_with(&**first));
        paths
    }
}

impl fmt::Display for SystemdUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let command =
            std::iter::once(path_word(&self.program)).chain(self.arguments.iter().map(|word| quote(word)));
        let command = command.collect::<Vec<_>>().join(" ");
        let paths: Vec<_> = self.read_write_paths().into_iter().map(path_word).collect();
        writeln!(f, "[Unit]\nDescription=Private user uploads for any web application")?;
        writeln!(f, "After=network-online.target\nWants=network-online.target\n\n[Service]\nType=notify")?;
        writeln!(f, "User={}", self.user)?;
        if let Some(group) = &self.files_group {
            writeln!(f, "SupplementaryGroups={group}")?;
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
        if let Some(folder) = self.runtime_folder() {
            writeln!(f, "RuntimeDirectory={}\nRuntimeDirectoryMode=0750", escape(&folder.to_string_lossy()))?;
        }
        writeln!(
            f,
            "\n# The file system is read-only, but for the root and the state.\nProtectSystem=strict"
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
            files_group: None,
            readable: vec!["/etc/private-media/private-media.toml".into()],
            writable: vec!["/srv/private".into(), "/var/lib/media".into(), "/srv/private/x".into()],
            socket: None,
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
            files_group: Some("app".into()),
            ..unit()
        };
        assert_lines(
            &home,
            &[
                "ReadWritePaths=\"/home/app/private files\"",
                "ProtectHome=read-only",
                "AmbientCapabilities=CAP_NET_BIND_SERVICE",
                "SupplementaryGroups=app",
            ],
        );
        assert_lines(&SystemdUnit { folder: "/tmp/x".into(), ..unit() }, &["PrivateTmp=false"]);
    }

    #[test]
    fn the_folder_of_a_socket_is_created_or_writable() {
        let with = |socket: &str| SystemdUnit { socket: Some(socket.into()), ..unit() };
        assert_lines(
            &with("/run/media/media.sock"),
            &["RuntimeDirectory=media", "ReadWritePaths=/srv/private /var/lib/media"],
        );
        assert_lines(
            &with("/run/media/a/media.sock"),
            &["ReadWritePaths=/run/media/a /srv/private /var/lib/media"],
        );
        assert_lines(
            &with("/srv/sockets/media.sock"),
            &["ReadWritePaths=/srv/private /srv/sockets /var/lib/media"],
        );
    }
}
