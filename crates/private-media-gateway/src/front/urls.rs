//! What a URL prefix is: of private files, and of what only nginx itself may ask for.

use private_media::MediaPath;

/// What to write in place of one that is none.
pub(crate) const FIX: &str = "write it with a slash on both sides, such as /private/";

/// A prefix means the same to everybody who matches it, encoded or not.
pub(crate) fn prefix(value: &str) -> Result<&str, &'static str> {
    let inner = match value {
        "/" => return Ok(value),
        _ => value.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '/');
    match inner {
        Some(inner) if inner.chars().all(legal) && MediaPath::new(inner).is_ok() => Ok(value),
        _ => Err("it is no URL prefix"),
    }
}

/// `-` is no segment of a file's path, but may be one of this.
pub(crate) fn internal(value: &str) -> Result<&str, &'static str> {
    prefix(&value.replacen("/-/", "/", 1)).map(|_| value)
}

/// Whether nginx would take requests for files to the internal location, or the other way round: what is wrong, and the fix. Below
/// `-/` there are no files.
pub(crate) fn apart(location: &str, private: &str) -> Result<(), (String, String)> {
    let shadows = private.starts_with(location)
        || location.strip_prefix(private).is_some_and(|rest| !rest.starts_with("-/"));
    if shadows {
        Err((
            format!("the location {location} and the private URL {private} lie in one another"),
            format!("write another, such as {private}-/files/"),
        ))
    } else {
        Ok(())
    }
}
