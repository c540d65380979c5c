//! Symbolic links below the root are not served, unless `storage.follow_links` is set.

use std::os::unix::fs::symlink;

use crate::support::{GRANT, Place};

const MODES: [&str; 3] = ["direct", "nginx", "apache"];

/// Returns a root in which two links of alice lead to a file of bob, and to its folder.
fn place() -> Place {
    let place = Place::new();
    place.write("private/cars/8/secret.jpg", "bob's");
    symlink("../8/secret.jpg", place.path("private/cars/7/link.jpg")).unwrap();
    symlink("../8", place.path("private/cars/7/folder")).unwrap();
    place
}

#[test]
fn a_link_is_404_and_logged() {
    let place = place();
    for mode in MODES {
        for arguments in [&["--mode", mode][..], &["--mode", mode, "--follow-links=false"]] {
            let gateway = place.serve(arguments);
            for (name, link) in [("link.jpg", "link.jpg"), ("folder/secret.jpg", "folder")] {
                let response = gateway.get(&format!("/private/cars/7/{name}"), "alice");
                assert_eq!(response.status, 404, "{mode} {name}: {response:?}");
                assert_eq!(
                    response.header("x-accel-redirect").or(response.header("x-sendfile")),
                    None,
                    "{name}"
                );
                let reason = format!("cars/7/{link} is a symbolic link, and storage.follow_links is off");
                assert!(gateway.logs(&reason), "{mode} {name}: {}", gateway.log());
            }
            assert_eq!(gateway.get("/private/cars/8/secret.jpg", "bob").status, 200, "{mode}");
        }
    }
}

#[test]
fn links_are_followed_if_configured() {
    let place = place();
    place.write("follow.toml", "[storage]\nfollow_links = true\n");
    for arguments in [&["--follow-links"][..], &["--follow-links=true"], &["--config", "follow.toml"]] {
        let gateway = place.serve(arguments);
        for name in ["link.jpg", "folder/secret.jpg"] {
            let response = gateway.get(&format!("/private/cars/7/{name}"), "alice");
            assert_eq!((response.status, &response.body[..]), (200, &b"bob's"[..]), "{arguments:?} {name}");
        }
    }
    // A front server gets the path of the file, without the link.
    let gateway = place.serve(&["--mode", "nginx", "--follow-links"]);
    let response = gateway.get("/private/cars/7/folder/secret.jpg", "alice");
    assert_eq!(response.header("x-accel-redirect"), Some("/private-media-internal/cars/8/secret.jpg"));
}

#[test]
fn check_names_the_link() {
    let place = place();
    for (arguments, note) in [
        (&[][..], "cars/7/link.jpg is a symbolic link, and storage.follow_links is off"),
        (&["--follow-links"], ""),
    ] {
        let output =
            place.run(&[&["check", "alice", "cars/7/link.jpg", "--grant", GRANT], arguments].concat());
        let written = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && written.contains(note), "{written}");
        assert_eq!(written.is_empty(), note.is_empty(), "{written}");
    }
}

#[test]
fn invalid_values_are_errors() {
    let place = place();
    let line = place.refusal(&["serve", "--follow-links=maybe"]);
    assert!(line.contains("\"maybe\" for --follow-links") && line.contains("true or false"), "{line}");
    place.write("private-media.toml", "[storage]\nfollow_links = \"yes\"\n");
    let line = place.refusal(&["serve"]);
    assert!(line.contains("storage.follow_links"), "{line}");
}
