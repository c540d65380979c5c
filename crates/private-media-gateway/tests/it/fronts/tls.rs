//! The doctor over HTTPS, with a certificate of a private authority in nginx.

use std::path::Path;
use std::process::Command;

use super::mistakes::place;
use super::printed;
use super::server::{Front, FrontServer, Installed, free_address};
use crate::support::{GRANT, Place, needs, program};

/// Creates a certificate authority, and a certificate for `$NAME`.
const CERTIFICATE: &str = "
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=site -keyout site.key -out site.csr
echo subjectAltName=$NAME > site.ext
openssl x509 -req -in site.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile site.ext -out site.pem";

pub(crate) fn has_openssl() -> bool {
    needs("openssl", Command::new("openssl").arg("version").output().is_ok())
}

/// Makes the certificate `site.pem` of 127.0.0.1, its key `site.key`, and the authority `ca.pem` in a folder.
pub(crate) fn make_certificate(folder: &Path) {
    make_certificate_for("IP:127.0.0.1", folder);
}

/// Makes the same for another name.
pub(crate) fn make_certificate_for(name: &str, folder: &Path) {
    let mut command = Command::new("sh");
    let made = command.args(["-euc", CERTIFICATE]).env("NAME", name).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn the_doctor_trusts_the_authorities_of_ssl_cert_file() {
    if !FrontServer::Nginx.is_installed() || !has_openssl() {
        return;
    }
    let place = place();
    make_certificate(&place.path(""));
    let arguments = ["--mode", "nginx"];
    let gateway = place.serve(&arguments);
    let address = free_address();
    let file = |name: &str| place.path(name).display().to_string();
    let block = printed(&place, FrontServer::Nginx, address, gateway.address, &arguments).replacen(
        &format!("listen {address};"),
        &format!(
            "listen {address} ssl;\n    ssl_certificate {};\n    ssl_certificate_key {};",
            file("site.pem"),
            file("site.key")
        ),
        1,
    );
    let _front = Front::start(FrontServer::Nginx, address, &block);
    let doctor = |url: &str, trusted: &str| doctor(&place, &gateway.address.to_string(), url, trusted);

    let (code, text) = doctor(&format!("https://{address}"), "ca.pem");
    let bad = text.lines().any(|line| !line.starts_with("ok ") && !line.contains(" space: "));
    assert!(code == Some(0) && !bad, "{text}");
    let (code, text) = doctor(&format!("https://{address}"), "site.csr");
    assert!(code == Some(1) && text.contains("SSL_CERT_FILE"), "without a trusted certificate: {text}");
    // nginx responds to plain HTTP on this port with 400.
    let (code, text) = doctor(&format!("http://{address}"), "ca.pem");
    assert!(code == Some(1) && text.contains("problem  front: "), "{text}");
}

fn doctor(place: &Place, listen: &str, url: &str, trusted: &str) -> (Option<i32>, String) {
    let mut command = program();
    command.args(["doctor", "--grant", GRANT, "--mode", "nginx", "--listen", listen, "--url", url]);
    let output =
        command.env("SSL_CERT_FILE", place.path(trusted)).current_dir(place.path("")).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}
