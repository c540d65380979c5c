//! Starts real front servers with the configuration that `private-media config` prints.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) use private_media_gateway::front::FrontServer;

pub(crate) use crate::support::free_address;
use crate::support::needs;

/// A front server that may be installed on this machine.
pub(crate) trait Installed: Copy {
    fn program(self) -> &'static str;
    /// Returns whether this machine has the server; a missing one is reported.
    fn is_installed(self) -> bool;
}

impl Installed for FrontServer {
    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "/usr/sbin/nginx",
            Self::Apache => "/usr/sbin/apache2",
            Self::Lighttpd => "/usr/sbin/lighttpd",
            Self::Caddy => "/usr/bin/caddy",
            other => panic!("no tests for {other:?}"),
        }
    }

    fn is_installed(self) -> bool {
        let module = match self {
            Self::Apache => "/usr/lib/apache2/modules/mod_xsendfile.so",
            Self::Lighttpd => "/usr/lib/lighttpd/mod_deflate.so",
            _ => self.program(),
        };
        needs(self.name(), [self.program(), module].iter().all(|file| Path::new(file).exists()))
    }
}

/// A running front server. It is stopped when the test ends.
pub(crate) struct Front {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Front {
    /// Starts a server with these blocks in its configuration, and waits until it listens.
    pub(crate) fn start(kind: FrontServer, address: SocketAddr, blocks: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("block.conf"), blocks).unwrap();
        let main = match kind {
            FrontServer::Nginx => nginx(folder.path()),
            FrontServer::Apache => apache(folder.path(), address),
            FrontServer::Lighttpd => lighttpd(folder.path(), address),
            _ => caddy(),
        };
        std::fs::write(at("main.conf"), main).unwrap();
        // Workers run as another user.
        open_to_all(folder.path());
        let mut command = Command::new(kind.program());
        match kind {
            FrontServer::Nginx => command.arg("-c").arg(at("main.conf")),
            FrontServer::Apache => command.arg("-f").arg(at("main.conf")).arg("-DFOREGROUND"),
            FrontServer::Lighttpd => command.arg("-D").arg("-f").arg(at("main.conf")),
            _ => {
                command.env("XDG_DATA_HOME", folder.path()).env("XDG_CONFIG_HOME", folder.path());
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(at("main.conf"))
            }
        };
        let log = std::fs::File::create(at("log")).unwrap();
        let mut child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "{kind:?} does not start ({ended:?}): {}\n{blocks}",
                logs(folder.path())
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, address, folder }
    }

    /// Returns its log, for messages of failed tests.
    pub(crate) fn log(&self) -> String {
        logs(self.folder.path())
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // After SIGTERM, the server stops its workers.
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let end = Instant::now() + Duration::from_secs(10);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                let _ = self.child.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Lets all users read a folder and everything below it. Workers of front servers run as another user.
pub(crate) fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;

    let metadata = std::fs::symlink_metadata(path).unwrap();
    if metadata.is_symlink() {
        return;
    }
    let mode = metadata.permissions().mode() | if metadata.is_dir() { 0o755 } else { 0o644 };
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            open_to_all(&entry.unwrap().path());
        }
    }
}

fn logs(folder: &Path) -> String {
    ["log", "error.log"].iter().fold(String::new(), |mut all, name| {
        let _ = write!(all, "{}", std::fs::read_to_string(folder.join(name)).unwrap_or_default());
        all
    })
}

fn nginx(folder: &Path) -> String {
    let folder = folder.display();
    let user = if rustix::process::geteuid().is_root() { "user www-data;\n" } else { "" };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("    {what}_temp_path {folder}/{what};\n"))
        .collect();
    format!(
        "{user}daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log info;\nevents {{}}\nhttp {{\n    access_log off;\n    gzip on;\n    \
         open_file_cache max=1000;\n    open_file_cache_valid 60s;\n             gzip_types *;\n    gzip_proxied any;\n    gzip_min_length 1;\n    include /etc/nginx/mime.types;\n{temporary}    include {folder}/block.conf;\n}}\n"
    )
}

fn apache(folder: &Path, address: SocketAddr) -> String {
    // The default modules of Debian, and others that could change responses.
    const MODULES: [&str; 16] = [
        "mpm_event",
        "authz_core",
        "alias",
        "autoindex",
        "deflate",
        "dir",
        "env",
        "expires",
        "filter",
        "headers",
        "mime",
        "negotiation",
        "proxy",
        "proxy_http",
        "setenvif",
        "xsendfile",
    ];
    let modules: String = MODULES
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let folder = folder.display();
    let user = if rustix::process::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" };
    format!(
        "{modules}{user}ServerName localhost\nServerRoot {folder}\nPidFile {folder}/pid\nErrorLog {folder}/error.log\n\
         TypesConfig /etc/mime.types\nSetOutputFilter DEFLATE\nExpiresActive On\nExpiresDefault A86400\nListen {address}\nInclude {folder}/block.conf\n"
    )
}

fn lighttpd(folder: &Path, address: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "server.modules = (\"mod_access\", \"mod_deflate\")\nurl.access-deny = (\"~\", \".inc\")\n\
         server.http-parseopts = (\"url-normalize-unreserved\" => \"enable\", \"url-path-2f-decode\" => \"enable\")\n\
         deflate.mimetypes = (\"\")\ndeflate.allowed-encodings = (\"gzip\")\nserver.document-root = \"{folder}\"\nserver.bind = \"{}\"\nserver.port = {}\nserver.pid-file = \"{folder}/pid\"\n\
         server.errorlog = \"{folder}/error.log\"\nserver.upload-dirs = (\"{folder}\")\ninclude \"{folder}/block.conf\"\n",
        address.ip(),
        address.port()
    )
}

fn caddy() -> String {
    "{\n    admin off\n    auto_https off\n}\nimport block.conf\n".into()
}
