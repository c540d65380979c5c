//! Downloads take longer than the default limits of `object_store`: 30 seconds for a request, and 180 for its retries.

use std::io::Read as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use private_media::storage::content;
use private_media::{MediaPath, Permit, SaveOptions, Storage as _};

use super::cluster::Cluster;
use crate::relocate_buckets::runtime;
use crate::s3_proxy::{Fault, Proxy, Seen};
use crate::support::{Place, credentials, send};

/// How long the downloads take.
const TIME: Duration = Duration::from_mins(11);
/// Longer than all buffers between the store and the client, so that the client slows down the store.
const LONG: usize = 96 << 20;
/// Fast enough for `limits.min_rate`.
const SHORT: usize = 2 << 20;

#[test]
fn downloads_of_eleven_minutes_arrive_whole() {
    let Some(cluster) = Cluster::start() else { return };
    let (place, runtime, storage) = (Place::new(), runtime(), cluster.storage(cluster.ports[0], "media"));
    for (name, len) in [("long.bin", LONG), ("short.bin", SHORT)] {
        let permit = Permit::trusted(MediaPath::new(&format!("cars/7/{name}")).unwrap());
        let options = SaveOptions::new();
        runtime.block_on(storage.save(&permit, content(bytes(len)), &options)).unwrap();
    }
    let is_content = |method: &str, target: &str| method == "GET" && target.contains("short.bin");
    let slow = move |seen: &Seen, _| {
        if is_content(&seen.method, &seen.target) { Fault::Slow(TIME) } else { Fault::None }
    };
    let proxy = runtime.block_on(Proxy::start(cluster.ports[0], slow));
    let gateway = cluster.serve(cluster.ports[0], &place, "gateway.log");
    let gateway_of_slow_store = cluster.serve(proxy.port, &place, "slow.log");
    std::thread::scope(|scope| {
        let slow_client = scope.spawn(|| download(gateway.address, "long.bin", LONG, Some(TIME)));
        let slow_store = scope.spawn(|| download(gateway_of_slow_store.address, "short.bin", SHORT, None));
        slow_client.join().unwrap();
        slow_store.join().unwrap();
    });
    let requests = proxy.requests();
    let gets = requests.iter().filter(|request| {
        let (method, target) = request.split_once(' ').unwrap();
        is_content(method, target)
    });
    assert_eq!(gets.count(), 1, "the slow store sent the file in one response: {requests:#?}");
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at.wrapping_mul(2_654_435_761) >> 13 & 0xff).unwrap()).collect()
}

/// Downloads a file, in about this time if it is given.
fn download(address: SocketAddr, name: &str, len: usize, time: Option<Duration>) {
    let begin = Instant::now();
    let mut stream = send(address, &format!("GET /private/cars/7/{name}"), &credentials("alice"), b"");
    let (mut received, mut piece) = (Vec::with_capacity(len + 1000), vec![0; len / 1000]);
    loop {
        let count = stream.read(&mut piece).unwrap();
        if count == 0 {
            break;
        }
        received.extend_from_slice(&piece[..count]);
        if let Some(time) = time {
            let due = time * u32::try_from(received.len() >> 10).unwrap() / u32::try_from(len >> 10).unwrap();
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
        }
    }
    let end = received.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    assert!(received.starts_with(b"HTTP/1.1 200 "), "{name}");
    assert!(received[end..] == bytes(len), "{name}: {} bytes", received.len() - end);
    assert!(
        begin.elapsed() > Duration::from_mins(10),
        "{name}: {:?} is too fast to test anything",
        begin.elapsed()
    );
}
