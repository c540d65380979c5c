//! Checks for other URLs of the same files: the internal location, public folders, listings.

use super::super::canary::Canary;
use super::super::client::{RequestError, RequestOptions};
use super::super::local::real;
use super::super::report::{Finding, Findings, or_ok};
use super::front::{Front, absolute_root, hand_off};
use super::probe::Probe;
use crate::config::Source;
use crate::send_mode::{InternalUrl, SendMode};

/// Usual URLs of public files.
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
/// How many folders above the root are tried.
const MAX_DEPTH: usize = 8;

/// Checks that clients cannot request nginx's internal location.
pub(super) async fn internal_location(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let path = canary(probe).path.to_url();
    let root = encoded(&absolute_root(probe.config));
    let internal = match &probe.config.send_mode {
        SendMode::Nginx(InternalUrl::Prefix(internal)) => internal.clone(),
        SendMode::Nginx(InternalUrl::FullPath) => format!("{root}/"),
        SendMode::Direct | SendMode::Redirect | SendMode::Apache(_) => return Ok(Vec::new()),
    };
    let url = format!("{internal}{path}");
    if probe.contains_secret(&probe.get_anonymously(&url).await?) {
        let message = format!("{url} sends the file to everyone: clients can request the location");
        return Ok(vec![Finding::problem(message, hand_off(probe.config, probe.kind))]);
    }
    for url in slips(&internal, &root, &path) {
        if probe.contains_secret(&probe.get_anonymously(&url).await?) {
            return Ok(vec![slipped(probe, &url, &internal)]);
        }
    }
    Ok(vec![Finding::ok(format!("clients cannot request {internal}"))])
}

/// Checks that no other URL leads to the files.
pub(super) async fn other_urls(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let path = canary(probe).path.to_url();
    let root = encoded(&absolute_root(probe.config));
    let mut problems = Findings::new();
    for folder in folders(probe) {
        let url = format!("{folder}{path}");
        if probe.contains_secret(&probe.get_anonymously(&url).await?) {
            let closed = match probe.kind {
                Front::Nginx => format!("location ^~ {folder} {{ return 404; }}"),
                Front::Apache => format!("<Location \"{folder}\"> Require all denied </Location>"),
                Front::Lighttpd => format!("$HTTP[\"url\"] =^ \"{folder}\" {{ url.access-deny = ( \"\" ) }}"),
                Front::Caddy => format!("respond {folder}* 404"),
                Front::Other => format!("let the front server respond to {folder} with 404"),
            };
            problems.push(Finding::problem(
                format!(
                    "{url} sends the file to everyone: the root is below a folder that the front server serves"
                ),
                format!("move the root out of that folder; until then: {closed}"),
            ));
            break;
        }
    }
    if problems.is_empty() && !probe.accounts.everyone {
        problems.extend(at_another_host(probe, &path).await?);
    }
    // `location /static { alias /srv/site/static/; }` takes `/static../private/…` out of its folder.
    'slips: for public in PUBLIC.iter().filter(|public| **public != "/") {
        for url in slips(public, &root, &path) {
            // A server that normalizes this path gets the private URL.
            let is_known = (probe.is_open || probe.accounts.everyone) && url.contains("/../");
            if !is_known && probe.contains_secret(&probe.get_anonymously(&url).await?) {
                problems.push(slipped(probe, &url, public));
                break 'slips;
            }
        }
    }
    let some = folders(probe).into_iter().take(3).collect::<Vec<_>>().join(", ");
    Ok(or_ok(problems, format!("no other URL leads to the files ({some} …)")))
}

/// Checks another `Host`: another site of the same server may serve a folder above the root, at the private URL too.
async fn at_another_host(probe: &Probe<'_>, path: &str) -> Result<Option<Finding>, RequestError> {
    const OTHER: &str = "private-media-doctor.invalid";
    let options = RequestOptions { host: Some(OTHER), ..RequestOptions::default() };
    for folder in std::iter::once(probe.config.url.clone()).chain(folders(probe)) {
        let url = format!("{folder}{path}");
        if probe.contains_secret(&probe.front.send(&url, &options).await?) {
            return Ok(Some(Finding::problem(
                format!(
                    "{url} sends the file to everyone who sends another Host, such as {OTHER}: the default site, or another one, serves a folder above the root"
                ),
                "move the root out of that folder; no site of this server may serve a folder above it",
            )));
        }
    }
    Ok(None)
}

/// Checks that the accounts and the configuration cannot be downloaded.
pub(super) async fn own_files(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let known = probe.config.identity.iter().filter_map(|source| match &source.source {
        Source::Accounts(accounts) => Some((
            "accounts file",
            Some(&*accounts.file.path),
            "remove its line `secret`, and change the passwords",
        )),
        Source::Django(django) => Some((
            "file of Django's secret keys",
            Some(&*django.secret_file.path),
            "give the project a new SECRET_KEY",
        )),
        Source::Jwt(jwt) => Some((
            "file of the issuer's secret",
            jwt.options.keys.secret_file(),
            "give the issuer a new secret",
        )),
        Source::Forward(_) | Source::Header(_) => None,
    });
    let known: Vec<_> = known.collect();
    let configuration = ("configuration", probe.config.file(), "change the passwords in it");
    let mut problems = Findings::new();
    for (what, path, then) in known.iter().copied().chain([configuration]) {
        let Some(path) = path else { continue };
        let (Ok(content), Ok(whole)) = (std::fs::read(path), std::path::absolute(path)) else { continue };
        for folder in suffixes(&encoded(&whole.display().to_string())) {
            let url = folder.trim_end_matches('/');
            if !content.is_empty() && probe.get_anonymously(url).await?.body == content {
                problems.push(Finding::problem(
                    format!("{url} sends the {what} to everyone"),
                    format!(
                        "move it out of the folder that the front server serves, for example to /etc/private-media/; {then}, as they may be known"
                    ),
                ));
                break;
            }
        }
    }
    let names = known.iter().map(|(what, ..)| format!("the {what}, ")).collect::<String>();
    Ok(or_ok(problems, format!("{names}the configuration: none can be downloaded")))
}

/// Checks that no folder is listed.
pub(super) async fn listings(probe: &Probe<'_>) -> Result<Findings, RequestError> {
    let canary = canary(probe);
    let mut prefixes = vec![probe.config.url.clone()];
    if let SendMode::Nginx(InternalUrl::Prefix(internal)) = &probe.config.send_mode {
        prefixes.push(internal.clone());
    }
    prefixes.extend(folders(probe));
    for prefix in prefixes {
        let inner = canary.path.parent().map(|folder| format!("{prefix}{}/", folder.to_url()));
        for url in std::iter::once(prefix.clone()).chain(inner) {
            // The request does not contain the name, so only a listing can.
            if probe.get_anonymously(&url).await?.contains(&probe.canaries.nonces.name) {
                return Ok(vec![Finding::problem(
                    format!("{url} lists the files of the root to everyone"),
                    match probe.kind {
                        Front::Nginx => "autoindex off; there, and pass the private URL to the gateway",
                        Front::Apache => "Options -Indexes there",
                        Front::Lighttpd => "dir-listing.activate = \"disable\"",
                        Front::Caddy => "no browse in file_server there",
                        Front::Other => "turn off directory listings in the front server",
                    },
                )]);
            }
        }
    }
    Ok(vec![Finding::ok("no folder is listed")])
}

fn slipped(probe: &Probe<'_>, url: &str, location: &str) -> Finding {
    Finding::problem(
        format!("{url} sends the file to everyone: a location without a final slash has an alias with one"),
        match probe.kind {
            Front::Nginx => {
                format!("location {location} {{ … }}, with the slash, and internal; if it holds the root")
            }
            _ => format!("a slash at the end of both, for {location}"),
        },
    )
}

/// Returns the canary that is requested without signing in only.
fn canary<'a>(probe: &'a Probe<'_>) -> &'a Canary {
    &probe.canaries.closed
}

/// Returns the URLs that the files would have if a folder above the root were public, and usual URLs of public files.
fn folders(probe: &Probe<'_>) -> Vec<String> {
    let mut folders = suffixes(&encoded(&absolute_root(probe.config)));
    // Another server may serve the path without links.
    let real = real(&probe.config.root).map(|real| suffixes(&encoded(&real.display().to_string())));
    folders.extend(real.into_iter().flatten().filter(|folder| !folders.contains(folder)).collect::<Vec<_>>());
    // The folder above the root may be public at a URL with another name.
    let root = encoded(&absolute_root(probe.config));
    let name = root.rsplit('/').next().unwrap_or_default();
    folders.extend(PUBLIC.iter().map(|public| format!("{public}{name}/")));
    folders.extend(PUBLIC.iter().map(ToString::to_string));
    folders.retain(|folder| *folder != probe.config.url);
    folders
}

/// Returns the URLs of a root for each folder above it: `/private/`, `/site/private/` and `/srv/site/private/`.
fn suffixes(root: &str) -> Vec<String> {
    let starts = root.match_indices('/').map(|(at, _)| at).rev().take(MAX_DEPTH);
    starts
        .filter_map(|at| root.get(at..))
        .map(|suffix| format!("{suffix}/"))
        .filter(|suffix| suffix != "//")
        .collect()
}

/// Returns URLs that leave a location without a final slash, and lead to the root.
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

/// Percent-encodes a path of this machine.
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
    fn urls_of_a_root() {
        assert_eq!(suffixes("/srv/site/private"), ["/private/", "/site/private/", "/srv/site/private/"]);
        assert_eq!(suffixes("/a/b/c/d/e/f/g/h/i/j").len(), MAX_DEPTH);
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
