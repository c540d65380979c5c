use std::collections::BTreeMap;
use std::path::Path;

use super::circles;

/// Returns the modules of each circle of a crate with these files.
fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let files: BTreeMap<_, _> = files.iter().copied().collect();
    let read = |path: &Path| files.get(path.to_str().unwrap()).map(|text| (*text).to_owned());
    let circles = circles(Path::new("lib.rs"), &read).unwrap();
    circles.into_iter().map(|circle| circle.modules).collect()
}

#[test]
fn every_kind_of_use_counts() {
    for a in [
        "use crate::b::B;",
        "use super::{b::{self, B as C}};",
        "use crate::b::*; type T = B;",
        "use crate::b; fn f() { b::b(A) }",
        "use crate::Renamed;",
        "fn f() { log!(1, [crate::b::b()]) }",
        "fn f() { let crate::b::B = b; }",
        "fn f() { use super::b::b; }",
        "type T = Vec<super::b::B>;",
        "impl crate::b::Trait for A {}",
        "fn f() { crate::b::DEFINED_BY_A_MACRO; }",
        "mod inner { use super::super::b::B; }",
    ] {
        let a = format!("pub struct A; {a}");
        let b = "pub struct B; pub trait Trait {} pub fn b(_: crate::a::A) {} define!(DEFINED_BY_A_MACRO);";
        let files = [("lib.rs", "mod a; mod b; pub use b::B as Renamed;"), ("a.rs", &a), ("b.rs", b)];
        assert_eq!(found(&files), [["a", "b"]], "{a}");
    }
}

#[test]
fn circles_of_every_shape_are_found() {
    let a_child = ("a/b.rs", "use super::A; pub struct B;");
    let a_and_child = &[&["a", "a::b"][..]][..];
    for (files, expected) in [
        (&[("lib.rs", "mod a;"), ("a/mod.rs", "mod b; use b::B; pub struct A;"), a_child][..], a_and_child),
        (&[("lib.rs", "mod a;"), ("a.rs", "mod b; pub use b::B; pub struct A(B);"), a_child], a_and_child),
        (
            &[("lib.rs", "mod a; type R = (); fn f() { a::run() }"), ("a.rs", "pub fn run() -> crate::R {}")],
            &[&["crate", "a"]],
        ),
        (
            &[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a.rs", "pub fn a() { crate::b::b() }"),
                ("b.rs", "pub fn b() { crate::c::c() }"),
                ("c.rs", "pub fn c() { crate::a::a() }"),
            ],
            &[&["a", "b", "c"]],
        ),
        (
            &[
                ("lib.rs", "mod a; mod b; mod c; mod d;"),
                ("a.rs", "pub struct A; use crate::b::B;"),
                ("b.rs", "pub struct B; use crate::a::A;"),
                ("c.rs", "pub struct C(crate::d::D); use crate::a::A;"),
                ("d.rs", "pub struct D; use crate::c::C;"),
            ],
            &[&["a", "b"], &["c", "d"]],
        ),
    ] {
        assert_eq!(found(files), expected, "{files:?}");
    }
}

#[test]
fn other_uses_make_no_circle() {
    for (name, files) in [
        (
            "one direction",
            &[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B;"), ("b.rs", "pub struct B;")][..],
        ),
        (
            "a parent that re-exports",
            &[
                ("lib.rs", "mod a;"),
                ("a.rs", "mod b; pub use b::B; pub struct A;"),
                ("a/b.rs", "use super::A; pub struct B;"),
            ],
        ),
        (
            "siblings through their parent",
            &[
                ("lib.rs", "mod a;"),
                ("a.rs", "mod b; mod c; pub use b::B; fn f() { c::c() }"),
                ("a/b.rs", "pub struct B;"),
                ("a/c.rs", "use super::B; pub fn c() {}"),
            ],
        ),
        (
            "code for tests",
            &[
                ("lib.rs", "mod a; mod b;"),
                (
                    "a.rs",
                    "pub struct A; #[cfg(test)] use crate::b::B; #[cfg(all(test, unix))] fn f() { crate::b::b() } #[cfg(test)] mod tests;",
                ),
                ("b.rs", "use crate::a::A; pub struct B;"),
            ],
        ),
        (
            "a method for tests",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "pub struct A; impl A { #[cfg(test)] fn f() { crate::b::b() } }"),
                ("b.rs", "use crate::a::A;"),
            ],
        ),
        (
            "visibility",
            &[
                ("lib.rs", "mod a;"),
                ("a.rs", "mod b; pub use b::B;"),
                ("a/b.rs", "pub(in crate::a) struct B;"),
            ],
        ),
        (
            "names of other crates",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use http::b; fn f() { b::B; String::new(); }"),
                ("b.rs", "use crate::a::f;"),
            ],
        ),
        (
            "modules within one file",
            &[(
                "lib.rs",
                "mod a { use super::b::B; pub struct A; } mod b { use super::a::A; pub struct B; }",
            )],
        ),
        (
            "imports that lead nowhere",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "pub use crate::b::X; fn f() { X }"),
                ("b.rs", "pub use crate::b::X;"),
            ],
        ),
    ] {
        assert!(found(files).is_empty(), "{name}: {:?}", found(files));
    }
}

#[test]
fn a_circle_is_printed_with_its_lines() {
    let files = [
        ("lib.rs", "mod a;\nmod b;"),
        ("a.rs", "\nuse crate::b::{\n    B,\n};\npub struct A;"),
        ("b.rs", "pub struct B;\nfn f(_: super::a::A) {}"),
    ];
    let read = |path: &Path| {
        files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
    };
    let circles = circles(Path::new("lib.rs"), &read).unwrap();
    let expected = "2 modules: a, b\n  a -> b\n    a.rs:3: crate::b::B\n  b -> a\n    b.rs:2: super::a::A\n";
    assert_eq!(circles.iter().map(ToString::to_string).collect::<String>(), expected);
}

#[test]
fn unreadable_sources_are_an_error() {
    for (files, expected) in [
        (&[("lib.rs", "mod a;")][..], "a/mod.rs: no such file"),
        (&[("lib.rs", "struct;")], "lib.rs:1: expected identifier"),
    ] {
        let read = |path: &Path| {
            files.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned())
        };
        assert_eq!(circles(Path::new("lib.rs"), &read).unwrap_err(), expected);
    }
}
