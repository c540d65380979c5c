//! The metadata of an object.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use object_store::{Attribute, AttributeValue, Attributes, GetResult, ObjectMeta};
use private_media::delivery::ContentType;
use private_media::storage::Metadata;
use private_media::{MediaPath, StorageError};

use crate::error::failed;

/// The modification time of a copied file, in seconds since 1970. Other programs, such as rclone and s3fs, use the same name.
const MODIFIED: &str = "mtime";
/// A random text that belongs to one save. It tells whether an object is from this save, when a response got lost.
const SAVE: &str = "privatemediasave";

/// Returns the attributes of a new object.
pub(crate) fn attributes(path: &MediaPath, save: &str, modified: Option<SystemTime>) -> Attributes {
    let mut attributes = Attributes::new();
    let content_type = ContentType::of(path.file_name()).as_str().to_owned();
    attributes.insert(Attribute::ContentType, content_type.into());
    attributes.insert(Attribute::Metadata(SAVE.into()), save.to_owned().into());
    if let Some(since) = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok()) {
        let text = format!("{}.{:09}", since.as_secs(), since.subsec_nanos());
        attributes.insert(Attribute::Metadata(MODIFIED.into()), text.into());
    }
    attributes
}

/// Returns whether an object is from this save.
pub(crate) fn is_from(object: &GetResult, save: &str) -> bool {
    object.attributes.get(&Attribute::Metadata(SAVE.into())).is_some_and(|own| **own == *save)
}

/// Returns the metadata of a file.
pub(crate) fn metadata(object: &GetResult) -> Result<Metadata, StorageError> {
    let stored = SystemTime::from(object.meta.last_modified);
    let copied = object.attributes.get(&Attribute::Metadata(MODIFIED.into())).and_then(time);
    // A time that the clock of the store has not reached is no modification time.
    let modified = copied.filter(|modified| *modified <= stored).unwrap_or(stored);
    Ok(Metadata::new(object.meta.size, modified, opaque_tag(raw_tag(&object.meta)?)?).created(stored))
}

/// Returns the entity tag, as the store writes it.
pub(crate) fn raw_tag(object: &ObjectMeta) -> Result<&str, StorageError> {
    object.e_tag.as_deref().ok_or_else(|| {
        failed("opening the file", io::ErrorKind::Unsupported, "the store gives objects no entity tag")
    })
}

/// Returns the opaque part of a strong entity tag.
fn opaque_tag(raw: &str) -> Result<&str, StorageError> {
    let tag = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
    let is_legal = |byte: u8| byte == b'!' || (b'#'..=b'~').contains(&byte);
    if tag.is_empty() || !tag.bytes().all(is_legal) {
        let problem = format!("the store gives the object no strong entity tag, but {raw:?}");
        return Err(failed("opening the file", io::ErrorKind::Unsupported, &problem));
    }
    Ok(tag)
}

/// Parses seconds since 1970, with a fraction.
fn time(value: &AttributeValue) -> Option<SystemTime> {
    let value: &str = value;
    let (seconds, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    UNIX_EPOCH.checked_add(Duration::new(seconds.parse().ok()?, digits.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_opaque_and_strong() {
        assert_eq!(
            opaque_tag("\"9a0364b9e99bb480dd25e1f0284c8555-2\"").unwrap(),
            "9a0364b9e99bb480dd25e1f0284c8555-2"
        );
        assert_eq!(opaque_tag("0x8DC").unwrap(), "0x8DC");
        for raw in ["", "\"\"", "W/\"abc\"", "\"a b\"", "\"a\"b\"", "é"] {
            assert!(opaque_tag(raw).is_err(), "{raw:?}");
        }
    }

    #[test]
    fn times_are_parsed() {
        let at = |seconds, nanoseconds| Some(UNIX_EPOCH + Duration::new(seconds, nanoseconds));
        for (text, expected) in [
            ("1700000000", at(1_700_000_000, 0)),
            ("1700000000.5", at(1_700_000_000, 500_000_000)),
            ("1700000000.123456789", at(1_700_000_000, 123_456_789)),
            ("1700000000.1234567891", at(1_700_000_000, 123_456_789)),
            ("", None),
            ("-5", None),
            ("1.x", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time(&text.to_owned().into()), expected, "{text:?}");
        }
    }
}
