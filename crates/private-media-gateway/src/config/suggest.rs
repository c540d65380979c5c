//! Suggestions for misspelled names.

/// Returns the name that is nearest to an unknown one, if it is near enough to be meant.
pub(super) fn nearest<N: AsRef<str>>(unknown: &str, names: impl IntoIterator<Item = N>) -> Option<N> {
    let distance = |name: &N| strsim::damerau_levenshtein(unknown, name.as_ref());
    names.into_iter().min_by_key(distance).filter(|name| distance(name) <= 3)
}
