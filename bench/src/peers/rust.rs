//! Other Rust servers.

use crate::result::Result;
use crate::running_peer::RunningPeer;
use crate::testbed::{Testbed, built, free_address};
use crate::tree::FILES;

/// Starts an epoll loop that sends prepared responses, and larger files by sendfile(2).
pub(super) fn floor(bed: &Testbed) -> Result<RunningPeer> {
    let (address, program) = (free_address()?, built("floor")?);
    let server = bed.start("floor", address, |command| {
        command.arg(program).arg(address.to_string());
        command.args(FILES.map(|(name, _)| bed.root().join("cars/7").join(name)));
    })?;
    Ok(RunningPeer {
        only: Some(&[
            "1 KiB",
            "10 KiB",
            "100 KiB",
            "1 MiB",
            "1 GiB",
            "1 MiB of 1 GiB",
            "304",
            "HEAD",
            "1 KiB, 1 client",
            "1 KiB, 1000 clients",
        ]),
        ..RunningPeer::public(address, vec![server])
    })
}

/// Starts tower-http's `ServeDir`, without authorization.
pub(super) fn servedir(bed: &Testbed) -> Result<RunningPeer> {
    let (address, program) = (free_address()?, built("servedir")?);
    let server = bed.start("servedir", address, |command| {
        command.env("TOKIO_WORKER_THREADS", bed.workers().to_string());
        command.arg(program).arg(address.to_string()).arg(bed.root());
    })?;
    Ok(RunningPeer::public(address, vec![server]))
}
