//! Apache, which sends what Django permits, by X-Sendfile.

use std::net::SocketAddr;

use super::{Place, Server};
use crate::Result;

const MODULES: &str = "/usr/lib/apache2/modules";

/// Apache in front of an application.
pub(super) fn start(place: &Place, front: SocketAddr, application: SocketAddr) -> Result<Server> {
    let (folder, root) = (place.path(""), place.root());
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
    let path = place.path("apache.conf");
    std::fs::write(&path, config)?;
    place.start("apache", front, |command| {
        command.arg("apache2").arg("-f").arg(&path).arg("-DFOREGROUND");
    })
}
