//! Tokens that an attacker can make without a key of the issuer.

use serde_json::{Value, json};

use super::issuer::{AUDIENCE, ISSUER, KeyServer, Signer, claims, claims_with, encode, jwk_set, now};
use super::{bearer, get, place, serve, source};
use crate::support::{Gateway, Place};

/// A name, and a token that must not identify anybody.
type Attack = (&'static str, String);

/// A gateway, the keys of its issuer, and those of an attacker.
struct Scene {
    place: Place,
    server: KeyServer,
    gateway: Gateway,
    ed: Signer,
    es: Signer,
    /// A signer for each RSA algorithm, RS256 first; empty without `openssl`.
    rsa: Vec<Signer>,
    evil: Signer,
    /// The claims of user 7, and the valid token of them.
    valid: String,
    genuine: String,
}

impl Scene {
    fn new() -> Self {
        let place = place();
        let (ed, es) = (Signer::ed25519("ed"), Signer::es256("es"));
        let rsa = Signer::rsa("rsa").unwrap_or_default();
        let published: Vec<&Signer> = [&ed, &es].into_iter().chain(rsa.first()).collect();
        let server = KeyServer::start(&jwk_set(&published));
        let source = source(&format!("jwks = \"{}\", cookie = \"at\"", server.url()));
        let gateway = serve(&place, &[&source], &[]);
        let (valid, genuine) = (claims("7").to_string(), ed.token("7"));
        Self { place, server, gateway, ed, es, rsa, evil: Signer::ed25519("evil"), valid, genuine }
    }

    /// Signs the valid claims with this key, under the header of another signer with changes.
    fn under(&self, key: &Signer, header: &Signer, changes: &Value) -> String {
        let mut header = header.header();
        header.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        key.sign_text(&header.to_string(), &self.valid)
    }

    /// Signs the valid claims with the issuer's key, under a changed header: the signature is right.
    fn own(&self, changes: &Value) -> String {
        self.under(&self.ed, &self.ed, changes)
    }

    /// Signs the valid claims with the attacker's key, under a changed header of the issuer.
    fn forged(&self, changes: &Value) -> String {
        self.under(&self.evil, &self.ed, changes)
    }

    /// Signs these claims with the issuer's key, whatever they are.
    fn payload(&self, payload: &str) -> String {
        self.ed.sign_text(&self.ed.header().to_string(), payload)
    }

    /// Signs the valid claims with something in front of them.
    fn prefixed(&self, prefix: &str) -> String {
        self.payload(&self.valid.replacen('{', &format!("{{{prefix},"), 1))
    }

    /// Signs the valid claims with an HMAC, under the header of a signer whose public key is known.
    fn confused(&self, algorithm: &'static str, secret: impl AsRef<[u8]>, header: &Signer) -> String {
        self.under(&Signer::hmac(algorithm, secret.as_ref()), header, &json!({"alg": algorithm}))
    }

    /// Each attack is denied alone: next to it, the same request with the genuine token succeeds.
    fn denies(&self, attacks: impl IntoIterator<Item = Attack>) {
        let photo = |field: (&str, &str)| get(&self.gateway, "cars/7/photo.jpg", &[field]).status;
        for (name, attack) in attacks {
            assert_eq!(photo(("authorization", &format!("Bearer {attack}"))), 404, "{name}");
            assert_eq!(photo(("cookie", &format!("at={attack}"))), 404, "{name}, in a cookie");
            assert_eq!(photo(("authorization", &format!("Bearer {}", self.genuine))), 200, "next to {name}");
        }
        let log = self.gateway.log();
        assert!(self.genuine.split('.').skip(1).all(|part| !log.contains(part)), "{log}");
    }
}

#[test]
fn other_algorithms_are_denied() {
    let scene = Scene::new();
    let Scene { ed, es, valid, genuine, .. } = &scene;
    let none = Signer::none("none");
    let [header, payload, signature] = *genuine.split('.').collect::<Vec<_>>() else { panic!("{genuine}") };
    scene.denies([
        ("none", none.token("7")),
        ("None", Signer::none("None").token("7")),
        ("NONE", Signer::none("NONE").token("7")),
        ("none with a key id", scene.under(&none, ed, &json!({"alg": "none"}))),
        ("none with a signature", format!("{}.{payload}.{signature}", encode("{\"alg\":\"none\"}"))),
        ("no algorithm", none.sign_text("{\"typ\":\"JWT\"}", valid)),
        ("an empty signature", format!("{header}.{payload}.")),
        ("an empty signature under ES256", scene.under(&none, es, &json!({}))),
        (
            "a signature of zeros",
            format!("{}.{}.{}", encode(es.header().to_string()), encode(valid), encode([0; 64])),
        ),
        ("a list", scene.own(&json!({"alg": ["EdDSA"]}))),
        ("an object", scene.own(&json!({"alg": {"EdDSA": null}}))),
        ("a number", scene.own(&json!({"alg": 1}))),
        ("null", scene.own(&json!({"alg": null}))),
        ("lower case", scene.own(&json!({"alg": "eddsa"}))),
        ("not configured", scene.own(&json!({"alg": "ES384"}))),
        ("of another key", scene.own(&json!({"alg": "ES256"}))),
        ("an unknown one", scene.own(&json!({"alg": "ES256K"}))),
    ]);
}

/// A public key is never the secret of an HMAC.
#[test]
fn confusion_of_public_keys_and_secrets_is_denied() {
    let scene = Scene::new();
    let Scene { ed, es, .. } = &scene;
    scene.denies([
        ("the public key", scene.confused("HS256", ed.public_bytes(), ed)),
        ("the public key in PEM", scene.confused("HS256", ed.pem(), ed)),
        ("the public key in PEM, trimmed", scene.confused("HS256", ed.pem().trim(), ed)),
        ("the JWK", scene.confused("HS256", ed.jwk().to_string(), ed)),
        ("the member x", scene.confused("HS256", ed.jwk()["x"].as_str().unwrap(), ed)),
        ("the point", scene.confused("HS256", es.public_bytes(), es)),
        ("HS384", scene.confused("HS384", ed.public_bytes(), ed)),
        ("HS512", scene.confused("HS512", ed.public_bytes(), ed)),
        ("an empty secret", scene.confused("HS256", "", ed)),
    ]);
    let Some(rsa) = scene.rsa.first() else { return };
    scene.denies([
        ("the RSA key", scene.confused("HS256", rsa.public_bytes(), rsa)),
        ("the RSA key in PEM", scene.confused("HS256", rsa.pem(), rsa)),
        ("the modulus", scene.confused("HS256", rsa.jwk()["n"].as_str().unwrap(), rsa)),
    ]);
    // RS384 and the others are signed by the right key, and not configured.
    scene.denies(scene.rsa.iter().skip(1).map(|signer| (signer.algorithm, signer.token("7"))));
    scene.denies([("EdDSA under RS256", scene.under(ed, rsa, &json!({})))]);
    assert_eq!(bearer(&scene.gateway, "cars/7/photo.jpg", &rsa.token("7")).status, 200);
}

#[test]
fn keys_that_a_token_brings_are_denied() {
    let scene = Scene::new();
    let Scene { evil, valid, place, .. } = &scene;
    let evil_server = KeyServer::start(&jwk_set(&[evil]));
    let url = evil_server.url();
    place.write("evil.json", jwk_set(&[evil]));
    scene.denies([
        ("a known id", scene.forged(&json!({}))),
        ("an unknown id", evil.token("7")),
        ("no id", evil.sign_text("{\"alg\":\"EdDSA\"}", valid)),
        ("an empty id", scene.forged(&json!({"kid": ""}))),
        ("an id that is a path", scene.forged(&json!({"kid": "../../evil.json"}))),
        ("an id that is a file", scene.forged(&json!({"kid": "/dev/null"}))),
        ("an id that is a URL", scene.forged(&json!({"kid": url}))),
        ("an id that is SQL", scene.forged(&json!({"kid": "x' UNION SELECT 'key"}))),
        ("an id that is a command", scene.forged(&json!({"kid": "ed|touch evil"}))),
        ("an id that is a list", scene.own(&json!({"kid": ["ed"]}))),
        ("an id that is null", scene.own(&json!({"kid": null}))),
        ("jku", scene.forged(&json!({"kid": "evil", "jku": url}))),
        ("jku under a known id", scene.forged(&json!({"jku": url}))),
        ("x5u", scene.forged(&json!({"kid": "evil", "x5u": url}))),
        ("jwk", scene.forged(&json!({"kid": "evil", "jwk": evil.jwk()}))),
        ("jwk under a known id", scene.forged(&json!({"jwk": evil.jwk()}))),
        ("x5c", scene.forged(&json!({"kid": "evil", "x5c": [encode(evil.public_bytes())]}))),
    ]);
    assert_eq!(evil_server.requests(), 0, "no header of a token leads to a request");
    assert!(scene.server.paths().iter().all(|path| path == "/keys"));
    assert!(scene.server.requests() <= 2, "made-up ids cause few requests: {}", scene.server.requests());
    assert!(!place.path("evil").exists());
}

#[test]
fn other_header_parameters_are_denied() {
    let scene = Scene::new();
    let header = |text: &str| scene.ed.sign_text(text, &scene.valid);
    scene.denies([
        ("crit", scene.own(&json!({"crit": ["exp"], "exp": now() + 60}))),
        ("an unknown crit", scene.own(&json!({"crit": ["x"], "x": true}))),
        ("an empty crit", scene.own(&json!({"crit": []}))),
        ("b64", scene.own(&json!({"b64": false, "crit": ["b64"]}))),
        ("b64 without crit", scene.own(&json!({"b64": false}))),
        ("another type", scene.own(&json!({"typ": "logout+jwt"}))),
        ("a type that is a number", scene.own(&json!({"typ": 1}))),
        ("duplicate alg", header("{\"alg\":\"none\",\"alg\":\"EdDSA\",\"kid\":\"ed\"}")),
        ("duplicate kid", header("{\"alg\":\"EdDSA\",\"kid\":\"ed\",\"kid\":\"ed\"}")),
        ("a list", header("[\"EdDSA\"]")),
        ("no JSON", header("alg=EdDSA")),
    ]);
}

#[test]
fn other_claims_are_denied() {
    let scene = Scene::new();
    let with = |changes: Value| scene.ed.sign_claims(&claims_with("7", &changes));
    let (later, soon) = (now() + 3_600, now() + 120);
    let deep = format!("\"a\":{}{}", "[".repeat(1_000), "]".repeat(1_000));
    scene.denies([
        ("expired", with(json!({"exp": now() - 61}))),
        ("expired long ago", with(json!({"exp": 0}))),
        ("a negative exp", with(json!({"exp": -1}))),
        ("without exp", with(json!({"exp": null}))),
        ("exp as text", with(json!({"exp": later.to_string()}))),
        ("exp as a list", with(json!({"exp": [later]}))),
        ("exp as null", scene.payload(&with_null("exp"))),
        ("not yet", with(json!({"nbf": soon}))),
        ("nbf as text", with(json!({"nbf": soon.to_string()}))),
        ("nbf as null", scene.payload(&with_null("nbf"))),
        ("another issuer", with(json!({"iss": "https://evil.example"}))),
        ("an issuer with a slash", with(json!({"iss": format!("{ISSUER}/")}))),
        ("issuers as a list", with(json!({"iss": [ISSUER]}))),
        ("without issuer", with(json!({"iss": null}))),
        ("another audience", with(json!({"aud": "other"}))),
        ("an audience that contains ours", with(json!({"aud": format!("{AUDIENCE}2")}))),
        ("other audiences", with(json!({"aud": ["a", "b"]}))),
        ("no audiences", with(json!({"aud": []}))),
        ("without audience", with(json!({"aud": null}))),
        ("audience as an object", with(json!({"aud": {AUDIENCE: true}}))),
        ("without id", with(json!({"sub": null}))),
        ("an empty id", with(json!({"sub": ""}))),
        ("an id that is a list", with(json!({"sub": ["7"]}))),
        ("a duplicate id", scene.prefixed("\"sub\":\"8\"")),
        ("a duplicate exp", scene.prefixed("\"exp\":1")),
        ("a duplicate in another spelling", scene.prefixed("\"s\\u0075b\":\"8\"")),
        ("a duplicate inside", scene.prefixed("\"a\":{\"b\":1,\"b\":2}")),
        ("a list of claims", scene.payload(&format!("[{}]", scene.valid))),
        ("claims with a tail", scene.payload(&format!("{}{{}}", scene.valid))),
        ("claims that are no JSON", scene.payload("sub=7")),
        ("deep claims", scene.prefixed(&deep)),
    ]);
}

/// The limit is that of the source, below that of the listener for a whole head.
#[test]
fn oversized_tokens_are_denied() {
    let scene = Scene::new();
    let padded = |len: usize| scene.ed.sign_claims(&claims_with("7", &json!({"padding": "x".repeat(len)})));
    for (len, status, reason) in [(5_000, 200, ""), (6_200, 404, "the token is longer than 8 KiB")] {
        let token = padded(len);
        assert_eq!(token.len() > 8_192, status == 404, "{len}");
        assert_eq!(bearer(&scene.gateway, "cars/7/photo.jpg", &token).status, status, "{len}");
        assert!(scene.gateway.logs(reason));
    }
    let chunks = "x".repeat(4_000);
    let cookie: String = (0..5).map(|at| format!("at.{at}={chunks}; ")).collect();
    let status = get(&scene.gateway, "cars/7/photo.jpg", &[("cookie", &cookie)]).status;
    assert!(matches!(status, 404 | 431), "{status}");
}

/// Valid claims, and one that is null.
fn with_null(name: &str) -> String {
    let mut claims = claims("7");
    claims[name] = Value::Null;
    claims.to_string()
}

#[test]
fn parts_of_genuine_tokens_are_denied() {
    let scene = Scene::new();
    let genuine = &scene.genuine;
    let [header, payload, signature] = *genuine.split('.').collect::<Vec<_>>() else { panic!("{genuine}") };
    let other = scene.ed.token("8");
    scene.denies([
        ("another payload", format!("{header}.{}.{signature}", encode(claims("8").to_string()))),
        ("another signature", format!("{header}.{payload}.{}", other.rsplit('.').next().unwrap())),
        ("a part less", format!("{header}.{payload}")),
        ("a part more", format!("{genuine}.{signature}")),
        ("no header", format!(".{payload}.{signature}")),
        ("a padded signature", format!("{genuine}==")),
        ("a truncated signature", genuine[..genuine.len() - 2].to_owned()),
        ("a space", format!("{header}. {payload}.{signature}")),
        ("a plus", format!("{genuine}+")),
        ("a signature in DER", der_signature(&scene.es.token("7"))),
    ]);
    let twice =
        [("authorization", &*format!("Bearer {genuine}")), ("authorization", "Bearer eyJh.eyJi.c2ln")];
    assert_eq!(get(&scene.gateway, "cars/7/photo.jpg", &twice).status, 404);
    let twice = format!("at={genuine}; at={genuine}");
    assert_eq!(get(&scene.gateway, "cars/7/photo.jpg", &[("cookie", &twice)]).status, 404);
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

/// Where a secret is configured, HS256 is the right algorithm, and only for it.
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
