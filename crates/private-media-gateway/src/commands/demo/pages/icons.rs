//! Five line drawings on a grid of 24, in the colour of the text around them. They say nothing that the text does not.

use maud::{Markup, html};

pub(super) fn lock() -> Markup {
    icon("lock", "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3")
}

pub(super) fn check() -> Markup {
    icon("check", "M5 12.5l4.5 4.5L19 7.5")
}

pub(super) fn copy() -> Markup {
    icon("copy", "M9 9h11v11H9zM15 9V4H4v11h5")
}

pub(super) fn upload() -> Markup {
    icon("upload", "M12 16V4M7 9l5-5 5 5M4 15v5h16v-5")
}

pub(super) fn document() -> Markup {
    icon("document", "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6")
}

fn icon(class: &str, path: &str) -> Markup {
    html! {
        svg class=(class) viewBox="0 0 24 24" width="24" height="24" fill="none" stroke="currentColor" stroke-width="2"
            stroke-linecap="round" stroke-linejoin="round" aria-hidden="true" { path d=(path) {} }
    }
}
