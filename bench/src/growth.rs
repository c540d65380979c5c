//! How the cost of one request grows with what there is beside it: files, sessions, grants, idle connections, and somebody who reads a
//! cold file that is larger than the memory.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::Advice;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::load::{self, Load};
use crate::peers::{Testbed, own};
use crate::result::Result;
use crate::usage::of_sessions;

/// What is measured, and how much of it.
pub(crate) struct Growth {
    pub(crate) seconds: u64,
    pub(crate) files: u32,
    pub(crate) sessions: u32,
    pub(crate) connections: u32,
    pub(crate) cold_gib: u64,
}

const FILES_IN_A_FOLDER: u32 = 1000;
const KIB: [u8; 1024] = [7; 1024];

/// The whole table, as Markdown.
pub(crate) fn run(growth: &Growth, bed: &Testbed) -> Result<String> {
    let mut table = String::from(
        "The gateway on one core and wrk on the other, 32 connections, files of 1 KiB, accounts' sessions and an owner's grant. × is \
         against the first line of its kind.\n\n| | requests/s | p50 µs | × | p99 µs | × |\n|---|--:|--:|--:|--:|--:|\n",
    );
    let mut kind = Kind::new(&mut table);
    let cookie = own::cookies(bed, 1)?.concat();
    // First, as the memory that reading many accounts took is given back little by little.
    let (connections, bytes) = idle(growth, bed, &cookie)?;
    let mut made = 0;
    for count in steps(10, growth.files) {
        files(&bed.root(), made, count)?;
        made = count;
        let hot: Vec<_> = (0..10).map(|number| (file(number * (count / 10)), cookie.clone())).collect();
        kind.add(&format!("{count} files, 10 of them asked for"), &ask(growth, bed, &[], &hot)?)?;
    }
    let spread: Vec<_> =
        (0..made).step_by((made as usize / 100_000).max(1)).map(|n| (file(n), cookie.clone())).collect();
    kind.add(
        &format!("{made} files, {} of them asked for in turn", spread.len()),
        &ask(growth, bed, &[], &spread)?,
    )?;
    let mut kind = Kind::new(&mut table);
    for count in steps(1, growth.sessions) {
        let asked: Vec<_> = own::cookies(bed, count)?
            .into_iter()
            .map(|cookie| ("shared/1k.jpg".to_owned(), cookie))
            .collect();
        kind.add(
            &format!("{count} sessions in turn"),
            &ask(growth, bed, &["shared/{*file}=authenticated"], &asked)?,
        )?;
    }
    let mut kind = Kind::new(&mut table);
    for count in steps(1, 1000) {
        let mut grants: Vec<_> =
            (1..count).map(|number| format!("area{number}/{{owner}}/{{*file}}=owner")).collect();
        grants.push("shared/{*file}=authenticated".into());
        let grants: Vec<_> = grants.iter().map(String::as_str).collect();
        kind.add(
            &format!("{count} grants, the last one decides"),
            &ask(growth, bed, &grants, &[("shared/1k.jpg".into(), cookie.clone())])?,
        )?;
    }
    cold(growth, bed, &cookie, &mut Kind::new(&mut table))?;
    let _ = writeln!(
        table,
        "\n{connections} idle connections that have asked once: {bytes} bytes of memory each."
    );
    Ok(table)
}

/// 1, 10, 100 and so on, to the largest.
fn steps(first: u32, largest: u32) -> Vec<u32> {
    let mut steps: Vec<_> = std::iter::successors(Some(first), |count| count.checked_mul(10))
        .take_while(|count| *count < largest)
        .collect();
    steps.push(largest.max(first));
    steps
}

/// The lines of one kind, each beside the first.
struct Kind<'a> {
    table: &'a mut String,
    first: Option<Load>,
}

impl<'a> Kind<'a> {
    fn new(table: &'a mut String) -> Self {
        Self { table, first: None }
    }

    #[expect(clippy::cast_precision_loss, reason = "nothing here is counted to 2^52")]
    fn add(&mut self, what: &str, done: &Load) -> Result<()> {
        eprintln!("{what}: {done:?}");
        let first = self.first.get_or_insert(*done);
        let ratio = |of: fn(&Load) -> Duration| of(done).as_secs_f64() / of(first).as_secs_f64();
        writeln!(
            self.table,
            "| {what} | {:.0} | {} | {:.2} | {} | {:.2} |",
            done.requests as f64 / done.time.as_secs_f64(),
            done.p50.as_micros(),
            ratio(|done| done.p50),
            done.p99.as_micros(),
            ratio(|done| done.p99),
        )?;
        Ok(())
    }
}

/// Starts a gateway, and has wrk ask it for these in turn, after once without the clock.
fn ask(growth: &Growth, bed: &Testbed, grants: &[&str], asked: &[(String, String)]) -> Result<Load> {
    let (address, _server) = own::started(bed, grants)?;
    load::in_turn(bed, address, asked, 1)?;
    load::in_turn(bed, address, asked, growth.seconds)
}

fn file(number: u32) -> String {
    format!("cars/7/{}/{}.jpg", number / FILES_IN_A_FOLDER, number % FILES_IN_A_FOLDER)
}

fn files(root: &Path, from: u32, to: u32) -> Result<()> {
    for number in from..to {
        let path = root.join(file(number));
        if number % FILES_IN_A_FOLDER == 0 || number == from {
            std::fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        }
        std::fs::write(path, KIB)?;
    }
    std::fs::create_dir_all(root.join("shared"))?;
    std::fs::write(root.join("shared/1k.jpg"), KIB)?;
    // Nothing of this is still on its way to the disk when something is timed.
    rustix::fs::sync();
    Ok(())
}

/// Small files for many, alone and beside one who reads what is on the disk.
fn cold(growth: &Growth, bed: &Testbed, cookie: &str, kind: &mut Kind<'_>) -> Result<()> {
    let path = bed.root().join("cars/7/cold.bin");
    let mut file = File::create(&path)?;
    let piece: Vec<u8> =
        (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect();
    for _ in 0..growth.cold_gib << 10 {
        file.write_all(&piece)?;
    }
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
    let (address, _server) = own::started(bed, &[])?;
    let hot = [("cars/7/1k.jpg".to_owned(), cookie.to_owned())];
    load::in_turn(bed, address, &hot, 1)?;
    kind.add("one small file", &load::in_turn(bed, address, &hot, growth.seconds)?)?;
    let ended = AtomicBool::new(false);
    let (done, read) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            read_all(address, "cars/7/cold.bin", cookie, &ended).map_err(|error| error.to_string())
        });
        let done = load::in_turn(bed, address, &hot, growth.seconds);
        ended.store(true, Ordering::Relaxed);
        (done, reader.join())
    });
    let read = read.map_err(|_| "the reader panicked")??;
    kind.add(
        &format!(
            "the same, while one reads a cold file of {} GiB ({} MiB of it)",
            growth.cold_gib,
            read >> 20
        ),
        &done?,
    )?;
    Ok(std::fs::remove_file(path)?)
}

/// Asks, and says whether the connection is to stay.
fn get(address: SocketAddr, path: &str, cookie: &str, connection: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(
        format!("GET /private/{path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nConnection: {connection}\r\n\r\n").as_bytes(),
    )?;
    Ok(stream)
}

/// Reads until there is no more, or it is time; gives how much there was.
fn read_all(address: SocketAddr, path: &str, cookie: &str, ended: &AtomicBool) -> Result<u64> {
    let mut stream = get(address, path, cookie, "close")?;
    let (mut buffer, mut read) = (vec![0; 1 << 20], 0);
    while !ended.load(Ordering::Relaxed) {
        match stream.read(&mut buffer)? {
            0 => break,
            count => read += count as u64,
        }
    }
    Ok(read)
}

/// How much memory a connection takes that has been answered, and stays; and how many were made. The gateway takes as many as it has
/// two files for.
fn idle(growth: &Growth, bed: &Testbed, cookie: &str) -> Result<(u64, u64)> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let fit = maximum.map_or(u64::MAX, |maximum| (maximum / 2).saturating_sub(200));
    let connections = u64::from(growth.connections).min(fit);
    setrlimit(Resource::Nofile, Rlimit { current: Some(connections + 100), maximum })?;
    let (address, server) = own::started(bed, &[])?;
    get(address, "cars/7/1k.jpg", cookie, "keep-alive")?;
    let before = of_sessions(&[server.id()])?.memory;
    let mut streams = Vec::new();
    for _ in 0..connections {
        let mut stream = get(address, "cars/7/1k.jpg", cookie, "keep-alive")?;
        load::read_head(&mut stream)?;
        streams.push(stream);
    }
    let after = of_sessions(&[server.id()])?.memory;
    Ok((connections, after.saturating_sub(before) / connections.max(1)))
}
