//! The examples of the documentation, with the tables as those projects create them.

use std::path::Path;

use super::{Application, with_each_database};
use crate::django::servers::Server;

with_each_database!(active_storage laravel wagtail django_filer);

/// A request: its path, who gets the file, and the headers of the file.
type Case = (&'static str, &'static str, &'static str, &'static str);

fn repository_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Serves the example's files with its configuration and its tables.
fn check(name: &str, server: Option<Server>, cases: &[Case]) {
    let tables = repository_file(&format!("examples/lookups/{name}.sql"));
    let configuration = repository_file(&format!("examples/lookups/{name}.toml"));
    let page = repository_file("docs/how-to/lookups.md");
    assert!(page.contains(&format!("```toml\n{configuration}```\n")), "the page shows another {name}.toml");
    // In a text, MySQL needs a second backslash.
    let double = |text: &str| text.replace('\\', "\\\\");
    let (tables, configuration) = match server {
        Some(Server::MariaDb(_)) => (double(&tables), double(&configuration)),
        _ => (tables, configuration),
    };
    let Some(application) = Application::new(server, &tables) else { return };
    application.configure(&configuration.replace("postgres://reader@localhost/app", "{database}"));
    for (path, ..) in cases {
        application.place.write(&format!("private/{path}"), path);
    }
    let gateway = application.serve(&["--root", "private"]);
    for (path, readers, content_type, disposition) in cases {
        for user in ["alice", "bob", "carol", "dave", "nobody"] {
            let response = gateway.get(&format!("/private/{path}"), user);
            if readers.split(' ').any(|reader| reader == user) {
                assert_eq!(
                    (response.status, &*response.body),
                    (200, path.as_bytes()),
                    "{user} {path}: {}",
                    gateway.log()
                );
                assert_eq!(response.header("content-type"), Some(*content_type), "{path}");
                assert_eq!(response.header("content-disposition"), Some(*disposition), "{path}");
            } else {
                assert_eq!(response.status, 404, "{user} {path}: {}", gateway.log());
            }
        }
    }
    assert!(!gateway.log().contains("the lookup failed"), "{}", gateway.log());
}

const COUPE: &str = "inline; filename=\"My coup_.jpg\"; filename*=UTF-8''My%20coup%C3%A9.jpg";

fn active_storage(server: Option<Server>) {
    let variant = "inline; filename=\"My coup_.webp\"; filename*=UTF-8''My%20coup%C3%A9.webp";
    check(
        "activestorage",
        server,
        &[
            ("x7/fq/x7fq2ab3", "alice carol", "image/jpeg", COUPE),
            ("v4/r1/v4r1ant5", "alice carol", "image/webp", variant),
            ("b0/bs/b0bscar6", "bob carol", "text/html", "attachment; filename=\"page.html\""),
            ("no/bo/nobody88", "carol", "image/jpeg", "inline; filename=\"nobody.jpg\""),
            ("or/ph/orphan77", "", "", ""),
            ("no/ro/norow999", "", "", ""),
            ("x7/fq/X7FQ2AB3", "", "", ""),
        ],
    );
}

fn laravel(server: Option<Server>) {
    let photo = "inline; filename=\"photo.jpg\"";
    check(
        "laravel",
        server,
        &[
            ("uploads/Zx7Fq2AbCd.jpg", "alice carol", "image/jpeg", COUPE),
            ("uploads/Yy8Gr3BcDe.bin", "bob carol", "image/svg+xml", "attachment; filename=\"drawing.svg\""),
            ("uploads/none.jpg", "", "", ""),
            ("5/photo.jpg", "alice carol", "image/jpeg", photo),
            (
                "5/conversions/photo-thumb.jpg",
                "alice carol",
                "image/jpeg",
                "inline; filename=\"photo-thumb.jpg\"",
            ),
            ("6/photo.jpg", "bob carol", "image/jpeg", photo),
            ("7/photo.jpg", "", "", ""),
            ("05/photo.jpg", "", "", ""),
            ("5x/photo.jpg", "", "", ""),
        ],
    );
}

fn wagtail(server: Option<Server>) {
    let pdf = "application/pdf";
    check(
        "wagtail",
        server,
        &[
            (
                "documents/brochure.pdf",
                "alice bob carol dave nobody",
                pdf,
                "inline; filename=\"brochure.pdf\"",
            ),
            (
                "documents/prices_x7Fq2Ab.pdf",
                "alice carol dave",
                pdf,
                "inline; filename=\"prices_x7Fq2Ab.pdf\"",
            ),
            ("documents/plan.pdf", "carol", pdf, "inline; filename=\"plan.pdf\""),
            ("documents/none.pdf", "", "", ""),
            ("documents/PLAN.pdf", "", "", ""),
        ],
    );
}

fn django_filer(server: Option<Server>) {
    check(
        "filer",
        server,
        &[
            ("6f/3a/6f3a0c1e/coupe.jpg", "alice carol", "image/jpeg", COUPE),
            (
                "9b/1c/9b1c2d3e/letter.txt",
                "carol",
                "text/plain; charset=utf-8",
                "inline; filename=\"letter.txt\"",
            ),
            ("aa/bb/aabb0011/public.jpg", "", "", ""),
            ("6f/3a/6f3a0c1e/other.jpg", "", "", ""),
        ],
    );
}
