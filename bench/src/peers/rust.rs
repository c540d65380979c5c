//! Rust programs beside ours.

use super::{Place, Running, built, free_address};
use crate::Result;
use crate::tree::FILES;

/// A loop that sends ready answers, and files by sendfile(2).
pub(super) fn floor(place: &Place) -> Result<Running> {
    let (address, program) = (free_address()?, built("floor")?);
    let server = place.start("floor", address, |command| {
        command.arg(program).arg(address.to_string());
        command.args(FILES.map(|(name, _)| place.root().join("cars/7").join(name)));
    })?;
    Ok(Running {
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
        ..Running::public(address, vec![server])
    })
}

/// tower-http's static files, for everybody.
pub(super) fn servedir(place: &Place) -> Result<Running> {
    let (address, program) = (free_address()?, built("servedir")?);
    let server = place.start("servedir", address, |command| {
        command.env("TOKIO_WORKER_THREADS", place.workers().to_string());
        command.arg(program).arg(address.to_string()).arg(place.root());
    })?;
    Ok(Running::public(address, vec![server]))
}
