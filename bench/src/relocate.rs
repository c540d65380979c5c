//! How long `relocate` takes to move trees of files, compared with rsync and rclone.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::result::Result;
use crate::testbed::built;

/// The sizes of the measurement.
pub(crate) struct Relocation {
    pub(crate) rounds: usize,
    /// The number of small files, of 10 KiB each.
    pub(crate) small: u64,
    /// The length of each large file, in MiB.
    pub(crate) large_mib: u64,
}

/// A folder in memory.
const MEMORY: &str = "/dev/shm";
const LARGE_FILES: u64 = 3;
const BUCKET: &str = "uploads";
const GARAGE: [&str; 5] = ["-B", "tests/buckets/garage.py", "--nodes", "1", "target/garage/bin/garage"];

const HEAD: &str = "\
Seconds to move a tree, medians of interleaved rounds; × is the median ratio to `relocate` of the same round. `relocate` between file systems and to a
bucket reads each copy back, compares its SHA-256, and removes a source only when its copy is on the disk. rsync compares a checksum of what it has
sent, and reads no copy back; `rsync --checksum` would compare files of an earlier run. Without `--fsync` its copies may be lost by a power
failure after their sources are removed. On one file system, `relocate` renames as `mv` does, and rsync copies. rclone compares the checksum that the store
returns. rclone and `relocate` move 16 files at the same time. The store is one node of Garage on the same machine.

| from, to | tree | program | s | × |
|---|---|---|--:|--:|
";

/// A program that moves a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mover {
    Relocate,
    Rsync { fsync: bool },
    Rclone,
}

/// From where to where a tree is moved.
#[derive(Debug, Clone, Copy)]
enum Route {
    OneFileSystem,
    ToMemory,
    FromMemory,
    ToBucket,
}

#[derive(Debug, Clone, Copy)]
struct Tree {
    files: u64,
    len: u64,
}

impl Mover {
    fn name(self) -> &'static str {
        match self {
            Self::Relocate => "`private-media relocate`",
            Self::Rsync { fsync: false } => "`rsync -a --remove-source-files`",
            Self::Rsync { fsync: true } => "`rsync -a --remove-source-files --fsync`",
            Self::Rclone => "`rclone move --transfers 16`",
        }
    }

    fn command(self, from: &Path, to: &Target) -> Result<Command> {
        let mut command = match self {
            Self::Relocate => {
                let mut relocate = Command::new(built("private-media")?);
                relocate.arg("relocate").arg(from).arg("--to");
                relocate
            }
            Self::Rsync { fsync } => {
                let mut rsync = Command::new("rsync");
                rsync.args(["-a", "--remove-source-files"]).args(fsync.then_some("--fsync"));
                // The content of the folder, not the folder.
                rsync.arg(from.join(""));
                rsync
            }
            Self::Rclone => {
                let mut rclone = Command::new("rclone");
                rclone.args(["move", "--transfers", "16", "--s3-no-check-bucket"]).arg(from);
                rclone
            }
        };
        match to {
            Target::Folder(folder) => command.arg(folder),
            Target::Bucket(store) => store.configure(&mut command, self),
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(command)
    }
}

impl Route {
    fn name(self) -> &'static str {
        match self {
            Self::OneFileSystem => "folder, folder on the same file system",
            Self::ToMemory => "disk, `/dev/shm`",
            Self::FromMemory => "`/dev/shm`, disk",
            Self::ToBucket => "folder, bucket",
        }
    }

    fn movers(self) -> &'static [Mover] {
        match self {
            Self::ToBucket => &[Mover::Relocate, Mover::Rclone],
            Self::FromMemory => {
                &[Mover::Relocate, Mover::Rsync { fsync: false }, Mover::Rsync { fsync: true }]
            }
            _ => &[Mover::Relocate, Mover::Rsync { fsync: false }],
        }
    }

    /// Returns new folders of the source and of the target.
    fn folders(self) -> Result<(tempfile::TempDir, tempfile::TempDir)> {
        let (disk, memory) = (tempfile::tempdir, || tempfile::tempdir_in(MEMORY));
        Ok(match self {
            Self::OneFileSystem | Self::ToBucket => (disk()?, disk()?),
            Self::ToMemory => (disk()?, memory()?),
            Self::FromMemory => (memory()?, disk()?),
        })
    }
}

impl Tree {
    fn name(self) -> String {
        match self.len {
            10_240 => format!("{} files of 10 KiB", self.files),
            len => format!("{} files of {} MiB", self.files, len >> 20),
        }
    }

    /// Creates the files, each with content of its own, and waits until they are on the disk.
    fn make(self, folder: &Path) -> Result<()> {
        let mut piece: Vec<u8> =
            (0..1_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect();
        for number in 0..self.files {
            let path = folder.join(format!("cars/{}/{number}.jpg", number % 100));
            std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
            piece.splice(..8, number.to_le_bytes());
            let mut file = std::fs::File::create(path)?;
            let mut left = self.len;
            while left > 0 {
                let now = left.min(piece.len() as u64);
                std::io::Write::write_all(&mut file, piece.get(..usize::try_from(now)?).unwrap_or(&piece))?;
                left -= now;
            }
        }
        rustix::fs::sync();
        Ok(())
    }
}

/// Where a tree is moved to.
enum Target {
    Folder(PathBuf),
    Bucket(Store),
}

/// A node of Garage. Dropping it stops it and removes its files.
struct Store {
    child: Child,
    port: u64,
    key: String,
    secret: String,
}

impl Store {
    fn start() -> Result<Self> {
        let mut child =
            Command::new("python3").args(GARAGE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let found: serde_json::Value = serde_json::from_str(&line)?;
        let text =
            |name: &str| found.get(name).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
        let port = found.pointer("/ports/0").and_then(serde_json::Value::as_u64).ok_or("no port")?;
        Ok(Self { child, port, key: text("access_key"), secret: text("secret_key") })
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn configure<'a>(&self, command: &'a mut Command, mover: Mover) -> &'a mut Command {
        command.env("AWS_ACCESS_KEY_ID", &self.key).env("AWS_SECRET_ACCESS_KEY", &self.secret);
        if mover == Mover::Relocate {
            let endpoint = format!("--storage-endpoint={}", self.endpoint());
            let options = [endpoint.as_str(), "--storage-allow-http", "--storage-conditional-writes=false"];
            return command.arg(format!("s3://{BUCKET}")).args(options);
        }
        // rclone cannot use a bundle of certificates that another program needs.
        command
            .env("RCLONE_CONFIG", "")
            .env("RCLONE_S3_ENDPOINT", self.endpoint())
            .env_remove("AWS_CA_BUNDLE");
        command.env("RCLONE_S3_PROVIDER", "Other").env("RCLONE_S3_ENV_AUTH", "true");
        command.env("RCLONE_S3_REGION", "us-east-1").arg(format!(":s3:{BUCKET}"))
    }

    /// Returns the number of objects and of their bytes.
    fn count(&self) -> Result<(u64, u64)> {
        let mut rclone = Command::new("rclone");
        let output = self.configure(rclone.args(["size", "--json"]), Mover::Rclone).output()?;
        let found: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let number = |name: &str| found.get(name).and_then(serde_json::Value::as_u64).ok_or("no size");
        Ok((number("count")?, number("bytes")?))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Measures all of it, and returns a table in Markdown.
pub(crate) fn run(relocation: &Relocation) -> Result<String> {
    let trees = [
        Tree { files: relocation.small, len: 10 << 10 },
        Tree { files: LARGE_FILES, len: relocation.large_mib << 20 },
    ];
    let mut table = HEAD.to_owned();
    for route in [Route::OneFileSystem, Route::ToMemory, Route::FromMemory, Route::ToBucket] {
        for tree in trees {
            let movers = route.movers();
            let mut times = vec![vec![]; movers.len()];
            for round in 0..relocation.rounds {
                for (mover, times) in movers.iter().zip(&mut times) {
                    let time = measure(*mover, route, tree)?;
                    eprintln!(
                        "{}, {}, round {}: {} {time:?}",
                        route.name(),
                        tree.name(),
                        round + 1,
                        mover.name()
                    );
                    times.push(time.as_secs_f64());
                }
            }
            let first = times.first().cloned().unwrap_or_default();
            for (mover, times) in movers.iter().zip(&times) {
                let ratios = times.iter().zip(&first).map(|(time, first)| time / first).collect();
                writeln!(
                    table,
                    "| {} | {} | {} | {:.2} | {:.2} |",
                    route.name(),
                    tree.name(),
                    mover.name(),
                    median(times.clone()),
                    median(ratios)
                )?;
            }
        }
    }
    Ok(table)
}

/// Moves a new tree, and returns how long that takes.
fn measure(mover: Mover, route: Route, tree: Tree) -> Result<Duration> {
    let (source, folder) = route.folders()?;
    tree.make(source.path())?;
    let target = match route {
        Route::ToBucket => Target::Bucket(Store::start()?),
        _ => Target::Folder(folder.path().to_owned()),
    };
    let mut command = mover.command(source.path(), &target)?;
    let begin = Instant::now();
    let output = command.output()?;
    let time = begin.elapsed();
    if !output.status.success() {
        return Err(format!("{}: {}", mover.name(), String::from_utf8_lossy(&output.stderr)).into());
    }
    let found = match &target {
        Target::Folder(folder) => count(folder)?,
        Target::Bucket(store) => store.count()?,
    };
    let expected = (tree.files, tree.files * tree.len);
    if count(source.path())? != (0, 0) || found != expected {
        return Err(format!("{}: {found:?} of {expected:?} were moved", mover.name()).into());
    }
    Ok(time)
}

/// Returns the number of files below a folder, and of their bytes.
fn count(folder: &Path) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let found = if metadata.is_dir() { count(&entry.path())? } else { (1, metadata.len()) };
        files += found.0;
        bytes += found.1;
    }
    Ok((files, bytes))
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}
