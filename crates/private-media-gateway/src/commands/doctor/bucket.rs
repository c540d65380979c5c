//! Checks a root that is a bucket.

use std::io::ErrorKind;

use private_media::{Storage as _, StorageError};

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
        writes(&storage.check_conditional_writes().await),
        Finding::note(
            "whether the bucket is public was not checked: block public access in its settings, because the gateway cannot protect it",
        ),
        Finding::note(
            "incomplete multipart uploads cannot be listed: add a lifecycle rule that aborts them after a day",
        ),
    ]
}

/// Returns what the check of conditional writes found.
fn writes(checked: &Result<(), StorageError>) -> Finding {
    match checked {
        Ok(()) => Finding::ok("saves replace no file, because the bucket supports conditional writes"),
        Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            Finding::note("these credentials may not write, which serve does not need")
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
        for (checked, status) in [
            (Ok(()), Status::Ok),
            (io(ErrorKind::PermissionDenied), Status::Note),
            (io(ErrorKind::Unsupported), Status::Problem),
            (io(ErrorKind::Other), Status::Problem),
        ] {
            assert_eq!(writes(&checked).status, status, "{checked:?}");
        }
    }
}
