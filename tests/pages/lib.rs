//! The Rust code of these pages is compiled as documentation tests. They are no part of any published crate.

#![cfg(doctest)]

#[doc = include_str!("../../README.md")]
struct Readme;

#[doc = include_str!("../../CONTRIBUTING.md")]
struct Contributing;

#[doc = include_str!("../../docs/how-to/axum.md")]
struct Axum;

#[doc = include_str!("../../docs/how-to/cors.md")]
struct Cors;
