//! Other ways to the same files: the internal location, public folders, listings.

use super::super::canary::Canary;
use super::super::client::{Ask, Unanswered};
use super::super::local::real;
use super::super::report::{Finding, Findings, unless_ok};
use super::front::{absolute_root, hand_off};
use super::{Front, Probe};
use crate::config::Source;
use crate::send_mode::{InternalUrl, SendMode};

/// Where applications have their public files as a rule.
const PUBLIC: [&str; 10] = [
    "/media/",
    "/static/",
    "/uploads/",
    "/files/",
    "/assets/",
    "/public/",
    "/storage/",
    "/protected/",
    "/internal/",
    "/",
];
/// The most folders that are looked for above the root.
const DEEPEST: usize = 8;

/// The location that nginx sends files from is closed to clients, by every spelling.
pub(super) async fn internal_location(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    let path = canary(probe).path.to_url();
    let root = encoded(&absolute_root(probe.config));
    let internal = match &probe.config.send_mode {
        SendMode::Nginx(InternalUrl::Prefix(internal)) => internal.clone(),
        SendMode::Nginx(InternalUrl::FullPath) => format!("{root}/"),
        SendMode::Direct | SendMode::Apache(_) => return Ok(Vec::new()),
    };
    let url = format!("{internal}{path}");
    if probe.gives_away(&probe.as_stranger(&url).await?) {
        let message = format!("{url} gives the file to anybody: the location is open to clients");
        return Ok(vec![Finding::problem(message, hand_off(probe.config, probe.kind))]);
    }
    for url in slips(&internal, &root, &path) {
        if probe.gives_away(&probe.as_stranger(&url).await?) {
            return Ok(vec![slipped(probe, &url, &internal)]);
        }
    }
    Ok(vec![Finding::ok(format!("{internal} is closed to clients"))])
}

/// No other URL leads to the files.
pub(super) async fn other_urls(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    let path = canary(probe).path.to_url();
    let root = encoded(&absolute_root(probe.config));
    let mut problems = Findings::new();
    for folder in folders(probe) {
        let url = format!("{folder}{path}");
        if probe.gives_away(&probe.as_stranger(&url).await?) {
            let closed = match probe.kind {
                Front::Nginx => format!("location ^~ {folder} {{ return 404; }}"),
                Front::Apache => format!("<Location \"{folder}\"> Require all denied </Location>"),
                Front::Lighttpd => format!("$HTTP[\"url\"] =^ \"{folder}\" {{ url.access-deny = ( \"\" ) }}"),
                Front::Caddy => format!("respond {folder}* 404"),
                Front::Other => format!("let the front answer {folder} with 404"),
            };
            problems.push(Finding::problem(
                format!(
                    "{url} gives the file to anybody: the root lies below a folder that the front serves"
                ),
                format!("move the root out of that folder, and until then: {closed}"),
            ));
            break;
        }
    }
    if problems.is_empty() && !probe.readers.everyone {
        problems.extend(at_another_host(probe, &path).await?);
    }
    // `location /static { alias /srv/site/static/; }` takes `/static../private/…` out of its folder.
    'slips: for public in PUBLIC.iter().filter(|public| **public != "/") {
        for url in slips(public, &root, &path) {
            // This one is the private URL to whoever cleans it up.
            let is_known = (probe.is_open || probe.readers.everyone) && url.contains("/../");
            if !is_known && probe.gives_away(&probe.as_stranger(&url).await?) {
                problems.push(slipped(probe, &url, public));
                break 'slips;
            }
        }
    }
    let some = folders(probe).into_iter().take(3).collect::<Vec<_>>().join(", ");
    Ok(unless_ok(problems, format!("no other URL leads to the files: not {some} …")))
}

/// Whoever names another host gets another site of the same server, whose folder may lie above the root; there the private URL
/// itself may be one of a folder.
async fn at_another_host(probe: &Probe<'_>, path: &str) -> Result<Option<Finding>, Unanswered> {
    const OTHER: &str = "private-media-doctor.invalid";
    let ask = Ask { host: Some(OTHER), ..Ask::default() };
    for folder in std::iter::once(probe.config.url.clone()).chain(folders(probe)) {
        let url = format!("{folder}{path}");
        if probe.gives_away(&probe.front.send(&url, &ask).await?) {
            return Ok(Some(Finding::problem(
                format!(
                    "{url} gives the file to anybody who names another host, such as {OTHER}: a default site, or another one, has a folder above the root"
                ),
                "move the root out of that folder; no site of this server may have it below its own",
            )));
        }
    }
    Ok(None)
}

/// The accounts and the configuration are at no URL.
pub(super) async fn own_files(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    let known = match &probe.config.source {
        Source::Accounts => (
            "accounts file",
            Some(&*probe.config.accounts),
            "remove its line secret and change the passwords",
        ),
        Source::Django(django) => (
            "file of Django's secret keys",
            Some(&*django.secret_file),
            "give the project another SECRET_KEY",
        ),
    };
    let configuration = ("configuration", probe.config.file(), "change the passwords in it");
    let mut problems = Findings::new();
    for (what, path, then) in [known, configuration] {
        let Some(path) = path else { continue };
        let (Ok(content), Ok(whole)) = (std::fs::read(path), std::path::absolute(path)) else { continue };
        for folder in suffixes(&encoded(&whole.display().to_string())) {
            let url = folder.trim_end_matches('/');
            if !content.is_empty() && probe.as_stranger(url).await?.body == content {
                problems.push(Finding::problem(
                    format!("{url} gives the {what} to anybody"),
                    format!(
                        "move it out of the folder that the front serves, such as to /etc/private-media/; {then}: they may be known"
                    ),
                ));
                break;
            }
        }
    }
    Ok(unless_ok(problems, format!("the {} and the configuration are at no URL", known.0)))
}

/// No folder says what is in it.
pub(super) async fn listings(probe: &Probe<'_>) -> Result<Findings, Unanswered> {
    let canary = canary(probe);
    let mut prefixes = vec![probe.config.url.clone()];
    if let SendMode::Nginx(InternalUrl::Prefix(internal)) = &probe.config.send_mode {
        prefixes.push(internal.clone());
    }
    prefixes.extend(folders(probe));
    for prefix in prefixes {
        let inner = canary.path.parent().map(|folder| format!("{prefix}{}/", folder.to_url()));
        for url in std::iter::once(prefix.clone()).chain(inner) {
            // Its own name was not asked for, so only a list can have it.
            if probe.as_stranger(&url).await?.holds(&probe.canaries.words.name) {
                return Ok(vec![Finding::problem(
                    format!("{url} lists the files of the root to anybody"),
                    match probe.kind {
                        Front::Nginx => "autoindex off; there, and let the private URL be handed on",
                        Front::Apache => "Options -Indexes there",
                        Front::Lighttpd => "dir-listing.activate = \"disable\"",
                        Front::Caddy => "no browse in file_server there",
                        Front::Other => "let the front list no folders",
                    },
                )]);
            }
        }
    }
    Ok(vec![Finding::ok("no folder lists what is in it")])
}

fn slipped(probe: &Probe<'_>, url: &str, location: &str) -> Finding {
    Finding::problem(
        format!(
            "{url} gives the file to anybody: a location without a slash at its end has an alias with one"
        ),
        match probe.kind {
            Front::Nginx => {
                format!("location {location} {{ … }}, with the slash, and internal; if it holds the root")
            }
            _ => format!("a slash at the end of both, for {location}"),
        },
    )
}

/// A canary that strangers may not read, if there is such a place at all.
fn canary<'a>(probe: &'a Probe<'_>) -> &'a Canary {
    &probe.canaries.closed
}

/// Where the files would be if a folder above the root were public, and where public files are as a rule.
fn folders(probe: &Probe<'_>) -> Vec<String> {
    let mut folders = suffixes(&encoded(&absolute_root(probe.config)));
    // Where it is without the links on the way is what another server may have.
    let real = real(&probe.config.root).map(|real| suffixes(&encoded(&real.display().to_string())));
    folders.extend(real.into_iter().flatten().filter(|folder| !folders.contains(folder)).collect::<Vec<_>>());
    // The folder above the root may be public at a URL that is not called after it.
    let root = encoded(&absolute_root(probe.config));
    let name = root.rsplit('/').next().unwrap_or_default();
    folders.extend(PUBLIC.iter().map(|public| format!("{public}{name}/")));
    folders.extend(PUBLIC.iter().map(ToString::to_string));
    folders.retain(|folder| *folder != probe.config.url);
    folders
}

/// `/srv/site/private` is `/private/`, `/site/private/` and `/srv/site/private/` to whoever serves a folder above it.
fn suffixes(root: &str) -> Vec<String> {
    let starts = root.match_indices('/').map(|(at, _)| at).rev().take(DEEPEST);
    starts
        .filter_map(|at| root.get(at..))
        .map(|suffix| format!("{suffix}/"))
        .filter(|suffix| suffix != "//")
        .collect()
}

/// Out of a location that lacks its slash, one folder up, and down again to the root.
fn slips(location: &str, root: &str, path: &str) -> Vec<String> {
    let open = location.trim_end_matches('/');
    let roots = suffixes(root).into_iter().take(3);
    let mut slips: Vec<_> = roots.map(|suffix| format!("{open}..{suffix}{path}")).collect();
    if let Some(name) = root.rsplit('/').next() {
        slips.push(format!("{open}/../{name}/{path}"));
        slips.push(format!("{open}..%2F{name}/{path}"));
    }
    slips
}

/// A path of this machine as it stands in a URL.
fn encoded(path: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const ENCODED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');
    utf8_percent_encode(path, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_look() {
        assert_eq!(suffixes("/srv/site/private"), ["/private/", "/site/private/", "/srv/site/private/"]);
        assert_eq!(suffixes("/a/b/c/d/e/f/g/h/i/j").len(), DEEPEST);
        assert_eq!(
            slips("/static/", "/srv/private", "7/a.jpg"),
            [
                "/static../private/7/a.jpg",
                "/static../srv/private/7/a.jpg",
                "/static/../private/7/a.jpg",
                "/static..%2Fprivate/7/a.jpg",
            ]
        );
        assert_eq!(encoded("/srv/my files"), "/srv/my%20files");
    }
}
