//! A slow disk delays only requests for files that are not in the page cache.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};

use crate::support::{ControlGroup, Gateway, Place, Response, needs, program};

/// The read rate of the disk, in bytes per second.
const RATE: u32 = 2 << 20;
const LEN: u64 = 4 << 20;

/// A file system on a loop device, and a control group that may read it only slowly. Both are removed when the test ends.
struct SlowDisk {
    device: String,
    folder: PathBuf,
    group: Option<ControlGroup>,
}

impl SlowDisk {
    /// Mounts the file system at a folder; `None` if this machine does not permit it.
    fn mount(image: &Path, folder: &Path) -> Option<Self> {
        File::create(image).unwrap().set_len(64 << 20).unwrap();
        std::fs::create_dir_all(folder).unwrap();
        run("mkfs.ext4", &["-q".as_ref(), image.as_ref()])?;
        let device = run("losetup", &["--find".as_ref(), "--show".as_ref(), image.as_ref()])?;
        let mut disk = Self { group: None, folder: folder.to_owned(), device: device.trim().to_owned() };
        run("mount", &[disk.device.as_ref(), folder.as_ref()])?;
        let number = run("lsblk", &["-no".as_ref(), "MAJ:MIN".as_ref(), disk.device.as_ref()])?;
        let (v1, v2) = (format!("{} {RATE}", number.trim()), format!("{} rbps={RATE}", number.trim()));
        let group = ControlGroup::new(("blkio", "blkio.throttle.read_bps_device", &v1), ("io.max", &v2))?;
        disk.group = Some(group);
        Some(disk)
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        run("umount", &[self.folder.as_ref()]);
        run("losetup", &["--detach".as_ref(), self.device.as_ref()]);
    }
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

fn get(path: &str, fields: &str) -> String {
    format!("GET /private/cars/{path} HTTP/1.1\r\nhost: x\r\n{fields}\r\n")
}

#[test]
fn a_download_that_waits_for_the_disk_does_not_delay_others() {
    let place = Place::new();
    let folder = place.path("private/cars/8");
    let disk = SlowDisk::mount(&place.path("image"), &folder);
    if !needs("throttled disk (root, a loop device and a control group)", disk.is_some()) {
        return;
    }
    let disk = disk.unwrap();
    place.write("private/cars/8/cold.bin", vec![b'x'; usize::try_from(LEN).unwrap()]);
    let cold = File::open(place.path("private/cars/8/cold.bin")).unwrap();
    cold.sync_all().unwrap();
    fadvise(&cold, 0, None, Advice::DontNeed).unwrap();
    let mut command = disk.group.as_ref().unwrap().command(&program());
    command.args(["serve", "--listen", "127.0.0.1:0", "--workers", "1", "--grant", "cars/{*file}=everyone"]);
    command.current_dir(place.path("."));
    let gateway = Gateway::spawn(command, place.path("log"));

    let mut small = gateway.connect();
    let mut fetch = move || {
        let begin = Instant::now();
        small.write_all(get("7/photo.jpg", "").as_bytes()).unwrap();
        let mut response = vec![0; 4 << 10];
        let mut len = 0;
        while !response[..len].ends_with(b"alice's photo") {
            len += small.read(&mut response[len..]).unwrap();
        }
        begin.elapsed()
    };
    fetch();
    // Some pages are in the page cache, but not those between them.
    fadvise(&cold, 0, None, Advice::Random).unwrap();
    for at in (0..LEN).step_by(256 << 10).chain([LEN - 1]) {
        cold.read_exact_at(&mut [0], at).unwrap();
    }

    let mut download = gateway.connect();
    download.write_all(get("8/cold.bin", "connection: close\r\n").as_bytes()).unwrap();
    let downloading = std::thread::spawn(move || {
        let (begin, mut received) = (Instant::now(), Vec::new());
        download.read_to_end(&mut received).unwrap();
        (received, begin.elapsed())
    });
    let mut times = Vec::new();
    while !downloading.is_finished() {
        times.push(fetch());
        std::thread::sleep(Duration::from_millis(5));
    }
    let (received, time) = downloading.join().unwrap();
    assert_eq!(Response::parse(&received).body.len() as u64, LEN);
    let longest = times.iter().max().unwrap();
    println!("{time:?} for the download, {longest:?} for the slowest of {} small responses", times.len());
    assert!(time > Duration::from_millis(800), "the disk is not slow: {time:?}");
    assert!(*longest < Duration::from_millis(300), "{longest:?}");
}
