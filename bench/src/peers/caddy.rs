//! Caddy asks a trivial upstream for each request whether it may.

use super::{Place, Running, free_address};
use crate::Result;

pub(super) fn forward_auth(place: &Place) -> Result<Running> {
    let (address, upstream) = (free_address()?, free_address()?);
    let root = place.root().display().to_string();
    let config = place.path("Caddyfile");
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
    let server = place.start("caddy", address, |command| {
        command.arg("caddy").args(["run", "--adapter", "caddyfile", "--config"]).arg(&config);
        command.env("XDG_DATA_HOME", place.path("caddy")).env("XDG_CONFIG_HOME", place.path("caddy"));
        command.env("GOMAXPROCS", place.workers().to_string());
    })?;
    Ok(Running { denied_status: 403, ..Running::private(address, vec![server], ("X-User", "7".into())) })
}
