//! The row of a file, as its lookup found it.

use std::time::SystemTime;

use private_media::lookup::{Attributes, LookupError};
use private_media::{MediaPath, PrivateMedia};

use crate::config::Config;

/// Returns the lookup that decides about a path, and what it found; `None` if there is nothing to tell.
pub(super) async fn row(config: &Config, media: &PrivateMedia, path: &MediaPath) -> Option<String> {
    let lookup = config.lookups.iter().find(|lookup| lookup.covers(path))?;
    let row = match media.look_up(path).await {
        Ok(attributes) => shown(&attributes?),
        Err(LookupError::NotFound) => "no row".to_owned(),
        // The decision says why.
        Err(_) => return None,
    };
    Some(format!("lookup {}: {row}", lookup.path))
}

fn shown(attributes: &Attributes) -> String {
    let mut parts = Vec::new();
    if attributes.is_ownerless() {
        parts.push("no owner".to_owned());
    }
    parts.extend(attributes.owner_id().map(|id| format!("owner {id}")));
    parts.extend(attributes.group_name().map(|group| format!("group {group}")));
    parts.extend(attributes.file_name().map(|name| format!("name {name:?}")));
    parts.extend(attributes.media_type().map(|content_type| content_type.as_str().to_owned()));
    if attributes.is_public() {
        parts.push("public".to_owned());
    }
    parts.extend(attributes.valid_from().map(|from| format!("not_before {}", time(from))));
    parts.extend(attributes.valid_until().map(|until| format!("not_after {}", time(until))));
    if parts.is_empty() { "no attributes".to_owned() } else { parts.join(", ") }
}

/// Formats a time. A time before 1970 is shown as 1970.
fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time.max(SystemTime::UNIX_EPOCH)).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use private_media::delivery::ContentType;

    use super::*;

    #[test]
    fn all_attributes_are_shown() {
        let none = Attributes::new();
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let all = none.clone().owner("7").group("sales").name("a \"b\".jpg").public(true);
        let all = all
            .content_type(ContentType::parse("image/png").unwrap())
            .not_before(time(5))
            .not_after(time(86_400));
        for (attributes, expected) in [
            (none.clone(), "no attributes"),
            (none.clone().without_owner(), "no owner"),
            (
                none.clone().not_before(SystemTime::UNIX_EPOCH - Duration::from_secs(9)),
                "not_before 1970-01-01T00:00:00Z",
            ),
            (
                all,
                "owner 7, group sales, name \"a \\\"b\\\".jpg\", image/png, public, not_before 1970-01-01T00:00:05Z, not_after 1970-01-02T00:00:00Z",
            ),
        ] {
            assert_eq!(shown(&attributes), expected);
        }
    }
}
