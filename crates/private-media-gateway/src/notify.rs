//! Reports to systemd (the protocol of `sd_notify(3)`).

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// Reports that the process serves.
pub(crate) fn ready() {
    send("READY=1");
}

/// Reports that the configuration is being reloaded, until [`ready`] or [`reloaded`].
pub(crate) fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    send(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000));
}

/// Reports the end of a reload, with a line for `systemctl status`.
pub(crate) fn reloaded(status: &str) {
    send(&format!("READY=1\nSTATUS={}", status.replace('\n', " ")));
}

pub(crate) fn stopping() {
    send("STOPPING=1");
}

/// Reports that another process is the main one of the service from now on.
pub(crate) fn main_process(id: u32) {
    send(&format!("MAINPID={id}\nSTATUS=upgraded"));
}

/// Sends a message, if systemd wants any. Without systemd, or if it does not read, nothing depends on it.
fn send(message: &str) {
    if let Some(path) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send_to(path.as_bytes(), message)
    {
        tracing::debug!(%error, message, "cannot report to systemd");
    }
}

fn send_to(path: &[u8], message: &str) -> io::Result<()> {
    let address = match path.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_reach_sockets_with_a_path_and_abstract_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("private-media-test-{}", std::process::id());
        let receivers = [
            (path.as_os_str().as_bytes().to_vec(), UnixDatagram::bind(&path).unwrap()),
            (
                format!("@{name}").into_bytes(),
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
            ),
        ];
        for (address, receiver) in receivers {
            send_to(&address, "READY=1").unwrap();
            let mut message = [0; 100];
            let len = receiver.recv(&mut message).unwrap();
            assert_eq!(&message[..len], b"READY=1");
        }
        assert!(send_to(b"/nonexistent", "READY=1").is_err());
    }
}
