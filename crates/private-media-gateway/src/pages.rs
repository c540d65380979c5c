//! The pages of the gateway itself: the front page, and the page of a denied or missing file. The sign-in page is that of the accounts.

use http::header::{ALLOW, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use maud::{Markup, html};
use private_media::pages::Branding;
use private_media::permission::{Grant, Grantee, Grants};
use private_media::{AccessRecord, MediaBody, MediaPath, PrivateMedia, User};

use crate::body::{Body, text_response};
use crate::login::LoginPages;

/// The path of the front page below the private URL.
pub(crate) const FRONT: &str = "-/";

/// The pages of a gateway.
pub(crate) struct Pages {
    pub(crate) media: PrivateMedia,
    /// The URL prefix of the private files.
    pub(crate) url: String,
    pub(crate) branding: Branding,
    pub(crate) grants: Grants,
    /// Whether an application decides about files besides the grants.
    pub(crate) is_decided: bool,
    /// Whether denials are responses for developers.
    pub(crate) debug: bool,
}

impl Pages {
    /// Redirects to the front page. Cookies of the accounts are for the private URL alone, so no page outside knows the user.
    pub(crate) fn redirect_to_front(&self) -> Response<Body> {
        let mut response = text_response(StatusCode::SEE_OTHER, "");
        if let Ok(location) = HeaderValue::try_from(self.front_url()) {
            response.headers_mut().insert(LOCATION, location);
        }
        response
    }

    fn front_url(&self) -> String {
        format!("{}{FRONT}", self.url)
    }

    /// Returns the front page: who the client is, and which folders grants give to them.
    pub(crate) async fn front(&self, head: &Parts, login: &LoginPages) -> Response<Body> {
        if !matches!(head.method, Method::GET | Method::HEAD) {
            let mut response = text_response(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        let (status, title, content) = match self.media.identify(head).await {
            Ok(identity) => match identity.user() {
                Some(user) => (StatusCode::OK, "Your files", self.signed_in(user)),
                None => (StatusCode::OK, "Signed out", self.signed_out(login)),
            },
            Err(error) => {
                tracing::debug!(%error, "the front page was requested");
                (StatusCode::SERVICE_UNAVAILABLE, "Try again later", unavailable())
            }
        };
        self.page(status, title, &content, &head.method)
    }

    /// Returns the page for a signed-in browser that navigated to a denied or missing file, which it does not distinguish.
    pub(crate) fn denied(
        &self,
        head: &Parts,
        record: &AccessRecord,
        common: &HeaderMap,
        login: &LoginPages,
    ) -> Option<Response<Body>> {
        let user = record.identity.user().filter(|_| record.not_found && !self.debug)?;
        let other = login.location_of_other(head, record, &self.url)?;
        let content = html! {
            h1 { "Not found, or not yours" }
            p { "You are signed in as " strong { (user.display_name()) } ", and there is no file at this address that you may see." }
            @if user.identified_by() == Some("accounts") && other.starts_with('/') {
                form method="post" action={ (self.url) "-/sign-out" } {
                    input type="hidden" name="next" value=(other);
                    button { "Sign in as someone else" }
                }
            } @else if !other.is_empty() {
                a.button href=(other) { "Sign in as someone else" }
            }
            p { a href=(self.front_url()) { "Your files" } }
        };
        let mut page = self.page(StatusCode::NOT_FOUND, "Not found", &content, &head.method);
        for (name, value) in common {
            page.headers_mut().entry(name).or_insert_with(|| value.clone());
        }
        Some(page)
    }

    fn page(&self, status: StatusCode, title: &str, content: &Markup, method: &Method) -> Response<Body> {
        let mut page = self.branding.page(status, title, &content.0).map(Body::other);
        if let Some(len) = page.body().size_hint().exact() {
            page.headers_mut().insert(CONTENT_LENGTH, len.into());
        }
        if *method == Method::HEAD { page.map(|_| Body::from(MediaBody::empty())) } else { page }
    }

    fn signed_in(&self, user: &User) -> Markup {
        let folders = folders(&self.grants, user);
        html! {
            h1 { "Your files" }
            p {
                "Signed in as " strong { (user.display_name()) } "."
                br;
                span.soft {
                    "id " (user.id())
                    @if user.is_staff() { " · staff" }
                    @for group in user.groups() { " · " (group) }
                    @if let Some(source) = user.identified_by() { " · known from " (source) }
                }
            }
            @if folders.is_empty() {
                p { "No folder is shared with you." }
            } @else {
                p { "You may open files in:" }
                ul.folders {
                    @for folder in &folders {
                        li { code { (self.url) (folder.path) } span.soft { (folder.reason) } }
                    }
                }
                p.soft { "This page does not list the files. Open a file by its address." }
            }
            @if self.is_decided { p.soft { "The application may let you open more files." } }
            @if user.identified_by() == Some("accounts") {
                form method="post" action={ (self.url) "-/sign-out" } {
                    input type="hidden" name="next" value=(self.front_url());
                    button { "Sign out" }
                }
            }
        }
    }

    fn signed_out(&self, login: &LoginPages) -> Markup {
        html! {
            h1 { "Private files" }
            p { "You are not signed in. Sign in to open your files." }
            @match login.url_of_first(&self.front_url()) {
                Some(url) => a.button href=(url) { "Sign in" },
                None => p.soft { "Sign in to the application that these files belong to." },
            }
        }
    }
}

fn unavailable() -> Markup {
    html! {
        h1 { "Try again later" }
        p role="alert" { "Your sign-in could not be checked." }
    }
}

/// A folder that a grant gives to a user.
#[derive(Debug, PartialEq, Eq)]
struct Folder {
    path: String,
    reason: String,
}

/// Returns the folders that grants give to a user.
fn folders(grants: &Grants, user: &User) -> Vec<Folder> {
    let mut folders: Vec<Folder> = Vec::new();
    for grant in grants.iter() {
        let Some(reason) = grant.to().find_map(|to| reason(to, grant, user)) else { continue };
        let is_owner = *reason == *YOURS;
        let Some(path) = folder(grant, is_owner.then(|| user.id())) else { continue };
        if folders.iter().all(|other| other.path != path) {
            folders.push(Folder { path, reason });
        }
    }
    folders
}

const YOURS: &str = "yours";

/// Returns why a grantee is this user.
fn reason(to: &Grantee, grant: &Grant, user: &User) -> Option<String> {
    match to {
        // Without the variable, a lookup names the owner of each file.
        Grantee::Owner if grant.template().has_variable("owner") => Some(YOURS.to_owned()),
        Grantee::Owner => Some("the files that the application calls yours".to_owned()),
        Grantee::Staff => user.is_staff().then(|| "for staff".to_owned()),
        Grantee::Authenticated => Some("for everyone who is signed in".to_owned()),
        Grantee::Everyone => Some("for everyone".to_owned()),
        Grantee::Group(group) => user.groups().contains(group).then(|| format!("for the group {group}")),
        Grantee::FileGroup => (!user.groups().is_empty())
            .then(|| "the files that the application gives to your groups".to_owned()),
        Grantee::User(id) => (id == user.id()).then(|| "for you".to_owned()),
        _ => None,
    }
}

/// Returns the folder, or the file, that a grant is about: `cars/7/` for `cars/{owner}/{*file}`. With an owner, it is that of the
/// owner; `None` if no path can have this id. Other variables are shown as `…`.
fn folder(grant: &Grant, owner: Option<&str>) -> Option<String> {
    let template = grant.template().to_string();
    let mut path = String::new();
    let mut open = 0;
    for (number, segment) in template.split('/').enumerate() {
        let variable = segment.strip_prefix('{').filter(|rest| !rest.starts_with('{'));
        let variable = variable.and_then(|rest| rest.strip_suffix('}'));
        if number > 0 {
            path.push('/');
        }
        match (variable, owner) {
            (None, _) => path.push_str(&segment.replace("{{", "{").replace("}}", "}")),
            (Some("owner"), Some(id)) => {
                MediaPath::new(id).ok().filter(|_| !id.contains('/'))?;
                path.push_str(id);
            }
            (Some(_), _) => {
                path.push('…');
                continue;
            }
        }
        open = path.len();
    }
    // Variables at the end are files in the folder.
    if open < path.len() {
        path.truncate(open);
        if !path.is_empty() {
            path.push('/');
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(grants: &str, user: &User) -> Vec<String> {
        let folders = folders(&grants.parse().unwrap(), user);
        folders.into_iter().map(|folder| format!("{}: {}", folder.path, folder.reason)).collect()
    }

    #[test]
    fn grants_give_folders_to_users() {
        let alice = User::new("7");
        let staff = User::new("9").staff(true).group("sales");
        for (grants, user, expected) in [
            ("cars/{owner}/{*file}=owner,staff", &alice, &["cars/7/: yours"][..]),
            ("cars/{owner}/{*file}=staff,owner", &staff, &["cars/…/: for staff"]),
            ("cars/{owner}/{year}/{*file}=owner", &alice, &["cars/7/: yours"]),
            ("{tenant}/{owner}/scan.pdf=owner", &alice, &["…/7/scan.pdf: yours"]),
            ("shared/{*file}=authenticated", &alice, &["shared/: for everyone who is signed in"]),
            ("{*file}=staff", &staff, &[": for staff"]),
            ("{*file}=staff", &alice, &[]),
            ("deals/{*file}=group:sales", &staff, &["deals/: for the group sales"]),
            ("deals/{*file}=group:sales", &alice, &[]),
            ("a/{{b}}/{*file}=user:7", &alice, &["a/{b}/: for you"]),
            ("a/{*file}=user:8", &alice, &[]),
            ("{owner}/{*file}=owner;{owner}/{name}=owner", &alice, &["7/: yours"]),
            // No path has this id as a segment.
            ("cars/{owner}/{*file}=owner", &User::new("a/b"), &[]),
            ("cars/{owner}/{*file}=owner", &User::new(".."), &[]),
        ] {
            assert_eq!(shown(grants, user), expected, "{grants} {user:?}");
        }
    }
}
