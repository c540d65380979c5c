//! The Python module `private_media._core`: what the library decides and does, for the Django application in `python/private_media`.
//!
//! One file a question, as in the library. Nothing is decided here: each item hands on to the library and turns its answer, or
//! its error, into one of Python. Whatever may wait for a disk runs without the interpreter's lock.

mod errors;
mod waiting;

// The five questions; who asks is Django's to know.
mod request;

mod permission;

mod storage;

mod delivery;

// What stands in front.
mod front;

// The gateway, which asks Django what it cannot know itself.
mod asking;
mod gateway;

use pyo3::pymodule;

/// Rust's side of `private_media`.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::asking::{Question, Questions};
    #[pymodule_export]
    use crate::delivery::{Answer, Body, Delivery, content_type};
    #[pymodule_export]
    use crate::errors::IllegalPath;
    #[pymodule_export]
    use crate::front::{FrontError, FrontSite};
    #[pymodule_export]
    use crate::gateway::{Sessions, serve};
    #[pymodule_export]
    use crate::permission::Grants;
    #[pymodule_export]
    use crate::request::{media_path, path_of_url, safe_name, url_of_path};
    #[pymodule_export]
    use crate::storage::Root;
}
