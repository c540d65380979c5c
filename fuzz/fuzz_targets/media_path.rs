//! A `MediaPath` is valid and canonical. The oracle is a naive decoder and the standard library.
#![no_main]

use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use private_media::MediaPath;
use private_media::request::{MAX_PATH, MAX_SEGMENT};

fuzz_target!(|text: &str| {
    let plain = MediaPath::new(text);
    let from_url = MediaPath::from_url(text);
    for path in [&plain, &from_url].into_iter().flatten() {
        check_valid(path);
        check_round_trips(path);
    }
    if let Ok(path) = &plain {
        assert_eq!(path.as_str(), text, "a path without encoding is not changed");
    }
    assert_eq!(from_url.ok(), expected(text), "from_url({text:?})");
    // An upload is stored in the chosen folder, whatever its name is.
    if let Ok(path) = MediaPath::for_upload("cars/7", text) {
        check_valid(&path);
        assert_eq!(path.parent().unwrap().as_str(), "cars/7");
    }
});

fn check_valid(path: &MediaPath) {
    let name = path.as_str();
    assert!(is_valid(name), "{name:?}");
    assert!(Path::new(name).components().all(|part| matches!(part, Component::Normal(_))), "{name:?}");
    assert_eq!(Path::new(name).components().count(), path.segments().count(), "{name:?}");
    assert_eq!(path.file_name(), name.split('/').next_back().unwrap());
}

fn check_round_trips(path: &MediaPath) {
    let url = path.to_url();
    assert!(url.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/%".contains(&byte)), "{url:?}");
    assert_eq!(MediaPath::from_url(&url).as_ref(), Ok(path));
    assert_eq!(MediaPath::from_url(&format!("/{url}")).as_ref(), Ok(path));
    // Other encodings of a path are the same path or invalid.
    let encoded: String = path
        .as_str()
        .bytes()
        .map(|byte| if byte == b'/' { "/".into() } else { format!("%{byte:02x}") })
        .collect();
    assert_eq!(MediaPath::from_url(&encoded).as_ref(), Ok(path));
    let twice = url.replace('%', "%25");
    if let Ok(other) = MediaPath::from_url(&twice) {
        assert_eq!(other.as_str(), url, "a path is decoded once");
    }
}

/// The rules in the documentation of `MediaPath`.
fn is_valid(name: &str) -> bool {
    let is_valid = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && segment.len() <= MAX_SEGMENT
            && !segment.chars().any(|c| c.is_control() || c == '\\')
    };
    name.len() <= MAX_PATH && name.split('/').all(is_valid) && name.split('/').next() != Some("-")
}

fn expected(raw: &str) -> Option<MediaPath> {
    let raw = raw.strip_prefix('/').unwrap_or(raw);
    if raw.contains(['?', '#']) {
        return None;
    }
    let segments = raw.split('/').map(decode).collect::<Option<Vec<_>>>()?;
    if segments.iter().any(|segment| segment.contains('/')) {
        return None;
    }
    let name = segments.join("/");
    is_valid(&name).then(|| MediaPath::new(&name).unwrap())
}

fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = segment.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}
