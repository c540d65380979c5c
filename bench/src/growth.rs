//! How the cost of one request grows with the numbers of files, sessions, grants and idle connections, and while a client reads a cold
//! file that is larger than the memory.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::Advice;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::http;
use crate::load::{self, Load};
use crate::peers::own;
use crate::result::Result;
use crate::testbed::Testbed;
use crate::tree;
use crate::usage::of_sessions;

/// The sizes of the measurement.
pub(crate) struct Growth {
    pub(crate) seconds: u64,
    pub(crate) files: u32,
    pub(crate) sessions: u32,
    pub(crate) connections: u32,
    pub(crate) cold_gib: u64,
}

const SMALL_FILE: &str = "cars/7/1k.jpg";
const SHARED_FILE: &str = "shared/1k.jpg";

/// Measures all of it, and returns a table in Markdown.
pub(crate) fn run(growth: &Growth, bed: &Testbed) -> Result<String> {
    let mut table = String::from(
        "The gateway on one core and wrk on the other, 32 connections, files of 1 KiB, sessions of accounts and an owner's grant. × is \
         the ratio to the first line of its kind.\n\n| | requests/s | p50 µs | × | p99 µs | × |\n|---|--:|--:|--:|--:|--:|\n",
    );
    let mut kind = Kind::new(&mut table);
    let cookie = own::cookies(bed, 1)?.concat();
    // Idle connections come first: the memory of reading many accounts is returned slowly.
    let (connections, bytes) = idle(growth, bed, &cookie)?;
    let mut made = 0;
    for count in steps(10, growth.files) {
        tree::make_many(&bed.root(), made..count)?;
        made = count;
        let hot: Vec<_> = (0..10).map(|number| (file(number * (count / 10)), cookie.clone())).collect();
        kind.add(&format!("{count} files, 10 of them requested"), &ask(growth, bed, &[], &hot)?)?;
    }
    let spread: Vec<_> =
        (0..made).step_by((made as usize / 100_000).max(1)).map(|n| (file(n), cookie.clone())).collect();
    kind.add(
        &format!("{made} files, {} of them requested in turn", spread.len()),
        &ask(growth, bed, &[], &spread)?,
    )?;
    std::fs::create_dir_all(bed.root().join("shared"))?;
    std::fs::copy(bed.root().join(SMALL_FILE), bed.root().join(SHARED_FILE))?;
    let mut kind = Kind::new(&mut table);
    for count in steps(1, growth.sessions) {
        let requests: Vec<_> =
            own::cookies(bed, count)?.into_iter().map(|cookie| (SHARED_FILE.to_owned(), cookie)).collect();
        kind.add(
            &format!("{count} sessions in turn"),
            &ask(growth, bed, &["shared/{*file}=authenticated"], &requests)?,
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
            &ask(growth, bed, &grants, &[(SHARED_FILE.into(), cookie.clone())])?,
        )?;
    }
    cold(growth, bed, &cookie, &mut Kind::new(&mut table))?;
    let _ = writeln!(
        table,
        "\n{connections} idle connections after one request each: {bytes} bytes of memory each."
    );
    Ok(table)
}

/// Returns the steps from the first to the largest, each ten times the one before.
fn steps(first: u32, largest: u32) -> Vec<u32> {
    let mut steps: Vec<_> = std::iter::successors(Some(first), |count| count.checked_mul(10))
        .take_while(|count| *count < largest)
        .collect();
    steps.push(largest.max(first));
    steps
}

/// The lines of one kind, with their ratios to the first.
struct Kind<'a> {
    table: &'a mut String,
    first: Option<Load>,
}

impl<'a> Kind<'a> {
    fn new(table: &'a mut String) -> Self {
        Self { table, first: None }
    }

    #[expect(clippy::cast_precision_loss, reason = "no count reaches 2^52")]
    fn add(&mut self, name: &str, load: &Load) -> Result<()> {
        eprintln!("{name}: {load:?}");
        let first = self.first.get_or_insert(*load);
        let ratio = |of: fn(&Load) -> Duration| of(load).as_secs_f64() / of(first).as_secs_f64();
        writeln!(
            self.table,
            "| {name} | {:.0} | {} | {:.2} | {} | {:.2} |",
            load.requests as f64 / load.time.as_secs_f64(),
            load.p50.as_micros(),
            ratio(|load| load.p50),
            load.p99.as_micros(),
            ratio(|load| load.p99),
        )?;
        Ok(())
    }
}

/// Measures a new gateway with requests for these paths with these cookies, in turn, after a second of warming up.
fn ask(growth: &Growth, bed: &Testbed, grants: &[&str], requests: &[(String, String)]) -> Result<Load> {
    let (address, _server) = own::started(bed, grants)?;
    in_turn(bed, address, requests, 1)?;
    in_turn(bed, address, requests, growth.seconds)
}

fn in_turn(bed: &Testbed, address: SocketAddr, requests: &[(String, String)], seconds: u64) -> Result<Load> {
    let requests: Vec<_> =
        requests.iter().map(|(path, cookie)| (format!("/private/{path}"), cookie.clone())).collect();
    load::in_turn(bed, address, "Cookie", &requests, seconds)
}

fn file(number: u32) -> String {
    format!("cars/7/{}", tree::name_of(number))
}

/// Measures a small file, alone and while another client reads a cold file.
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
    let hot = [(SMALL_FILE.to_owned(), cookie.to_owned())];
    in_turn(bed, address, &hot, 1)?;
    kind.add("one small file", &in_turn(bed, address, &hot, growth.seconds)?)?;
    let ended = AtomicBool::new(false);
    let (done, read) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            read_all(address, "cars/7/cold.bin", cookie, &ended).map_err(|error| error.to_string())
        });
        let done = in_turn(bed, address, &hot, growth.seconds);
        ended.store(true, Ordering::Relaxed);
        (done, reader.join())
    });
    let read = read.map_err(|_| "the reader panicked")??;
    kind.add(
        &format!(
            "the same, while a client reads a cold file of {} GiB ({} MiB of it)",
            growth.cold_gib,
            read >> 20
        ),
        &done?,
    )?;
    Ok(std::fs::remove_file(path)?)
}

fn get(address: SocketAddr, path: &str, cookie: &str, connection: &str) -> Result<TcpStream> {
    let fields = format!("Cookie: {cookie}\r\nConnection: {connection}\r\n");
    http::send(address, &format!("GET /private/{path}"), &fields)
}

/// Reads a response until it ends or `ended` is set, and returns how many bytes were read.
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

/// Returns how many idle connections were made, and the memory of each. The gateway accepts as many connections as it has two
/// descriptors for.
fn idle(growth: &Growth, bed: &Testbed, cookie: &str) -> Result<(u64, u64)> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let fit = maximum.map_or(u64::MAX, |maximum| (maximum / 2).saturating_sub(200));
    let connections = u64::from(growth.connections).min(fit);
    setrlimit(Resource::Nofile, Rlimit { current: Some(connections + 100), maximum })?;
    let (address, server) = own::started(bed, &[])?;
    get(address, SMALL_FILE, cookie, "keep-alive")?;
    let before = of_sessions(&[server.id()])?.memory;
    let mut streams = Vec::new();
    for _ in 0..connections {
        let mut stream = get(address, SMALL_FILE, cookie, "keep-alive")?;
        http::read_head(&mut stream)?;
        streams.push(stream);
    }
    let after = of_sessions(&[server.id()])?.memory;
    Ok((connections, after.saturating_sub(before) / connections.max(1)))
}
