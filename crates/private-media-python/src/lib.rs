//! The Python module `private_media._core`, for the Django application in `python/private_media`.
//!
//! Each item calls the library, and converts the result or the error to Python. Nothing is decided here. Calls that may wait for the disk
//! or a bucket run without the lock of the interpreter.

mod blocking;
mod bucket;
mod bucket_file;
mod content;
mod cors;
mod delivery;
mod django_bridge;
mod errors;
mod front;
mod gateway;
mod network;
mod permission;
mod program;
mod request;
mod storage;
mod time;

use pyo3::prelude::*;

/// The Rust part of `private_media`.
#[pymodule]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::bucket::Bucket;
    #[pymodule_export]
    use crate::bucket_file::BucketFile;
    #[pymodule_export]
    use crate::cors::Cors;
    #[pymodule_export]
    use crate::delivery::{Body, Delivery, Response, content_type};
    #[pymodule_export]
    use crate::django_bridge::{QueuedRequest, RequestQueue};
    #[pymodule_export]
    use crate::errors::{BucketUnavailable, IllegalPath};
    #[pymodule_export]
    use crate::front::{FrontConfig, FrontError};
    #[pymodule_export]
    use crate::gateway::{Sessions, serve};
    #[pymodule_export]
    use crate::permission::Grants;
    #[pymodule_export]
    use crate::program::run_program;
    #[pymodule_export]
    use crate::request::{media_path, path_of_url, safe_name, url_of_path};
    #[pymodule_export]
    use crate::storage::Root;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
