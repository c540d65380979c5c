//! Certificates for the tests.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use super::write_key;

/// A certificate for localhost and 127.0.0.1, its key, and its authority.
pub(crate) struct Pair {
    pub(crate) leaf: String,
    pub(crate) authority: String,
    pub(crate) key: String,
}

impl Pair {
    pub(crate) fn new() -> Self {
        Self::until(4000)
    }

    /// Returns a certificate that has expired.
    pub(crate) fn expired() -> Self {
        Self::until(2021)
    }

    fn until(year: i32) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(["localhost", "127.0.0.1"].map(str::to_owned).to_vec()).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.distinguished_name.push(DnType::CommonName, "server");
        let leaf = params.signed_by(&key, &authority).unwrap();
        Self { leaf: leaf.pem(), authority: authority.pem(), key: key.serialize_pem() }
    }

    /// Returns the certificate and its authority.
    pub(crate) fn chain(&self) -> String {
        format!("{}{}", self.leaf, self.authority)
    }

    /// Writes `chain.pem`, `key.pem`, and `ca.pem` for clients.
    pub(crate) fn write(&self, folder: &Path) {
        std::fs::write(folder.join("chain.pem"), self.chain()).unwrap();
        std::fs::write(folder.join("ca.pem"), &self.authority).unwrap();
        write_key(&folder.join("key.pem"), &self.key);
    }
}
