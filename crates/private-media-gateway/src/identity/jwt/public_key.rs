//! Reads the public key of a PEM file: a `SubjectPublicKeyInfo` (RFC 5280 section 4.1.2.7).

use jsonwebtoken::{Algorithm, DecodingKey};
use tokio_rustls::rustls::pki_types::SubjectPublicKeyInfoDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::key::{Key, RSA_ALGORITHMS};

/// The content of an `AlgorithmIdentifier`, which is the same in all keys of a type.
const RSA: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const P256: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const P384: &[u8] = b"\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
const ED25519: &[u8] = b"\x06\x03\x2b\x65\x70";

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// Returns the public key of a PEM file, without a key id. The error says what is wrong and how to fix it.
pub(super) fn from_pem(pem: &[u8]) -> Result<Key, &'static str> {
    let key = SubjectPublicKeyInfoDer::from_pem_slice(pem).map_err(
        |_| "it contains no PEM block \"PUBLIC KEY\"; export one with: openssl pkey -in KEY -pubout, or openssl x509 -in CERTIFICATE -pubkey -noout",
    )?;
    from_der(&key).ok_or("unsupported public key; use RSA, P-256, P-384 or Ed25519")
}

fn from_der(der: &[u8]) -> Option<Key> {
    let (info, []) = element(SEQUENCE, der)? else { return None };
    let (algorithm, rest) = element(SEQUENCE, info)?;
    // The first byte of a bit string is the number of unused bits.
    let (&[0, ref key @ ..], []) = element(BIT_STRING, rest)? else { return None };
    let (algorithms, key) = match algorithm {
        RSA => (RSA_ALGORITHMS, rsa(key)?),
        P256 => (&[Algorithm::ES256][..], DecodingKey::from_ec_der(key)),
        P384 => (&[Algorithm::ES384][..], DecodingKey::from_ec_der(key)),
        ED25519 => (&[Algorithm::EdDSA][..], DecodingKey::from_ed_der(key)),
        _ => return None,
    };
    Some(Key::new(None, algorithms, key))
}

/// Reads an `RSAPublicKey` (RFC 8017 appendix A.1.1).
fn rsa(der: &[u8]) -> Option<DecodingKey> {
    let (numbers, []) = element(SEQUENCE, der)? else { return None };
    let (modulus, rest) = element(INTEGER, numbers)?;
    let (exponent, []) = element(INTEGER, rest)? else { return None };
    // A leading zero is the sign of the number.
    let [modulus, exponent] = [modulus, exponent].map(|number| number.strip_prefix(&[0]).unwrap_or(number));
    Some(DecodingKey::from_rsa_raw_components(modulus, exponent))
}

/// Returns the content of the first DER element, if it has this tag, and what follows it.
fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = match der {
        [first, len @ ..=0x7f, rest @ ..] if *first == tag => (usize::from(*len), rest),
        [first, 0x81, len, rest @ ..] if *first == tag => (usize::from(*len), rest),
        [first, 0x82, high, low, rest @ ..] if *first == tag => {
            (usize::from(u16::from_be_bytes([*high, *low])), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}
