//! The pages of the demo: pure functions from a view to its page.
//!
//! The content security policy of the pages allows no inline script, no inline style, and no other origin.

use maud::{DOCTYPE, Markup, html};

use super::people::Person;
use super::views::{Garage, Landing, Locked};
use card::{breakable, card};
use icons::{lock, upload};

mod card;
mod icons;

/// The style sheet, served as [`STYLE_URL`].
pub(super) const STYLE: &str = include_str!("style.css");
/// The URL of [`STYLE`], as `text/css`.
pub(super) const STYLE_URL: &str = "/-/demo.css";
/// The script, served as [`SCRIPT_URL`]. Every page works without it.
pub(super) const SCRIPT: &str = include_str!("script.js");
/// The URL of [`SCRIPT`], as `text/javascript`.
pub(super) const SCRIPT_URL: &str = "/-/demo.js";
/// The icon in the browser's tab, served as [`ICON_URL`].
pub(super) const ICON: &str = include_str!("icon.svg");
/// The URL of [`ICON`], as `image/svg+xml`.
pub(super) const ICON_URL: &str = "/-/demo.svg";

/// Returns the page `/` for signed-out visitors.
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

/// Returns the page `/` for signed-in users.
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
                // Without files, the list contains no white space: the style sheet shows the sentence next to an `:empty` list.
                ul.files data-owner=(group.owner.id) data-testid={ "files-" (group.owner.name) } {
                    @for file in &group.files { (card(file, me, mine)) }
                }
                p.empty { @if mine { "Nothing yet. Upload a photo of your car." } @else { "Nothing yet." } }
            }
        }
    };
    page(if me.staff { "Everyone’s cars" } else { "Your cars" }, Some(me), &body)
}

/// Returns the page of any other URL.
pub(super) fn not_found(me: Option<&Person>) -> Markup {
    problem(404, "Nothing here.", "A file without permission gets the same response.", me)
}

/// Returns the page of an error, for browsers without the script.
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

fn avatar(name: &str) -> Markup {
    html! { span.avatar aria-hidden="true" { (name.chars().next().unwrap_or('?').to_uppercase()) } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::demo::views::{FileView, Kind, OwnerFiles, Seen};

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
    fn names_are_text_and_never_markup() {
        for kind in [Kind::Image, Kind::Video, Kind::Other] {
            let page = garage_of(ALICE, kind);
            assert!(!page.contains("<b>"), "{page}");
            assert!(page.contains("a&quot;&lt;b&gt; #?.jpg"), "{page}");
        }
    }

    #[test]
    fn the_card_shows_the_decision_for_each_user() {
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
    fn only_the_owner_can_delete() {
        assert!(garage_of(ALICE, Kind::Image).contains("action=\"/delete\""));
        assert!(!garage_of(CAROL, Kind::Image).contains("action=\"/delete\""));
    }

    /// The content security policy of the pages blocks them.
    #[test]
    fn pages_contain_no_inline_style_or_script() {
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
