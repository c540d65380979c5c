//! An issuer of tokens, with keys of every kind and a server that publishes them.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair,
};
use ring::{hmac, rsa};
use serde_json::{Value, json};

use crate::support::needs;

pub(crate) const ISSUER: &str = "https://issuer.example";
pub(crate) const AUDIENCE: &str = "media";

/// Signs tokens with one key and one algorithm.
pub(crate) struct Signer {
    pub(crate) algorithm: &'static str,
    pub(crate) id: String,
    key: Key,
}

enum Key {
    Hmac(hmac::Key),
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    Rsa(Arc<RsaKeyPair>, &'static dyn RsaEncoding),
    None,
}

impl Signer {
    pub(crate) fn ed25519(id: &str) -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::new("EdDSA", id, Key::Ed(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()))
    }

    pub(crate) fn es256(id: &str) -> Self {
        Self::new("ES256", id, ec(&signature::ECDSA_P256_SHA256_FIXED_SIGNING))
    }

    pub(crate) fn es384(id: &str) -> Self {
        Self::new("ES384", id, ec(&signature::ECDSA_P384_SHA384_FIXED_SIGNING))
    }

    pub(crate) fn hmac(algorithm: &'static str, secret: &[u8]) -> Self {
        let hash = match algorithm {
            "HS256" => hmac::HMAC_SHA256,
            "HS384" => hmac::HMAC_SHA384,
            "HS512" => hmac::HMAC_SHA512,
            _ => panic!("{algorithm}"),
        };
        Self::new(algorithm, "", Key::Hmac(hmac::Key::new(hash, secret)))
    }

    /// A signer for each RSA algorithm, all with one key. `None` without `openssl`, because ring generates no RSA keys.
    pub(crate) fn rsa(id: &str) -> Option<Vec<Self>> {
        let options = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER"];
        let output = Command::new("openssl").args(options).output();
        if !needs("openssl", output.is_ok()) {
            return None;
        }
        let der = output.unwrap().stdout;
        // The format depends on the version of openssl.
        let key = Arc::new(RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)).unwrap());
        let all: [(_, &'static dyn RsaEncoding); 6] = [
            ("RS256", &signature::RSA_PKCS1_SHA256),
            ("RS384", &signature::RSA_PKCS1_SHA384),
            ("RS512", &signature::RSA_PKCS1_SHA512),
            ("PS256", &signature::RSA_PSS_SHA256),
            ("PS384", &signature::RSA_PSS_SHA384),
            ("PS512", &signature::RSA_PSS_SHA512),
        ];
        Some(all.map(|(name, padding)| Self::new(name, id, Key::Rsa(Arc::clone(&key), padding))).into())
    }

    /// Signs nothing, under this algorithm.
    pub(crate) fn none(algorithm: &'static str) -> Self {
        Self::new(algorithm, "", Key::None)
    }

    fn new(algorithm: &'static str, id: &str, key: Key) -> Self {
        Self { algorithm, id: id.to_owned(), key }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Hmac(key) => hmac::sign(key, message).as_ref().to_vec(),
            Key::Ed(key) => key.sign(message).as_ref().to_vec(),
            Key::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Key::Rsa(key, padding) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(*padding, &random, message, &mut signature).unwrap();
                signature
            }
            Key::None => vec![],
        }
    }

    /// Signs a header and a payload, whatever they are.
    pub(crate) fn sign_text(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(payload));
        format!("{message}.{}", encode(self.sign(message.as_bytes())))
    }

    /// The usual header of this signer.
    pub(crate) fn header(&self) -> Value {
        let mut header = json!({"alg": self.algorithm, "typ": "JWT"});
        if !self.id.is_empty() {
            header["kid"] = json!(self.id);
        }
        header
    }

    pub(crate) fn sign_claims(&self, claims: &Value) -> String {
        self.sign_text(&self.header().to_string(), &claims.to_string())
    }

    /// A valid token of this user.
    pub(crate) fn token(&self, id: &str) -> String {
        self.sign_claims(&claims(id))
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match &self.key {
            Key::Hmac(_) | Key::None => panic!("it has no public key"),
            Key::Ed(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key())}),
            Key::Ec(key) => {
                let point = &key.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if point.len() == 64 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Key::Rsa(key, _) => {
                let public = rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({"kty": "RSA", "n": encode(public.n), "e": encode(public.e)})
            }
        };
        jwk["kid"] = json!(self.id);
        jwk["use"] = json!("sig");
        jwk
    }

    /// The bytes of the public key, as ring and most libraries hold them.
    pub(crate) fn public_bytes(&self) -> Vec<u8> {
        match &self.key {
            Key::Hmac(_) | Key::None => panic!("it has no public key"),
            Key::Ed(key) => key.public_key().as_ref().to_vec(),
            Key::Ec(key) => key.public_key().as_ref().to_vec(),
            Key::Rsa(key, _) => key.public_key().as_ref().to_vec(),
        }
    }

    /// The public key in PEM.
    pub(crate) fn pem(&self) -> String {
        let key = self.public_bytes();
        let prefix: &[u8] = match (&self.key, key.len()) {
            (Key::Ed(_), _) => b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00",
            (Key::Ec(_), 65) => {
                b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00"
            }
            (Key::Ec(_), _) => {
                b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22\x03\x62\x00"
            }
            // 270 bytes of a key with 2048 bits.
            (Key::Rsa(..), 270) => {
                b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x0f\x00"
            }
            _ => panic!("{} bytes", key.len()),
        };
        let encoded = base64::engine::general_purpose::STANDARD.encode([prefix, &key].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{encoded}\n-----END PUBLIC KEY-----\n")
    }
}

fn ec(algorithm: &'static EcdsaSigningAlgorithm) -> Key {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    Key::Ec(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a valid token of this user.
pub(crate) fn claims(id: &str) -> Value {
    json!({"sub": id, "iss": ISSUER, "aud": AUDIENCE, "exp": now() + 3_600, "iat": now()})
}

/// Valid claims of this user with these changes. A value of null removes the claim.
pub(crate) fn claims_with(id: &str, changes: &Value) -> Value {
    let mut claims = claims(id);
    let object = claims.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => object.remove(name),
            value => object.insert(name.clone(), value.clone()),
        };
    }
    claims
}

pub(crate) fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

pub(crate) fn jwk_set(signers: &[&Signer]) -> String {
    json!({"keys": signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>()}).to_string()
}

/// A server that publishes a JWK set, and counts requests. It stops when it is dropped.
pub(crate) struct KeyServer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// The status line and the body.
    response: Mutex<(&'static str, String)>,
    latency: Mutex<Duration>,
    requests: AtomicUsize,
    /// The paths of all requests.
    paths: Mutex<Vec<String>>,
}

impl KeyServer {
    pub(crate) fn start(keys: &str) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), keys)
    }

    pub(crate) fn start_at(address: SocketAddr, keys: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            response: Mutex::new(("200 OK", keys.to_owned())),
            latency: Mutex::default(),
            requests: AtomicUsize::new(0),
            paths: Mutex::default(),
        });
        let weak = Arc::downgrade(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Some(shared) = weak.upgrade() else { return };
                std::thread::spawn(move || serve(stream.unwrap(), &shared));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/keys", self.address)
    }

    pub(crate) fn publish(&self, keys: &str) {
        self.respond("200 OK", keys);
    }

    pub(crate) fn respond(&self, status: &'static str, body: &str) {
        *self.shared.response.lock().unwrap() = (status, body.to_owned());
    }

    pub(crate) fn delay(&self, latency: Duration) {
        *self.shared.latency.lock().unwrap() = latency;
    }

    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.shared.paths.lock().unwrap().clone()
    }
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        // The thread that accepts sees that this server is gone.
        self.shared = Arc::new(Shared {
            response: Mutex::new(("503 Service Unavailable", String::new())),
            latency: Mutex::default(),
            requests: AtomicUsize::new(0),
            paths: Mutex::default(),
        });
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(mut stream: TcpStream, shared: &Shared) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    for _ in lines.by_ref().take_while(|line| !line.is_empty()) {}
    shared.requests.fetch_add(1, Ordering::SeqCst);
    shared.paths.lock().unwrap().push(first.split(' ').nth(1).unwrap_or_default().to_owned());
    let latency = *shared.latency.lock().unwrap();
    std::thread::sleep(latency);
    let (status, body) = shared.response.lock().unwrap().clone();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
}
