//! Files with the name and media type of a lookup.

use std::sync::{Arc, PoisonError};

use sha2::{Digest, Sha256};

use super::{MediaFile, Metadata, Shared};
use crate::lookup::Attributes;

impl MediaFile {
    /// Returns the file with the name and media type of its attributes, if they have some.
    ///
    /// It has an entity tag of its own, because a client that has the file with another name or type needs the new headers, and a 304
    /// contains none of them.
    pub(crate) fn presented_by(self, attributes: Option<&Attributes>) -> Self {
        match attributes.filter(|attributes| attributes.has_presentation()) {
            Some(attributes) => Self { shared: self.shared.presented_by(attributes), bytes: self.bytes },
            None => self,
        }
    }
}

impl Shared {
    fn presented_by(&self, attributes: &Attributes) -> Arc<Self> {
        // No panic leaves the value inconsistent, so a poisoned lock is usable.
        let mut presented = self.presented.lock().unwrap_or_else(PoisonError::into_inner);
        match &*presented {
            Some((last, shared)) if last.has_same_presentation(attributes) => Arc::clone(shared),
            _ => {
                let etag = format!("{}-{:x}", self.metadata.etag, mark(attributes));
                let shared =
                    Arc::new(Self::new(Metadata { etag, ..self.metadata.clone() }, self.is_streamed));
                *presented = Some((attributes.clone(), Arc::clone(&shared)));
                shared
            }
        }
    }
}

/// Returns a number that differs if the name or the media type differs. It is the same in every process.
fn mark(attributes: &Attributes) -> u64 {
    let name = attributes.file_name().unwrap_or_default();
    let content_type = attributes.media_type().map_or("", |content_type| content_type.as_str());
    // Neither of them contains a NUL.
    let digest = Sha256::digest(format!("{name}\0{content_type}"));
    digest.iter().take(8).fold(0, |mark, byte| mark << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::delivery::ContentType;
    use crate::storage::memory::InMemory;

    #[test]
    fn entity_tags_differ_by_name_and_type() {
        let bytes = Arc::new(InMemory("x".into()));
        let file = MediaFile::new(Metadata::new(1, SystemTime::UNIX_EPOCH, "a"), bytes);
        let etag =
            |attributes: Option<&Attributes>| file.clone().presented_by(attributes).metadata().etag.clone();
        let none = Attributes::new();
        let plain = none.clone().content_type(ContentType::parse("text/plain").unwrap());
        let tags: Vec<_> =
            [none.clone().name("a.txt"), none.clone().name("b.txt"), plain.clone(), plain.name("a.txt")]
                .iter()
                .map(|attributes| etag(Some(attributes)))
                .collect();
        assert_eq!(etag(None), "a");
        assert_eq!(
            etag(Some(&none.clone().owner("7").public(true))),
            "a",
            "permissions do not change the tag"
        );
        for (index, tag) in tags.iter().enumerate() {
            assert!(tag.starts_with("a-") && !tags[..index].contains(tag), "{tags:?}");
        }
        let again = none.name("a.txt").owner("7");
        assert_eq!(etag(Some(&again)), tags[0], "another row with the same name");
    }
}
