//! Tokens that an attacker can make without a key of the issuer.

use serde_json::{Value, json};

use super::issuer::{AUDIENCE, ISSUER, KeyServer, Signer, claims, claims_with, encode, jwk_set, now};
use super::{bearer, get, place, serve, source};

/// Each row is one attack, and fails alone: next to it, the same request with the genuine token succeeds.
#[test]
fn attacks_are_denied() {
    let place = place();
    let (ed, es) = (Signer::ed25519("ed"), Signer::es256("es"));
    let rsa = Signer::rsa("rsa").unwrap_or_default();
    let published: Vec<&Signer> = [&ed, &es].into_iter().chain(rsa.first()).collect();
    let server = KeyServer::start(&jwk_set(&published));
    let evil = Signer::ed25519("evil");
    let evil_server = KeyServer::start(&jwk_set(&[&evil]));
    let evil_url = evil_server.url();
    place.write("evil.json", jwk_set(&[&evil]));
    let gateway = serve(&place, &[&source(&format!("jwks = \"{}\", cookie = \"at\"", server.url()))], &[]);

    let (genuine, valid) = (ed.token("7"), claims("7").to_string());
    let parts: Vec<&str> = genuine.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("{genuine}") };
    // The header of a signer with changes; the attacker signs with another key.
    let header_with = |signer: &Signer, changes: Value| {
        let mut header = signer.header();
        header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        header.to_string()
    };
    let forged = |changes: Value| evil.sign_text(&header_with(&ed, changes), &valid);
    let own = |changes: Value| ed.sign_text(&header_with(&ed, changes), &valid);
    let with = |changes: Value| ed.sign_claims(&claims_with("7", &changes));
    let confused = |algorithm, key: &[u8], signer: &Signer| {
        Signer::hmac(algorithm, key).sign_text(&header_with(signer, json!({"alg": algorithm})), &valid)
    };
    let mut attacks = vec![
        // The algorithm.
        ("none", Signer::none("none").token("7")),
        ("None", Signer::none("None").token("7")),
        ("NONE", Signer::none("NONE").token("7")),
        (
            "none with a key id",
            Signer::none("none").sign_text(&header_with(&ed, json!({"alg": "none"})), &valid),
        ),
        (
            "none with the signature of another token",
            format!("{}.{payload}.{signature}", encode(json!({"alg": "none"}).to_string())),
        ),
        ("no algorithm", Signer::none("x").sign_text("{\"typ\":\"JWT\"}", &valid)),
        ("an empty signature", format!("{header}.{payload}.")),
        ("an empty signature under ES256", Signer::none("ES256").sign_text(&es.header().to_string(), &valid)),
        (
            "a signature of zeros under ES256",
            format!("{}.{}.{}", encode(es.header().to_string()), encode(&valid), encode([0; 64])),
        ),
        ("an algorithm that is a list", own(json!({"alg": ["EdDSA"]}))),
        ("an algorithm that is an object", own(json!({"alg": {"EdDSA": null}}))),
        ("an algorithm that is a number", own(json!({"alg": 1}))),
        ("an algorithm that is null", own(json!({"alg": null}))),
        ("an algorithm in lower case", own(json!({"alg": "eddsa"}))),
        ("an algorithm that is not configured", own(json!({"alg": "ES384"}))),
        ("the algorithm of another key", own(json!({"alg": "ES256"}))),
        // HS256 with a public key as the secret.
        ("HS256 with the public key", confused("HS256", &ed.public_bytes(), &ed)),
        ("HS256 with the public key in PEM", confused("HS256", ed.pem().as_bytes(), &ed)),
        ("HS256 with the public key in PEM, trimmed", confused("HS256", ed.pem().trim().as_bytes(), &ed)),
        ("HS256 with the JWK", confused("HS256", ed.jwk().to_string().as_bytes(), &ed)),
        ("HS256 with the point", confused("HS256", &es.public_bytes(), &es)),
        ("HS512 with the public key", confused("HS512", &ed.public_bytes(), &ed)),
        ("HS256 with an empty key", confused("HS256", b"", &ed)),
        // Keys that the token brings.
        ("another key under a known id", forged(json!({}))),
        ("a key id that is unknown", evil.token("7")),
        ("no key id", evil.sign_text("{\"alg\":\"EdDSA\"}", &valid)),
        ("a key id that is a path", forged(json!({"kid": "../../evil.json"}))),
        ("a key id that is a file", forged(json!({"kid": "/dev/null"}))),
        ("a key id that is a URL", forged(json!({"kid": evil_url}))),
        ("a key id that is SQL", forged(json!({"kid": "x' UNION SELECT 'key"}))),
        ("a key id that is a command", forged(json!({"kid": "ed|touch evil"}))),
        ("a key id that is a list", own(json!({"kid": ["ed"]}))),
        ("a key id that is null", own(json!({"kid": null}))),
        ("an empty key id", forged(json!({"kid": ""}))),
        ("jku", forged(json!({"kid": "evil", "jku": evil_url}))),
        ("x5u", forged(json!({"kid": "evil", "x5u": evil_url}))),
        ("jwk", forged(json!({"kid": "evil", "jwk": evil.jwk()}))),
        ("jwk under a known id", forged(json!({"jwk": evil.jwk()}))),
        ("x5c", forged(json!({"kid": "evil", "x5c": [encode(evil.public_bytes())]}))),
        // Header parameters that change the meaning of the rest.
        ("crit", own(json!({"crit": ["exp"], "exp": now() + 60}))),
        ("an empty crit", own(json!({"crit": []}))),
        ("b64", own(json!({"b64": false, "crit": ["b64"]}))),
        ("b64 without crit", own(json!({"b64": false}))),
        ("another type", own(json!({"typ": "logout+jwt"}))),
        ("a type that is a number", own(json!({"typ": 1}))),
        (
            "a duplicate algorithm",
            ed.sign_text("{\"alg\":\"none\",\"alg\":\"EdDSA\",\"kid\":\"ed\"}", &valid),
        ),
        // Claims.
        ("expired", with(json!({"exp": now() - 61}))),
        ("expired long ago", with(json!({"exp": 0}))),
        ("a negative exp", with(json!({"exp": -1}))),
        ("without exp", with(json!({"exp": null}))),
        ("exp as text", with(json!({"exp": (now() + 3_600).to_string()}))),
        ("exp as a list", with(json!({"exp": [now() + 3_600]}))),
        ("not yet", with(json!({"nbf": now() + 120}))),
        ("nbf as text", with(json!({"nbf": (now() + 120).to_string()}))),
        ("another issuer", with(json!({"iss": "https://evil.example"}))),
        ("an issuer with a slash", with(json!({"iss": format!("{ISSUER}/")}))),
        ("issuers as a list", with(json!({"iss": [ISSUER]}))),
        ("without issuer", with(json!({"iss": null}))),
        ("another audience", with(json!({"aud": "other"}))),
        ("an audience that contains ours", with(json!({"aud": format!("{AUDIENCE}2")}))),
        ("other audiences", with(json!({"aud": ["a", "b"]}))),
        ("without audience", with(json!({"aud": null}))),
        ("audience as an object", with(json!({"aud": {AUDIENCE: true}}))),
        ("without id", with(json!({"sub": null}))),
        ("an empty id", with(json!({"sub": ""}))),
        ("an id that is a list", with(json!({"sub": ["7"]}))),
        (
            "a duplicate id",
            ed.sign_text(&ed.header().to_string(), &valid.replacen('{', "{\"sub\":\"8\",", 1)),
        ),
        ("a duplicate exp", ed.sign_text(&ed.header().to_string(), &valid.replacen('{', "{\"exp\":1,", 1))),
        (
            "a duplicate in another spelling",
            ed.sign_text(&ed.header().to_string(), &valid.replacen('{', "{\"s\\u0075b\":\"8\",", 1)),
        ),
        (
            "a nested duplicate",
            ed.sign_text(&ed.header().to_string(), &valid.replacen('{', "{\"a\":{\"b\":1,\"b\":2},", 1)),
        ),
        ("claims that are a list", ed.sign_text(&ed.header().to_string(), &format!("[{valid}]"))),
        ("claims with a tail", ed.sign_text(&ed.header().to_string(), &format!("{valid}{{}}"))),
        ("claims that are no JSON", ed.sign_text(&ed.header().to_string(), "sub=7")),
        (
            "deep claims",
            ed.sign_text(
                &ed.header().to_string(),
                &valid.replacen('{', &format!("{{\"a\":{}{},", "[".repeat(1_000), "]".repeat(1_000)), 1),
            ),
        ),
        // The parts of a genuine token.
        ("the payload of another token", format!("{header}.{}.{signature}", encode(claims("8").to_string()))),
        (
            "the signature of another token",
            format!("{header}.{payload}.{}", ed.token("8").rsplit('.').next().unwrap()),
        ),
        ("a part less", format!("{header}.{payload}")),
        ("a part more", format!("{genuine}.{signature}")),
        ("a padded signature", format!("{genuine}==")),
        ("a truncated signature", genuine[..genuine.len() - 2].to_owned()),
        ("a space", format!("{header}. {payload}.{signature}")),
        ("base64 with plus and slash", format!("{header}.{payload}.{}", base64_of(signature))),
        ("a signature in DER under ES256", der_signature(&es.token("7"))),
        ("oversized", with(json!({"padding": "x".repeat(8_192)}))),
    ];
    for signer in &rsa {
        attacks
            .push(("RSA's algorithm with another key", ed.sign_text(&signer.header().to_string(), &valid)));
    }
    if let Some(rsa) = rsa.first() {
        attacks.push(("HS256 with the modulus", confused("HS256", &rsa.public_bytes(), rsa)));
        attacks.push(("HS256 with the RSA key in PEM", confused("HS256", rsa.pem().as_bytes(), rsa)));
        attacks.push((
            "RS384, which is not configured",
            rsa.sign_text(&header_with(rsa, json!({"alg": "RS384"})), &valid),
        ));
    }
    for (name, attack) in &attacks {
        assert_eq!(bearer(&gateway, "cars/7/photo.jpg", attack).status, 404, "{name}: {attack}");
        let cookie = format!("at={attack}");
        assert_eq!(get(&gateway, "cars/7/photo.jpg", &[("cookie", &cookie)]).status, 404, "{name}: {attack}");
        assert_eq!(bearer(&gateway, "cars/7/photo.jpg", &genuine).status, 200, "{name}: the genuine token");
    }
    assert_eq!(evil_server.requests(), 0, "no header of a token leads to a request");
    assert_eq!(server.paths().iter().filter(|path| *path != "/keys").count(), 0);
    assert!(server.requests() <= 1 + 2, "made-up key ids cause few requests: {}", server.requests());
    assert!(!place.path("evil").exists());
    let log = gateway.log();
    assert!(!log.contains(signature) && !log.contains(payload), "{log}");
}

/// The same headers with a secret of the application: there, HS256 is the right algorithm, and only for it.
#[test]
fn attacks_on_a_secret_are_denied() {
    let place = place();
    let secret = "a secret of at least thirty-two bytes";
    place.write("secret", format!("{secret}\n"));
    std::fs::set_permissions(place.path("secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    let gateway = serve(&place, &[&source("secret_file = \"secret\"")], &[]);
    let photo = |token: &str| bearer(&gateway, "cars/7/photo.jpg", token).status;
    let genuine = Signer::hmac("HS256", secret.as_bytes());
    assert_eq!(photo(&genuine.token("7")), 200);
    for (name, attack) in [
        ("none", Signer::none("none").token("7")),
        ("HS384", Signer::hmac("HS384", secret.as_bytes()).token("7")),
        ("HS512", Signer::hmac("HS512", secret.as_bytes()).token("7")),
        ("a public key", Signer::ed25519("").token("7")),
        ("the line break", Signer::hmac("HS256", format!("{secret}\n").as_bytes()).token("7")),
        ("an empty secret", Signer::hmac("HS256", b"").token("7")),
        ("a prefix of the secret", Signer::hmac("HS256", &secret.as_bytes()[..32]).token("7")),
        ("the name of the file", Signer::hmac("HS256", b"secret").token("7")),
        ("an empty signature", Signer::none("HS256").token("7")),
    ] {
        assert_eq!(photo(&attack), 404, "{name}: {attack}");
    }
}

fn base64_of(text: &str) -> String {
    // A genuine signature rarely has neither of these letters; then this changes nothing, so a letter is appended.
    let changed = text.replace('-', "+").replace('_', "/");
    if changed == text { format!("{text}+") } else { changed }
}

/// A token whose ECDSA signature has the encoding of X.509 instead of RFC 7518 section 3.4.
fn der_signature(token: &str) -> String {
    use base64::Engine;
    let (message, signature) = token.rsplit_once('.').unwrap();
    let raw = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    let integer = |number: &[u8]| {
        let start = number.iter().position(|byte| *byte != 0).unwrap();
        let sign: &[u8] = if number[start] > 0x7f { &[0] } else { &[] };
        let digits = [sign, &number[start..]].concat();
        [&[2, u8::try_from(digits.len()).unwrap()][..], &digits].concat()
    };
    let numbers = [integer(&raw[..32]), integer(&raw[32..])].concat();
    let der = [&[0x30, u8::try_from(numbers.len()).unwrap()][..], &numbers].concat();
    format!("{message}.{}", encode(der))
}
