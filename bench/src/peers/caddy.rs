//! Caddy with `forward_auth`: a trivial upstream authorizes each request.

use crate::result::Result;
use crate::running_peer::RunningPeer;
use crate::testbed::{Testbed, free_address};

pub(super) fn forward_auth(bed: &Testbed) -> Result<RunningPeer> {
    let (address, upstream) = (free_address()?, free_address()?);
    let root = bed.root().display().to_string();
    let config = bed.path("Caddyfile");
    std::fs::write(
        &config,
        format!(
            "{{\n\tadmin off\n\tauto_https off\n}}\nhttp://:{} {{\n\tbind 127.0.0.1\n\t@reader header X-User 7\n\t\
             respond @reader 204\n\trespond 403\n}}\nhttp://:{} {{\n\tbind 127.0.0.1\n\tforward_auth {upstream} {{\n\t\turi /\n\t}}\n\t\
             handle_path /private/* {{\n\t\troot * {root}\n\t\tfile_server\n\t}}\n}}\n",
            upstream.port(),
            address.port()
        ),
    )?;
    let server = bed.start("caddy", address, |command| {
        command.arg("caddy").args(["run", "--adapter", "caddyfile", "--config"]).arg(&config);
        command.env("XDG_DATA_HOME", bed.path("caddy")).env("XDG_CONFIG_HOME", bed.path("caddy"));
        command.env("GOMAXPROCS", bed.workers().to_string());
    })?;
    Ok(RunningPeer {
        denied_status: 403,
        ..RunningPeer::private(address, vec![server], ("X-User", "7".into()))
    })
}
