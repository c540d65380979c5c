//! The pages of the demo: pure functions from a view to its page. The permissions are decided before; each view holds the decisions.
//!
//! The content security policy of the pages allows no inline script, no inline style, and no other origin.

use maud::{DOCTYPE, Markup, html};

use super::people::Person;
use icons::{check, copy, document, lock, upload};

mod icons;

/// The style sheet, served as [`STYLE_URL`].
pub(super) const STYLE: &str = include_str!("style.css");
/// Where the pages expect [`STYLE`], as `text/css`.
pub(super) const STYLE_URL: &str = "/-/demo.css";
/// The script, served as [`SCRIPT_URL`]. Every page works without it.
pub(super) const SCRIPT: &str = include_str!("script.js");
/// Where the pages expect [`SCRIPT`], as `text/javascript`.
pub(super) const SCRIPT_URL: &str = "/-/demo.js";
/// The icon in the browser's tab, served as [`ICON_URL`].
pub(super) const ICON: &str = include_str!("icon.svg");
/// Where the pages expect [`ICON`], as `image/svg+xml`.
pub(super) const ICON_URL: &str = "/-/demo.svg";

/// The page for signed-out visitors.
#[derive(Debug)]
pub(super) struct Landing<'a> {
    /// The accounts with their passwords, as buttons.
    pub accounts: &'a [(Person, &'static str)],
    /// Files that exist but are not readable for the visitor.
    pub locked: Vec<Locked>,
}

/// A file of which the visitor knows only the URL.
#[derive(Debug)]
pub(super) struct Locked {
    /// Its URL, percent-encoded, from `/`.
    pub url: String,
    /// Its path below the private root, for people to read.
    pub path: String,
}

/// The page for signed-in users.
#[derive(Debug)]
pub(super) struct Garage {
    /// The signed-in user.
    pub me: Person,
    /// The readable files by owner, including the user's own group, even if it is empty.
    pub groups: Vec<OwnerFiles>,
}

/// The files of one person.
#[derive(Debug)]
pub(super) struct OwnerFiles {
    /// The owner of the files.
    pub owner: Person,
    /// The files, in the order in which they are shown.
    pub files: Vec<FileView>,
}

/// One file.
#[derive(Debug)]
pub(super) struct FileView {
    /// Its URL, percent-encoded, from `/`.
    pub url: String,
    /// Its path below the private root.
    pub path: String,
    /// The last segment of the path.
    pub name: String,
    /// How to show it.
    pub kind: Kind,
    /// Its length in bytes.
    pub len: u64,
    /// The decision for each of the four users.
    pub seen_by: [Seen; 4],
}

/// How a file can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// In the page, as a picture.
    Image,
    /// In the page, with controls.
    Video,
    /// As a download. So are images that can contain scripts (SVG).
    Other,
}

/// The decision for one user.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// The user; `None` if signed out.
    pub by: Option<Person>,
    /// Whether the user may read the file.
    pub allowed: bool,
}

/// `/`, signed out.
pub(super) fn landing(view: &Landing<'_>) -> Markup {
    let body = html! {
        section.hero {
            h1 { "The same URL." br; "Your photo, or nothing." }
            p.lede { "Private uploads: the owner and staff get the file, everyone else gets a 404." }
        }
        section.enter aria-labelledby="enter" {
            h2 #enter { "Look at it as" }
            ul.accounts {
                @for (person, password) in view.accounts { li { (account(person, password)) } }
            }
            (sign_in())
        }
        section.night aria-labelledby="locked" {
            div.inside {
                h2 #locked { "Signed out, this is the garage." }
                p { "Each of these files exists. Open one: a file without permission and a missing file get the same response, 404." }
                ul.tiles data-testid="locked" { @for file in &view.locked { li { (locked(file)) } } }
            }
        }
    };
    page("Private files, seen", None, &body)
}

/// `/`, signed in.
pub(super) fn garage(view: &Garage) -> Markup {
    let me = &view.me;
    let body = html! {
        div.top {
            div {
                h1 { @if me.staff { "Everyone’s cars" } @else { "Your cars" } }
                p.lede {
                    @if me.staff { "You are staff, so you get every file. Their owners get their own, and nobody else gets any." }
                    @else { "You and staff get these files. For everybody else the same URLs are a 404." }
                }
            }
            (uploader())
        }
        @for group in &view.groups {
            @let mine = group.owner == *me;
            section.group aria-labelledby={ "owner-" (group.owner.id) } {
                h2 #{ "owner-" (group.owner.id) } .visually-hidden[!me.staff] {
                    (avatar(group.owner.name)) (group.owner.name)
                    span.path { "cars/" (group.owner.id) "/" }
                    @if mine { " " span.badge { "you" } }
                }
                // Without white space when there is no file: the style sheet shows the sentence beside an `:empty` list.
                ul.files data-owner=(group.owner.id) data-testid={ "files-" (group.owner.name) } {
                    @for file in &group.files { (card(file, me, mine)) }
                }
                p.empty { @if mine { "Nothing yet. Upload a photo of your car." } @else { "Nothing yet." } }
            }
        }
    };
    page(if me.staff { "Everyone’s cars" } else { "Your cars" }, Some(me), &body)
}

/// Any other URL.
pub(super) fn not_found(me: Option<&Person>) -> Markup {
    problem(404, "Nothing here.", "A file without permission gets the same response.", me)
}

/// An error, for browsers without the script.
pub(super) fn problem(status: u16, title: &str, text: &str, me: Option<&Person>) -> Markup {
    let body = html! {
        section.problem {
            p.status aria-hidden="true" { (status) }
            h1 { (title) }
            p.lede { (text) }
            p { a.button href="/" { "Back to the garage" } }
        }
    };
    page(title, me, &body)
}

fn page(title: &str, me: Option<&Person>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · private-media" }
                link rel="icon" href=(ICON_URL) type="image/svg+xml";
                link rel="stylesheet" href=(STYLE_URL);
                script src=(SCRIPT_URL) defer {}
            }
            body {
                header.bar {
                    a.brand href="/" { (lock()) span { "private-media" } }
                    @if let Some(me) = me { (signed_in(me)) } @else { p.who { "signed out" } }
                }
                main { (body) }
            }
        }
    }
}

fn signed_in(me: &Person) -> Markup {
    html! {
        div.who {
            (avatar(me.name))
            span.name data-testid="me" { (me.name) }
            span.badge data-testid="role" { @if me.staff { "staff" } @else { "id " (me.id) } }
            form method="post" action="/private/-/sign-out" {
                input type="hidden" name="next" value="/";
                button.quiet type="submit" data-testid="sign-out" { "Sign out" }
            }
        }
    }
}

fn account(person: &Person, password: &str) -> Markup {
    html! {
        form method="post" action="/private/-/sign-in" {
            input type="hidden" name="name" value=(person.name);
            input type="hidden" name="password" value=(password);
            input type="hidden" name="next" value="/";
            button.account type="submit" data-testid={ "as-" (person.name) } {
                (avatar(person.name))
                span.name { (person.name) }
                span.what {
                    @if person.staff { "is staff, and sees every car" } @else { "owns " code { "cars/" (person.id) "/" } }
                }
                span.password { "password " code { (password) } }
            }
        }
    }
}

fn sign_in() -> Markup {
    html! {
        form.sign-in method="post" action="/private/-/sign-in" data-testid="sign-in" {
            input type="hidden" name="next" value="/";
            div.field {
                label for="name" { "Name" }
                input #name name="name" autocomplete="username" autocapitalize="none" spellcheck="false" required;
            }
            div.field {
                label for="password" { "Password" }
                input #password name="password" type="password" autocomplete="current-password" required;
            }
            button type="submit" { "Sign in" }
        }
    }
}

fn locked(file: &Locked) -> Markup {
    html! {
        a.tile href=(file.url) {
            span.answer { (lock()) "404" }
            span.path { (breakable(&format!("/private/{}", file.path))) }
        }
    }
}

fn uploader() -> Markup {
    html! {
        section.uploader aria-label="Upload" {
            form.drop method="post" action="/upload" enctype="multipart/form-data" data-upload data-testid="drop" {
                (upload())
                label for="file" { strong { "Drop a photo or a video" } span.choose { "or " span { "choose files" } } }
                input #file type="file" name="file" multiple required;
                button type="submit" { "Upload" }
            }
            ul.uploads data-uploads data-testid="uploads" {}
            p.visually-hidden role="status" data-status data-testid="status" {}
        }
    }
}

fn card(file: &FileView, me: &Person, mine: bool) -> Markup {
    html! {
        li.card data-path=(file.path) data-testid="file" {
            div.picture { (picture(file)) }
            div.about {
                div.line {
                    h3 { (file.name) }
                    span.size { (size(file.len)) }
                    @if mine { (delete(file)) }
                }
                div.line.address {
                    a.path href=(file.url) data-testid="url" { (breakable(&file.url)) }
                    button.icon type="button" hidden data-copy=(file.url) aria-label={ "Copy the URL of " (file.name) } {
                        (copy()) (check())
                    }
                }
                ul.seen aria-label="The same URL, for each" {
                    @for seen in &file.seen_by { (answer(file, seen, seen.by.is_some_and(|by| by == *me))) }
                }
            }
        }
    }
}

fn picture(file: &FileView) -> Markup {
    html! {
        @match file.kind {
            Kind::Image => { img src=(file.url) alt=(file.name) data-testid="photo"; }
            Kind::Video => { video src=(file.url) controls preload="metadata" playsinline aria-label=(file.name) data-testid="video" {} }
            Kind::Other => { a.other href=(file.url) { (document()) "Download" } }
        }
    }
}

/// The decision for one user, with a thumbnail if allowed.
fn answer(file: &FileView, seen: &Seen, me: bool) -> Markup {
    let name = seen.by.map_or("signed out", |by| by.name);
    html! {
        li.yes[seen.allowed].no[!seen.allowed].me[me] data-testid={ "seen-" (seen.by.map_or("nobody", |by| by.name)) } {
            div.thumb {
                @if seen.allowed { (thumbnail(file)) span.code { (check()) "200" } }
                @else { span.code { (lock()) "404" } }
            }
            span.label {
                (name)
                @if me { " " span.you { "you" } }
                @else if seen.by.is_some_and(|by| by.staff) { " " span.role { "staff" } }
            }
        }
    }
}

/// A thumbnail without sound and focus: the card shows the file already.
fn thumbnail(file: &FileView) -> Markup {
    html! {
        @match file.kind {
            Kind::Image => { img src=(file.url) alt=""; }
            Kind::Video => { video src={ (file.url) "#t=0.5" } preload="metadata" muted playsinline tabindex="-1" aria-hidden="true" {} }
            Kind::Other => { (document()) }
        }
    }
}

/// A button that asks before it deletes, in a popover without a script.
fn delete(file: &FileView) -> Markup {
    let id = format!("delete:{}", file.url);
    html! {
        button.quiet type="button" popovertarget=(id) data-testid="delete" aria-label={ "Delete " (file.name) } { "Delete" }
        div.ask #(id) popover role="dialog" aria-label={ "Delete " (file.name) } {
            p { "Delete " strong { (file.name) } "? It will be gone for everyone." }
            form method="post" action="/delete" {
                input type="hidden" name="path" value=(file.path);
                button.quiet type="button" popovertarget=(id) popovertargetaction="hide" { "Keep it" }
                button.danger type="submit" data-testid="delete-really" { "Delete" }
            }
        }
    }
}

/// A path with a line break opportunity after each slash.
fn breakable(path: &str) -> Markup {
    html! { @for part in path.split_inclusive('/') { (part) wbr; } }
}

fn avatar(name: &str) -> Markup {
    html! { span.avatar aria-hidden="true" { (name.chars().next().unwrap_or('?').to_uppercase()) } }
}

/// Formats a file size with at most three digits, in decimal units.
fn size(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let Some((unit, name)) = units.into_iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes} B");
    };
    match (bytes / unit, bytes % unit * 10 / unit) {
        (whole @ 0..=9, tenth) => format!("{whole}.{tenth} {name}"),
        (whole, _) => format!("{whole} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Person = Person { name: "alice", id: "7", staff: false };
    const BOB: Person = Person { name: "bob", id: "8", staff: false };
    const CAROL: Person = Person { name: "carol", id: "9", staff: true };

    fn file(name: &str, kind: Kind) -> FileView {
        FileView {
            url: "/private/cars/7/a%22%3Cb%3E%20%23%3F.jpg".into(),
            path: format!("cars/7/{name}"),
            name: name.into(),
            kind,
            len: 1,
            seen_by: [Some(ALICE), Some(BOB), Some(CAROL), None]
                .map(|by| Seen { by, allowed: by.is_some_and(|by| by.staff || by.id == "7") }),
        }
    }

    fn garage_of(me: Person, kind: Kind) -> String {
        let files = vec![file("a\"<b> #?.jpg", kind)];
        garage(&Garage { me, groups: vec![OwnerFiles { owner: ALICE, files }] }).into_string()
    }

    #[test]
    fn sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (9_999, "9.9 kB"),
            (10_000, "10 kB"),
            (999_999, "999 kB"),
            (1_050_000, "1.0 MB"),
            (123_456_789, "123 MB"),
            (u64::MAX, "18446744073 GB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn names_are_text_and_never_markup() {
        for kind in [Kind::Image, Kind::Video, Kind::Other] {
            let page = garage_of(ALICE, kind);
            assert!(!page.contains("<b>"), "{page}");
            assert!(page.contains("a&quot;&lt;b&gt; #?.jpg"), "{page}");
        }
    }

    #[test]
    fn each_of_the_four_sees_the_answer_they_get() {
        let page = garage_of(CAROL, Kind::Image);
        for (who, code) in [("alice", "200"), ("bob", "404"), ("carol", "200"), ("nobody", "404")] {
            let tile = page.split_once(&format!("data-testid=\"seen-{who}\"")).unwrap().1;
            let tile = tile.split_once("</li>").unwrap().0;
            assert!(tile.contains(code), "{who}: {tile}");
            assert_eq!(tile.contains("<img"), code == "200", "{who}: {tile}");
            assert_eq!(tile.contains("you"), who == "carol", "{who}: {tile}");
        }
    }

    #[test]
    fn only_the_owner_is_offered_to_delete() {
        assert!(garage_of(ALICE, Kind::Image).contains("action=\"/delete\""));
        assert!(!garage_of(CAROL, Kind::Image).contains("action=\"/delete\""));
    }

    /// Inline style and script would be blocked by the policy that the pages are served under.
    #[test]
    fn nothing_is_inline() {
        let pages = [
            garage_of(ALICE, Kind::Video),
            not_found(Some(&BOB)).into_string(),
            not_found(None).into_string(),
        ];
        for page in pages {
            for banned in [" style=", "<style", " onclick=", "http://", "https://", "data:"] {
                assert!(!page.contains(banned), "{banned}: {page}");
            }
        }
    }
}
