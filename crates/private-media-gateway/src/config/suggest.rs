//! Suggestions for misspelled names.

/// Returns the name that is nearest to an unknown one, if it is near enough to be meant.
pub(super) fn nearest<N: AsRef<str>>(unknown: &str, names: impl IntoIterator<Item = N>) -> Option<N> {
    let distance = |name: &N| strsim::damerau_levenshtein(unknown, name.as_ref());
    // Three different letters are another word if it is short.
    let limit = (unknown.chars().count() / 3).clamp(1, 3);
    names.into_iter().min_by_key(distance).filter(|name| distance(name) <= limit)
}

/// Returns what to write for a name that other servers use.
pub(super) fn synonym(unknown: &str) -> Option<&'static str> {
    match unknown {
        "port" | "host" | "bind" | "address" => Some("listen = \"127.0.0.1:8000\""),
        "folder" | "dir" | "directory" | "path" => Some("root = \"private\""),
        "prefix" => Some("url = \"/private/\""),
        _ => None,
    }
}
