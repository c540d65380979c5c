//! Grants: `_core.Grants`.

use private_media::permission::{Grant, Grantee, Template};
use private_media::{Identity, User};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::request::parse_path;

/// Decides by grants: pairs of a path template and its grantees.
#[pyclass(frozen, module = "private_media._core")]
pub(crate) struct Grants(private_media::Grants);

#[pymethods]
impl Grants {
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts owned values")]
    fn new(grants: Vec<(String, Vec<String>)>) -> PyResult<Self> {
        let grants = grants.iter().map(|(path, to)| grant(path, to)).collect::<PyResult<Vec<_>>>()?;
        Ok(Self(private_media::Grants::new(grants)))
    }

    /// Returns the default grants: staff may read everything.
    #[staticmethod]
    fn default() -> Self {
        Self(private_media::Grants::default())
    }

    /// Whether a grant names a group, so that decisions need the user's groups.
    #[getter]
    fn names_groups(&self) -> bool {
        self.0.iter().flat_map(Grant::to).any(|to| matches!(to, Grantee::Group(_)))
    }

    /// Returns the templates in order.
    fn templates(&self) -> Vec<String> {
        self.0.iter().map(|grant| grant.template().to_string()).collect()
    }

    /// Returns the templates with a segment that looks like a variable of another syntax, and that segment.
    fn suspicious_segments(&self) -> Vec<(String, String)> {
        let templates = self.0.iter().map(Grant::template);
        let found = templates
            .filter_map(|template| Some((template.to_string(), template.suspicious_segment()?.to_owned())));
        found.collect()
    }

    /// Returns whether a user (None: anonymous) may read a path, and the reason, which contains the name of the user.
    #[pyo3(signature = (path, user, *, name=None, staff=false, groups=None))]
    fn decide(
        &self,
        path: &str,
        user: Option<String>,
        name: Option<String>,
        staff: bool,
        groups: Option<Vec<String>>,
    ) -> PyResult<(bool, String)> {
        let path = parse_path(path)?;
        let identity = user.map_or(Identity::Anonymous, |id| {
            let user = User::new(&id).name(name.unwrap_or(id)).staff(staff).source("django");
            groups.unwrap_or_default().into_iter().fold(user, User::group).into()
        });
        let decision = self.0.decide(&identity, &path);
        Ok((decision.is_allowed(), decision.reason().to_owned()))
    }
}

impl Grants {
    pub(crate) fn shared(&self) -> private_media::Grants {
        self.0.clone()
    }
}

fn grant(path: &str, to: &[String]) -> PyResult<Grant> {
    let template: Template = path.parse().map_err(invalid)?;
    let grantees = to.iter().map(|to| to.parse()).collect::<Result<Vec<Grantee>, _>>().map_err(invalid)?;
    Grant::new(template, grantees).map_err(invalid)
}

fn invalid(error: impl std::error::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}
