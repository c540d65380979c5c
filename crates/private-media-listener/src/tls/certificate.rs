//! Certificates with their keys, from PEM files.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_cert::der::Decode;

/// A chain of certificates with the private key of the first one.
///
/// ```
/// use private_media_listener::Certificate;
///
/// # let made = rcgen::generate_simple_self_signed(vec!["media.example".to_owned()])?;
/// # let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let certificate = Certificate::from_pem(chain.as_bytes(), key.as_bytes())?;
/// assert!(certificate.is_for("media.example") && !certificate.is_for("other.example"));
/// assert!(!certificate.is_expired());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Certificate {
    pub(super) key: Arc<CertifiedKey>,
    not_before: SystemTime,
    not_after: SystemTime,
    lacks_intermediates: bool,
}

/// A file that is no usable certificate or key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// The certificate file has no certificate, or is incomplete.
    NoCertificate,
    /// A certificate of the file cannot be parsed. The number counts from 1.
    InvalidCertificate(usize),
    /// The key file has no private key, or is incomplete.
    NoKey,
    /// The key is encrypted with a password.
    EncryptedKey,
    /// The key cannot be parsed, or has an algorithm that is not supported.
    InvalidKey,
    /// The key is not that of the first certificate.
    KeyMismatch,
    /// The key is that of another certificate of the file. The number counts from 1.
    WrongOrder(usize),
}

impl CertificateError {
    /// Returns whether the error is about the key file, and not about the certificate file.
    #[must_use]
    pub fn is_about_key(&self) -> bool {
        matches!(self, Self::NoKey | Self::EncryptedKey | Self::InvalidKey | Self::KeyMismatch)
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn fix(&self) -> &'static str {
        match self {
            Self::NoCertificate | Self::InvalidCertificate(_) => {
                "name a PEM file with the certificate and its intermediates, such as fullchain.pem of certbot"
            }
            Self::NoKey | Self::InvalidKey => {
                "name a PEM file with an ECDSA, RSA or Ed25519 key, such as privkey.pem of certbot"
            }
            Self::EncryptedKey => "decrypt it: openssl pkey -in KEY -out NEW",
            Self::KeyMismatch => "name the key that the certificate was requested with",
            Self::WrongOrder(_) => "put the certificate of the server first, and then its intermediates",
        }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("contains no complete certificate"),
            Self::InvalidCertificate(number) => write!(f, "certificate {number} of the file is invalid"),
            Self::NoKey => f.write_str("contains no complete private key"),
            Self::EncryptedKey => f.write_str("the key is encrypted with a password"),
            Self::InvalidKey => f.write_str("the key is invalid or has an unsupported algorithm"),
            Self::KeyMismatch => f.write_str("the key does not match the certificate"),
            Self::WrongOrder(number) => {
                write!(f, "the key is that of certificate {number} of the file, not of the first one")
            }
        }
    }
}

impl Error for CertificateError {}

impl Certificate {
    /// Parses two PEM files: a chain of certificates that begins with that of the server, and its private key.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(CertificateError::NoCertificate)?;
        let mut parsed = Vec::new();
        for (certificate, number) in chain.iter().zip(1..) {
            let own = x509_cert::Certificate::from_der(certificate)
                .map_err(|_| CertificateError::InvalidCertificate(number))?;
            parsed.push(own);
        }
        let first = parsed.first().ok_or(CertificateError::NoCertificate)?.tbs_certificate();
        let (validity, is_self_signed) = (first.validity(), first.issuer() == first.subject());
        let lacks_intermediates = parsed.len() == 1 && !is_self_signed;
        Ok(Self {
            not_before: time(validity.not_before.to_unix_duration()),
            not_after: time(validity.not_after.to_unix_duration()),
            lacks_intermediates,
            key: Arc::new(certified_key(chain, key)?),
        })
    }

    /// Returns when the certificate becomes valid.
    #[must_use]
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// Returns when the certificate expires.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Returns whether the certificate has expired.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        self.not_after < SystemTime::now()
    }

    /// Returns whether the chain has neither an intermediate certificate nor a self-signed one. Browsers trust most authorities by an
    /// intermediate certificate only.
    #[must_use]
    pub fn lacks_intermediates(&self) -> bool {
        self.lacks_intermediates
    }

    /// Returns whether the certificate is for this host: a name, which may match a wildcard, or an IP address.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let (Ok(name), Ok(first)) = (ServerName::try_from(bare), self.key.end_entity_cert()) else {
            return false;
        };
        ParsedCertificate::try_from(first).is_ok_and(|own| verify_server_name(&own, &name).is_ok())
    }

    /// Returns whether another certificate has the same chain.
    #[must_use]
    pub fn has_same_chain(&self, other: &Self) -> bool {
        self.key.cert == other.key.cert
    }
}

fn time(since_epoch: Duration) -> SystemTime {
    SystemTime::UNIX_EPOCH + since_epoch
}

fn certified_key(chain: Vec<CertificateDer<'static>>, key: &[u8]) -> Result<CertifiedKey, CertificateError> {
    let is_encrypted = || String::from_utf8_lossy(key).contains("ENCRYPTED");
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| if is_encrypted() { CertificateError::EncryptedKey } else { CertificateError::NoKey })?;
    let key = ring::sign::any_supported_type(&key).map_err(|_| CertificateError::InvalidKey)?;
    let matches = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(&key)).keys_match().is_ok()
    };
    match chain.iter().position(matches) {
        Some(0) => Ok(CertifiedKey::new(chain, key)),
        Some(at) => Err(CertificateError::WrongOrder(at + 1)),
        None => Err(CertificateError::KeyMismatch),
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

    use super::*;

    /// A certificate authority, and a certificate of it.
    fn issued(name: &str) -> (String, String, String) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        params.distinguished_name.push(DnType::CommonName, "server");
        let leaf = params.signed_by(&key, &authority).unwrap();
        (leaf.pem(), authority.pem(), key.serialize_pem())
    }

    #[test]
    fn errors_say_which_file_is_wrong() {
        use CertificateError::{
            EncryptedKey, InvalidCertificate, InvalidKey, KeyMismatch, NoCertificate, NoKey, WrongOrder,
        };

        let (leaf, authority, key) = issued("media.example");
        let other = KeyPair::generate().unwrap().serialize_pem();
        let chain = format!("{leaf}{authority}");
        let half = &leaf[..leaf.len() / 2];
        let wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for (chain, key, expected) in [
            (&*chain, &*key, None),
            (&leaf, &key, None),
            ("", &key, Some(NoCertificate)),
            (half, &key, Some(NoCertificate)),
            (&format!("{leaf}{half}"), &key, Some(NoCertificate)),
            (&key, &key, Some(NoCertificate)),
            (&format!("{leaf}{wrong}"), &key, Some(InvalidCertificate(2))),
            (&chain, "", Some(NoKey)),
            (&chain, &leaf, Some(NoKey)),
            (&chain, &key[..key.len() - 5], Some(NoKey)),
            (&chain, no_key, Some(InvalidKey)),
            (&chain, encrypted, Some(EncryptedKey)),
            (&chain, &other, Some(KeyMismatch)),
            (&format!("{authority}{leaf}"), &key, Some(WrongOrder(2))),
        ] {
            let error = Certificate::from_pem(chain.as_bytes(), key.as_bytes()).err();
            assert_eq!(error, expected, "{chain}{key}");
        }
    }

    #[test]
    fn validity_chain_and_names_are_read_from_the_certificate() {
        let (leaf, authority, key) = issued("*.media.example");
        let full = Certificate::from_pem(format!("{leaf}{authority}").as_bytes(), key.as_bytes()).unwrap();
        let alone = Certificate::from_pem(leaf.as_bytes(), key.as_bytes()).unwrap();
        assert!(!full.lacks_intermediates() && alone.lacks_intermediates());
        assert!(full.is_expired() && !full.has_same_chain(&alone));
        assert_eq!(full.not_after(), time(Duration::from_secs(1_609_459_200)));
        assert_eq!(full.not_before(), time(Duration::from_secs(1_577_836_800)));
        for (host, expected) in [
            ("a.media.example", true),
            ("A.Media.Example", true),
            ("media.example", false),
            ("a.b.media.example", false),
            ("media.example.evil", false),
            ("127.0.0.1", false),
            ("[::1]", false),
            ("", false),
            ("a b.media.example", false),
        ] {
            assert_eq!(full.is_for(host), expected, "{host}");
        }
        let made =
            rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "::1".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem();
        let address = Certificate::from_pem(made.cert.pem().as_bytes(), key.as_bytes()).unwrap();
        assert!(address.is_for("127.0.0.1") && address.is_for("[::1]") && !address.is_for("127.0.0.2"));
        assert!(!address.lacks_intermediates() && !address.is_expired());
    }
}
