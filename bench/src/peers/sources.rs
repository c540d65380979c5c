//! The gateway with the identities of others, and with lookups.

use std::process::{Command, Stdio};

use super::{nginx, own};
use crate::result::Result;
use crate::running_peer::RunningPeer;
use crate::testbed::{Testbed, free_address};

/// How many rows the table of a lookup has.
const ROWS: u32 = 100_000;

/// Starts a gateway that has verified the token of the request before.
pub(super) fn token(bed: &Testbed) -> Result<RunningPeer> {
    with_token(bed, "gateway-jwt", "1h")
}

/// Starts a gateway that verifies the RS256 signature of each request, as at the first sight of a token.
pub(super) fn new_token(bed: &Testbed) -> Result<RunningPeer> {
    with_token(bed, "gateway-jwt-new", "0s")
}

fn with_token(bed: &Testbed, name: &str, cache_ttl: &str) -> Result<RunningPeer> {
    let (private_key, public_key) = (bed.path("issuer.pem"), bed.path("issuer.pub.pem"));
    if !public_key.exists() {
        let options = ["genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out"];
        openssl(Command::new("openssl").args(options).arg(&private_key), b"")?;
        let mut public = Command::new("openssl");
        public.args(["pkey", "-pubout", "-in"]).arg(&private_key).arg("-out").arg(&public_key);
        openssl(&mut public, b"")?;
    }
    let encoded = |bytes: &[u8]| -> Result<String> {
        let base64 = String::from_utf8(openssl(Command::new("openssl").args(["base64", "-A"]), bytes)?)?;
        Ok(base64.trim().trim_end_matches('=').replace('+', "-").replace('/', "_"))
    };
    let header = encoded(br#"{"alg":"RS256","typ":"JWT"}"#)?;
    let claims = encoded(br#"{"iss":"bench","aud":"media","sub":"7","name":"alice","exp":4102444800}"#)?;
    let message = format!("{header}.{claims}");
    let mut sign = Command::new("openssl");
    let signature = openssl(sign.args(["dgst", "-sha256", "-sign"]).arg(&private_key), message.as_bytes())?;
    let token = format!("Bearer {message}.{}", encoded(&signature)?);
    let source = format!(
        r#"{{ source = "jwt", key = "issuer.pub.pem", issuer = "bench", audience = "media", cache_ttl = "{cache_ttl}" }}"#
    );
    started(bed, name, &["--identity", &source], ("Authorization", token), vec![])
}

/// Starts a gateway that has asked the application about the session of the request before. The application is nginx.
pub(super) fn forward(bed: &Testbed) -> Result<RunningPeer> {
    let application = free_address()?;
    let server = nginx::start(
        bed,
        "nginx-application",
        application,
        &format!(
            "server {{ listen {application}; location = /whoami {{ \
             if ($cookie_session != 7) {{ return 401; }} \
             add_header X-User-Id 7; add_header X-User-Name alice; return 204; }} }}\n"
        ),
    )?;
    let source =
        format!(r#"{{ source = "forward", url = "http://{application}/whoami", cache_ttl = "1h" }}"#);
    let cookie = ("Cookie", "session=7".to_owned());
    started(bed, "gateway-forward", &["--identity", &source], cookie, vec![server])
}

/// Starts a gateway that has read the row of the file before.
pub(super) fn lookup(bed: &Testbed) -> Result<RunningPeer> {
    with_lookup(bed, "gateway-lookup", "1h")
}

/// Starts a gateway that reads the row of the file for each request.
pub(super) fn uncached_lookup(bed: &Testbed) -> Result<RunningPeer> {
    with_lookup(bed, "gateway-lookup-uncached", "0s")
}

fn with_lookup(bed: &Testbed, name: &str, cache: &str) -> Result<RunningPeer> {
    if !bed.path("app.db").exists() {
        let table = format!(
            "import sqlite3\n\
             app = sqlite3.connect('app.db')\n\
             app.execute('create table photos (key text primary key, owner_id integer, filename text, content_type text)')\n\
             rows = [('1k.jpg', 7, 'My photo.jpg', 'image/jpeg')]\n\
             rows += [(f'{{n:08x}}.jpg', n % 1000, f'Photo {{n}}.jpg', 'image/jpeg') for n in range({ROWS})]\n\
             app.executemany('insert into photos values (?, ?, ?, ?)', rows)\n\
             app.commit()\n"
        );
        if !Command::new("python3").args(["-c", &table]).current_dir(bed.path("")).status()?.success() {
            return Err("could not create the table of a lookup".into());
        }
    }
    let source = format!(
        r#"{{ path = "cars/7/{{key}}", database = "sqlite:app.db", cache = "{cache}", query = "select owner_id as owner, filename as name, content_type, key from photos where key = {{key}}" }}"#
    );
    let cookie = ("Cookie", own::cookie(bed)?);
    started(bed, name, &["--lookup", &source], cookie, vec![])
}

/// Starts a gateway with more flags. It is measured with small files only: the source and the lookup make no difference later.
fn started(
    bed: &Testbed,
    name: &str,
    flags: &[&str],
    credentials: (&str, String),
    others: Vec<crate::testbed::Server>,
) -> Result<RunningPeer> {
    let address = free_address()?;
    let mut servers = vec![own::serve(&own::current()?, bed, name, address, flags)?];
    servers.extend(others);
    let only = Some(&["1 KiB", "304", "HEAD"][..]);
    Ok(RunningPeer { only, ..RunningPeer::private(address, servers, credentials) })
}

/// Runs openssl with this input, and returns its output.
fn openssl(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write;

    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("no stdin")?.write_all(input)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("openssl: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(output.stdout)
}
