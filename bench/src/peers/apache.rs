//! Apache in front of Django, sending files by X-Sendfile.

use std::net::SocketAddr;

use crate::result::Result;
use crate::testbed::{Server, Testbed};

const MODULES: &str = "/usr/lib/apache2/modules";

/// Starts Apache in front of an application.
pub(super) fn start(bed: &Testbed, front: SocketAddr, application: SocketAddr) -> Result<Server> {
    let (folder, root) = (bed.path(""), bed.root());
    let modules: String = ["mpm_event", "authz_core", "proxy", "proxy_http", "xsendfile"]
        .iter()
        .map(|name| format!("LoadModule {name}_module {MODULES}/mod_{name}.so\n"))
        .collect();
    let config = format!(
        "ServerRoot {folder}\nServerName localhost\nListen {front}\nUser nobody\nGroup nogroup\n{modules}PidFile {folder}/apache.pid\n\
         DefaultRuntimeDir {folder}\nErrorLog {folder}/apache.err\nKeepAlive On\nMaxKeepAliveRequests 0\nListenBacklog 4096\n\
         <Directory {root}>\n Require all granted\n</Directory>\n\
         XSendFile On\nXSendFilePath {root}\nProxyPreserveHost On\nProxyPass / http://{application}/\n",
        folder = folder.display(),
        root = root.display(),
    );
    let path = bed.path("apache.conf");
    std::fs::write(&path, config)?;
    bed.start("apache", front, |command| {
        command.arg("apache2").arg("-f").arg(&path).arg("-DFOREGROUND");
    })
}
