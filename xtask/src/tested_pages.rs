//! The pages of the documentation whose commands run.

/// How the commands of a page run.
#[derive(Clone, Copy)]
pub(crate) enum Environment {
    /// In an empty folder.
    Folder,
    /// As root, in separate namespaces, since they change the machine. Fewer than ten commands lead to the first request.
    Root,
    /// As root too, with the virtual environment of a Django project.
    Project,
}

/// The pages whose commands run, in this order.
pub(crate) const PAGES: &[(&str, Environment)] = &[
    ("docs/how-to/audit.md", Environment::Folder),
    ("docs/how-to/cors.md", Environment::Folder),
    ("docs/how-to/identity-jwt.md", Environment::Folder),
    ("docs/how-to/lookups.md", Environment::Folder),
    ("docs/how-to/move-files.md", Environment::Folder),
    ("docs/how-to/test-permissions.md", Environment::Folder),
    ("docs/how-to/nginx.md", Environment::Root),
    ("docs/how-to/apache.md", Environment::Root),
    ("docs/how-to/lighttpd.md", Environment::Root),
    ("docs/how-to/caddy.md", Environment::Root),
    ("docs/how-to/identity-forward.md", Environment::Root),
    ("docs/how-to/identity-header.md", Environment::Root),
    ("docs/how-to/backup.md", Environment::Root),
    ("docs/how-to/store-files.md", Environment::Root),
    ("docs/how-to/upgrade.md", Environment::Root),
    ("docs/how-to/django-production.md", Environment::Project),
];

/// The pages, or sections of them, whose commands run in a script of `tests/docs`.
pub(crate) const SCRIPTS: &[(&str, Option<&str>, &str)] = &[
    ("README.md", Some("A private photo in three minutes"), "tests/docs/readme.sh"),
    ("docs/tutorial.md", None, "tests/docs/tutorial.sh"),
];

/// The page whose blocks make a program, which a test of its own builds and runs.
pub(crate) const AXUM: &str = "docs/how-to/axum.md";

/// The page whose commands run in the part `garage`, which builds Garage.
pub(crate) const GARAGE: &str = "docs/how-to/garage.md";

/// Returns whether the commands of a page run.
pub(crate) fn runs(page: &str) -> bool {
    page == AXUM || page == GARAGE || PAGES.iter().any(|(tested, _)| *tested == page)
}

/// Returns whether a script runs the commands of a section.
pub(crate) fn has_script(page: &str, section: &str) -> bool {
    SCRIPTS.iter().any(|(tested, only, _)| *tested == page && only.is_none_or(|only| only == section))
}
