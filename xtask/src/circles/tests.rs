use std::collections::BTreeMap;
use std::path::Path;

use super::circles;

/// The modules of each circle of a crate with these files.
fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let files: BTreeMap<_, _> = files.iter().copied().collect();
    let read = |path: &Path| files.get(path.to_str().unwrap()).map(|text| (*text).to_owned());
    let circles = circles(Path::new("lib.rs"), &read).unwrap();
    circles.into_iter().map(|circle| circle.modules).collect()
}

#[test]
fn circles_are_found() {
    const TWO: &[&[&str]] = &[&["a", "b"]];
    const B_USES_A: &str = "pub struct B; pub fn b(_: crate::a::A) {}";
    for (name, files, expected) in [
        (
            "imports",
            &[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B; pub struct A;"), ("b.rs", B_USES_A)][..],
            TWO,
        ),
        (
            "a group",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use super::{b::{self, B as C}}; pub struct A;"),
                ("b.rs", B_USES_A),
            ],
            TWO,
        ),
        (
            "a glob",
            &[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::*; pub struct A(B);"), ("b.rs", B_USES_A)],
            TWO,
        ),
        (
            "a module's name",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b; pub struct A; fn f() { b::b(A) }"),
                ("b.rs", B_USES_A),
            ],
            TWO,
        ),
        (
            "a re-export",
            &[
                ("lib.rs", "mod a; mod b; pub use b::B; pub use a::A;"),
                ("a.rs", "use crate::B; pub struct A;"),
                ("b.rs", "pub struct B; use crate::A;"),
            ],
            TWO,
        ),
        (
            "a macro's arguments",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "pub struct A; fn f() { log!(1, [crate::b::b()]) }"),
                ("b.rs", B_USES_A),
            ],
            TWO,
        ),
        (
            "generic arguments",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "pub struct A; type T = Vec<super::b::B>;"),
                ("b.rs", B_USES_A),
            ],
            TWO,
        ),
        (
            "a name that a macro defines",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "pub struct A; fn f() { crate::b::MADE; }"),
                ("b.rs", "make!(MADE); use crate::a::A;"),
            ],
            TWO,
        ),
        (
            "an inline module",
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "pub struct A; mod inner { use super::super::b::B; }"),
                ("b.rs", B_USES_A),
            ],
            TWO,
        ),
        (
            "a child and its parent",
            &[
                ("lib.rs", "mod a;"),
                ("a/mod.rs", "mod b; use b::B; pub struct A;"),
                ("a/b.rs", "use super::A; pub struct B;"),
            ],
            &[&["a", "a::b"]],
        ),
        (
            "a re-export that its module uses",
            &[
                ("lib.rs", "mod a;"),
                ("a.rs", "mod b; pub use b::B; pub struct A(B);"),
                ("a/b.rs", "use super::A; pub struct B;"),
            ],
            &[&["a", "a::b"]],
        ),
        (
            "the root",
            &[("lib.rs", "mod a; type R = (); fn f() { a::run() }"), ("a.rs", "pub fn run() -> crate::R {}")],
            &[&["crate", "a"]],
        ),
        (
            "three",
            &[
                ("lib.rs", "mod a; mod b; mod c;"),
                ("a.rs", "pub fn a() { crate::b::b() }"),
                ("b.rs", "pub fn b() { crate::c::c() }"),
                ("c.rs", "pub fn c() { crate::a::a() }"),
            ],
            &[&["a", "b", "c"]],
        ),
        (
            "two circles",
            &[
                ("lib.rs", "mod a; mod b; mod c; mod d;"),
                ("a.rs", "pub struct A; use crate::b::B;"),
                ("b.rs", B_USES_A),
                ("c.rs", "pub struct C(crate::d::D); use crate::a::A;"),
                ("d.rs", "pub struct D; use crate::c::C;"),
            ],
            &[&["a", "b"], &["c", "d"]],
        ),
    ] {
        assert_eq!(found(files), expected, "{name}");
    }
}

#[test]
fn what_is_no_circle() {
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
fn a_circle_says_where_it_is() {
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
fn sources_that_cannot_be_read_are_an_error() {
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
