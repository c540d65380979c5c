//! The program `private-media`: private files beside any web application.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Gives back what it does not need: a password takes 19 MiB to check, and the C library's allocator keeps such pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    private_media_gateway::main()
}
