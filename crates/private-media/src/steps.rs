//! The times of the steps of a request.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

/// How long the steps of a request took. Only services that [measure](crate::MediaService::measured) have them, and only for the steps that
/// the request reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepTimes {
    // In nanoseconds. These values are in each record, so they are small.
    pub(crate) identity: Option<NonZeroU64>,
    pub(crate) permission: Option<NonZeroU64>,
    pub(crate) storage: Option<NonZeroU64>,
}

impl StepTimes {
    /// Returns how long the identification of the client took.
    #[must_use]
    pub fn identity(&self) -> Option<Duration> {
        self.identity.map(duration)
    }

    /// Returns how long the lookup of attributes and the decision took.
    #[must_use]
    pub fn permission(&self) -> Option<Duration> {
        self.permission.map(duration)
    }

    /// Returns how long the storage took to open the file.
    #[must_use]
    pub fn storage(&self) -> Option<Duration> {
        self.storage.map(duration)
    }
}

fn duration(nanoseconds: NonZeroU64) -> Duration {
    Duration::from_nanos(nanoseconds.get())
}

/// Measures the time between steps. It reads no clock if it is off.
pub(crate) struct Laps(Option<Instant>);

impl Laps {
    /// Starts at this time; `None` measures nothing.
    pub(crate) fn since(begin: Option<Instant>) -> Self {
        Self(begin)
    }

    /// Returns the time since the last call or the start.
    pub(crate) fn lap(&mut self) -> Option<NonZeroU64> {
        let last = self.0?;
        let now = Instant::now();
        self.0 = Some(now);
        let nanoseconds = u64::try_from(now.duration_since(last).as_nanos()).unwrap_or(u64::MAX);
        NonZeroU64::new(nanoseconds.max(1))
    }
}

/// A step of a request that failed. A denial is no failure, nor is a missing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailedStep {
    /// The client could not be identified.
    Identity,
    /// The lookup of the attributes failed.
    Lookup,
    /// The file could not be opened, although it may exist.
    Storage,
}
