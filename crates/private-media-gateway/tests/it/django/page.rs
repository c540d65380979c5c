//! Runs the commands of docs/how-to/django-gateway.md.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::shop::{get, python};
use crate::support::{Gateway, Place};

const PAGE: &str = include_str!("../../../../../docs/how-to/django-gateway.md");

/// Returns the first block of the page with this word after its fence.
fn block(language: &str) -> &'static str {
    PAGE.split_once(&format!("```{language}\n")).unwrap().1.split_once("\n```").unwrap().0
}

/// Runs a shell command in the folder of `manage.py`, with a Python that has Django.
fn run(place: &Place, python: &Path, command: &str) -> String {
    let path = std::env::var_os("PATH").unwrap();
    let folders = [python.parent().unwrap().to_path_buf()].into_iter().chain(std::env::split_paths(&path));
    let output = Command::new("sh")
        .args(["-eu", "-c", command])
        .current_dir(place.path(""))
        .env("PATH", std::env::join_paths(folders).unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_commands_of_the_how_to_work() {
    const SIGN_IN: &str = "from django.contrib.auth.models import User; from django.test import Client
user = User.objects.create_user('alice', id=7); client = Client(); client.force_login(user)
print(client.cookies['sessionid'].value)";
    let Some(python) = python("5.2") else { return };
    let place = Place::new();
    run(&place, &python, "django-admin startproject shop . && python manage.py migrate -v 0");
    let cookie = run(&place, &python, &format!("python manage.py shell -v 0 -c \"{SIGN_IN}\""));
    run(&place, &python, block("sh fragment"));
    let key = std::fs::read_to_string(place.path("secret.key")).unwrap();
    let settings = std::fs::read_to_string(place.path("shop/settings.py")).unwrap();
    assert!(settings.contains(&format!("'{}'", key.trim_end())), "{key}: the project's SECRET_KEY");
    let mode = std::fs::metadata(place.path("secret.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "private to its owner");
    place.write("private-media.toml", block("toml"));
    let check = |user| place.run(&["check", user, "cars/7/photo.jpg"]).status.success();
    assert!(check("alice"), "the command of the page");
    let gateway = Gateway::start(&place.path(""), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(get(&gateway, "cars/7/photo.jpg", cookie.trim_end()).body, b"alice's photo");
    assert_eq!(get(&gateway, "cars/7/photo.jpg", "another").status, 404);
}
