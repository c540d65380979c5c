//! The card of a file.

use maud::{Markup, html};

use super::icons::{check, copy, document, lock};
use crate::commands::demo::people::Person;
use crate::commands::demo::views::{FileView, Kind, Seen};

/// Returns the card of a file, with the decision for each user.
pub(super) fn card(file: &FileView, me: &Person, mine: bool) -> Markup {
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
                    @for seen in &file.seen_by { (decision(file, seen, seen.by.is_some_and(|by| by == *me))) }
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

/// Returns the decision for one user, with a thumbnail if allowed.
fn decision(file: &FileView, seen: &Seen, me: bool) -> Markup {
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

/// Returns a thumbnail without sound and focus, because the card shows the file, too.
fn thumbnail(file: &FileView) -> Markup {
    html! {
        @match file.kind {
            Kind::Image => { img src=(file.url) alt=""; }
            Kind::Video => { video src={ (file.url) "#t=0.5" } preload="metadata" muted playsinline tabindex="-1" aria-hidden="true" {} }
            Kind::Other => { (document()) }
        }
    }
}

/// Returns a button that asks before it deletes. The popover needs no script.
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

/// Returns a path with a line break opportunity after each slash.
pub(super) fn breakable(path: &str) -> Markup {
    html! { @for part in path.split_inclusive('/') { (part) wbr; } }
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
}
