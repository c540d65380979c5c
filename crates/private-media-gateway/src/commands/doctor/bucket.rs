//! Checks a root that is a bucket.

use std::io::ErrorKind;

use private_media::{Storage as _, StorageError};
use private_media_buckets::{Exposure, ObjectStorage};

use super::report::{Finding, Findings};
use crate::bucket::{cause, connect};
use crate::config::{BucketConfig, Config};

/// Checks that the bucket can be read, and whether it can be written to without replacing a file.
pub(super) async fn findings(config: &Config, bucket: &BucketConfig) -> Findings {
    let url = &bucket.url;
    let storage = match connect(config, bucket) {
        Ok(storage) => storage,
        Err(error) => {
            return vec![Finding::problem(error.to_string(), "fix that first: serve would not start either")];
        }
    };
    if let Err(error) = storage.ready().await {
        let fix = match &error {
            StorageError::Unavailable { .. } => {
                "check storage.endpoint, the network, and the credentials in the environment"
            }
            _ => {
                "create the bucket, and give these credentials permission to list it and to read its objects"
            }
        };
        return vec![Finding::problem(format!("{url}: {}", cause(&error)), fix)];
    }
    vec![
        Finding::ok(format!("{url} can be read")),
        writes(&storage.check_conditional_writes().await, bucket.conditional_writes),
        exposed(&url.to_string(), &exposure(&storage, bucket).await),
        Finding::note(
            "incomplete multipart uploads cannot be listed: add a lifecycle rule that aborts them after a day",
        ),
    ]
}

/// Requests a list and a file without credentials.
async fn exposure(storage: &ObjectStorage, bucket: &BucketConfig) -> Result<Exposure, String> {
    let options = bucket.options.clone().anonymous(true);
    let stranger = ObjectStorage::from_url(&bucket.url, options).map_err(|error| error.to_string())?;
    storage.exposure_to(&stranger).await.map_err(|error| cause(&error))
}

/// Returns what a client without credentials gets.
fn exposed(url: &str, exposure: &Result<Exposure, String>) -> Finding {
    const FIX: &str =
        "block public access in the settings of the bucket, because the gateway cannot protect it";
    match exposure {
        Ok(Exposure { is_readable: Some(true), .. }) => {
            Finding::problem(format!("{url} is public: its files can be read without credentials"), FIX)
        }
        Ok(Exposure { is_listable: true, .. }) => Finding::problem(
            format!("{url} is public: the names of its files can be listed without credentials"),
            FIX,
        ),
        Ok(Exposure { is_readable: Some(false), .. }) => {
            Finding::ok(format!("{url} gives nothing to a client without credentials"))
        }
        Ok(Exposure { is_readable: None, .. }) => Finding::note(format!(
            "{url} has no file yet, so only its list was requested without credentials; run the doctor again later, and {FIX}"
        )),
        Err(error) => Finding::note(format!("whether {url} is public is not known: {error}; {FIX}")),
    }
}

/// Returns what the check of conditional writes found.
fn writes(checked: &Result<(), StorageError>, is_required: bool) -> Finding {
    match checked {
        Ok(()) if !is_required => Finding::note(
            "the bucket supports conditional writes; remove storage.conditional_writes, so that several processes can save files",
        ),
        Ok(()) => Finding::ok("saves replace no file, because the bucket supports conditional writes"),
        Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            Finding::note("these credentials may not write, which serve does not need")
        }
        Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::Unsupported && !is_required => {
            Finding::note(
                "the server ignores If-None-Match, so names are checked before a save; one process alone may save files there",
            )
        }
        Err(error) => Finding::problem(
            cause(error),
            "use a server that supports If-None-Match for objects and for multipart uploads, if anything is saved there",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::commands::doctor::report::Status;

    #[test]
    fn only_missing_support_is_a_problem() {
        let io = |kind: ErrorKind| {
            Err(StorageError::Io { doing: "checking", source: io::Error::new(kind, "why") })
        };
        for (checked, required, optional) in [
            (Ok(()), Status::Ok, Status::Note),
            (io(ErrorKind::PermissionDenied), Status::Note, Status::Note),
            (io(ErrorKind::Unsupported), Status::Problem, Status::Note),
            (io(ErrorKind::Other), Status::Problem, Status::Problem),
        ] {
            assert_eq!(writes(&checked, true).status, required, "{checked:?}");
            assert_eq!(writes(&checked, false).status, optional, "{checked:?}");
        }
    }
}
