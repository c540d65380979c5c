//! Finds templates that probably match no file.

use std::path::Path;

use private_media::permission::{Grants, Template};

use super::lookup::LookupConfig;

/// Returns a warning for each grant and lookup whose template has a variable of another syntax, or begins with the private URL.
pub(super) fn warnings(grants: &Grants, lookups: &[LookupConfig], url: &str, root: &Path) -> Vec<String> {
    let grants = grants.iter().map(|grant| ("grant", grant.template()));
    let lookups = lookups.iter().map(|lookup| ("lookup", &lookup.path));
    grants.chain(lookups).filter_map(|(key, template)| warning(key, template, url, root)).collect()
}

fn warning(key: &str, template: &Template, url: &str, root: &Path) -> Option<String> {
    let prefix = url.trim_matches('/');
    let source = template.to_string();
    if let Some(relative) = source.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'))
        && !prefix.is_empty()
        && !root.join(prefix).is_dir()
    {
        return Some(format!(
            "{key} {source:?} begins with the private URL {url}, but templates are relative to it; write {relative:?}"
        ));
    }
    let segment = template.suspicious_segment()?;
    Some(format!(
        "{key} {source:?} matches only paths with the literal segment {segment:?}; write {{name}} for one segment and {{*name}} for the rest, as in cars/{{owner}}/{{*file}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_that_match_nothing_are_reported() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("files/private")).unwrap();
        for (grant, url, fix) in [
            ("cars/{owner}/*=owner", "/private/", "literal segment \"*\""),
            ("cars/:owner/{*file}=staff", "/private/", "literal segment \":owner\""),
            ("private/cars/{owner}/{*file}=owner", "/private/", "write \"cars/{owner}/{*file}\""),
            ("media/private/{*file}=staff", "/media/private/", "write \"{*file}\""),
            // The root has this folder.
            ("files/private/{*file}=staff", "/files/private/", ""),
            ("privately/{*file}=staff", "/private/", ""),
            ("cars/{owner}/{*file}=owner", "/", ""),
            ("{*file}=staff", "/private/", ""),
        ] {
            let warnings = warnings(&grant.parse().unwrap(), &[], url, root.path());
            assert_eq!(warnings.len(), usize::from(!fix.is_empty()), "{grant}: {warnings:?}");
            assert!(warnings.iter().all(|warning| warning.contains(fix)), "{grant}: {warnings:?}");
        }
    }
}
