//! Verifies a token, except for its times: pure, with the keys handed in.

use std::collections::HashSet;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::Value;

use super::claims::{Claims, Reason};
use super::unique_json::UniqueObject;
use crate::config::JwtOptions;

/// What the header of a token says about its key. It selects one of the configured keys, and never adds one: `jku`, `x5u`, `jwk` and
/// `x5c` are ignored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyHint {
    pub(super) algorithm: Algorithm,
    pub(super) id: Option<String>,
}

/// Reads the header of a token.
pub(super) fn key_hint(token: &str, allowed: &[Algorithm]) -> Result<KeyHint, Reason> {
    let header = token.split('.').next().and_then(|encoded| URL_SAFE_NO_PAD.decode(encoded).ok());
    let header = header.and_then(|json| serde_json::from_slice(&json).ok());
    let UniqueObject(header) = header.ok_or("the token has no header with unique names")?;
    let text = |name: &'static str| match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(Reason::from(format!("the header parameter {name} is not a text"))),
    };
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err("the header parameters crit and b64 are not supported".into());
    }
    if !text("typ")?.is_none_or(is_access_token) {
        return Err("the token is not an access token: its typ is neither JWT nor at+jwt".into());
    }
    let algorithm = text("alg")?.and_then(|name| Algorithm::from_str(name).ok());
    let algorithm = algorithm.filter(|algorithm| allowed.contains(algorithm));
    let algorithm = algorithm.ok_or("the algorithm of the token is not one of the configured algorithms")?;
    Ok(KeyHint { algorithm, id: text("kid")?.map(str::to_owned) })
}

/// Returns whether a token of this type is an access or id token. Issuers sign other things with the same key, such as logout tokens
/// (RFC 8725 section 3.11).
fn is_access_token(typ: &str) -> bool {
    let typ = typ.strip_prefix("application/").unwrap_or(typ);
    typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt")
}

/// Returns the claims of a token that this key signed, for this issuer and audience. Its times are not checked.
pub(super) fn claims(
    token: &str,
    algorithm: Algorithm,
    key: &DecodingKey,
    options: &JwtOptions,
) -> Result<Claims, Reason> {
    let mut required = HashSet::from(["exp".to_owned(), "iss".to_owned()]);
    let mut validation = Validation::new(algorithm);
    // `Claims::valid_until` checks the times, with a clock that tests can set.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.set_issuer(&[&options.issuer]);
    validation.validate_aud = !options.audience.is_empty();
    if validation.validate_aud {
        validation.set_audience(&options.audience);
        required.insert("aud".to_owned());
    }
    validation.required_spec_claims = required;
    let token = decode::<UniqueObject>(token, key, &validation).map_err(|error| reason(&error))?;
    // `jsonwebtoken` accepts a list of issuers, which RFC 7519 section 4.1.1 does not know.
    if !token.claims.0.get("iss").is_some_and(Value::is_string) {
        return Err("the claim iss is not a text".into());
    }
    Ok(Claims::new(token.claims))
}

fn reason(error: &Error) -> Reason {
    match error.kind() {
        ErrorKind::InvalidSignature => "the signature is wrong".into(),
        ErrorKind::InvalidIssuer => "the token is of another issuer".into(),
        ErrorKind::InvalidAudience => "the token is for another audience".into(),
        ErrorKind::MissingRequiredClaim(name) => format!("the token has no valid claim {name}").into(),
        ErrorKind::Json(_) => "the claims are not a JSON object with unique names".into(),
        _ => "the token is malformed".into(),
    }
}

/// Returns the issuer that a token names, without verifying anything: it only selects the source that verifies the token.
pub(super) fn unverified_issuer(token: &str) -> Option<String> {
    let json = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&json).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}
