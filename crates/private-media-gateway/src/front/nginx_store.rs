//! The location of nginx that fetches files from a bucket.

use std::fmt::Write as _;

use super::store::Store;

/// Headers that nginx drops from an `X-Accel-Redirect` response.
pub(super) const DROPPED: [&str; 9] = [
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
    "Vary",
    "X-Content-Type-Options",
    "Content-Security-Policy",
    "Cross-Origin-Resource-Policy",
    "Referrer-Policy",
    "X-Request-Id",
];
/// The user metadata of objects whose headers are hidden: those of the gateway, and those of rclone, s3fs and s3cmd. Objects with other
/// metadata are sent by the gateway, because nginx hides headers only by name.
pub(crate) const HIDDEN_METADATA: &[&str] = &[
    "privatemediasave",
    "mtime",
    "atime",
    "ctime",
    "btime",
    "uid",
    "gid",
    "mode",
    "md5chksum",
    "s3cmd-attrs",
    "s3b-last-modified",
    "sha256",
];

/// Headers of S3, Google and compatible servers that are hidden, besides those of metadata.
const HIDDEN: &[&str] = &[
    // The gateway's are sent.
    "Content-Type",
    "Content-Disposition",
    "Cache-Control",
    "Last-Modified",
    "Expires",
    "Vary",
    "Set-Cookie",
    "Content-Encoding",
    "Content-Language",
    "Content-Location",
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "X-Request-Id",
    "Alt-Svc",
    "Link",
    "Via",
    "Age",
    "Location",
    "Warning",
    "WWW-Authenticate",
    "Access-Control-Allow-Origin",
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Headers",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
    "x-amz-id-2",
    "x-amz-request-id",
    "x-amzn-RequestId",
    "x-amz-content-sha256",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-bucket-region",
    "x-amz-version-id",
    "x-amz-delete-marker",
    "x-amz-expiration",
    "x-amz-restore",
    "x-amz-storage-class",
    "x-amz-tagging-count",
    "x-amz-replication-status",
    "x-amz-mp-parts-count",
    "x-amz-missing-meta",
    "x-amz-request-charged",
    "x-amz-website-redirect-location",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-object-lock-legal-hold",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-context",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key-md5",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-goog-component-count",
    "x-goog-custom-time",
    "x-goog-encryption-algorithm",
    "x-goog-encryption-key-sha256",
    "x-goog-encryption-kms-key-name",
    "x-goog-expiration",
    "x-goog-generation",
    "x-goog-hash",
    "x-goog-metageneration",
    "x-goog-storage-class",
    "x-goog-stored-content-encoding",
    "x-goog-stored-content-length",
    "X-GUploader-UploadID",
    "x-minio-deployment-id",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-rgw-object-type",
    "Bucket",
    "CF-RAY",
];

/// The registered statuses that are no success (RFC 9110), and those of some proxies.
const ERRORS: [&str; 4] = [
    "300 301 302 303 304 305 307 308",
    "400 401 402 403 404 405 406 407 408 409 410 411 412 413 414 415",
    "416 417 421 422 423 424 425 426 428 429 431 451",
    "500 501 502 503 504 505 506 507 508 510 511 520 521 522 523 524 525 526 530",
];

/// Returns the upstream of a bucket, and the locations that fetch its files. `name` begins the names of upstreams and locations.
pub(super) fn internal(name: &str, store: &Store, location: &str) -> (String, String) {
    let upstream = format!(
        "\
upstream {name}_store {{
    # nginx looks up the address of the bucket when it starts and reloads. nginx 1.27.3 and later follow its changes with `resolve` at the end
    # of the next line, `zone {name}_store 64k;` after it, and a `resolver` in the http block.
    server {address};
    keepalive 32;
    # Shorter than that of the bucket, so that nginx closes idle connections first.
    keepalive_timeout 15s;
}}

",
        address = store.address()
    );
    let (tls, hidden, headers) = (tls(store), hidden(), headers());
    let (saved, added, unavailable) = (headers.saved, headers.added, headers.unavailable);
    let errors: String = ERRORS
        .iter()
        .map(|codes| format!("        error_page {codes} =503 @{name}_unavailable;\n"))
        .collect();
    let internal = format!(
        "
    # nginx fetches the files that the gateway has authorized from the bucket.
    location ^~ \"{location}\" {{
        # Not reachable by clients.
        internal;
        # The gateway names path and query of a presigned URL, as the query of this location: nginx does not decode a query. It cannot name
        # another host.
        proxy_pass {scheme}://{name}_store/$args;
        # The host that is signed.
        proxy_set_header Host {host};
{tls}        proxy_http_version 1.1;
        proxy_set_header Connection \"\";
        # The bucket gets nothing from the client: no cookies, no passwords, no addresses.
        proxy_method GET;
        proxy_pass_request_headers off;
        proxy_pass_request_body off;
        proxy_set_header Content-Length \"\";
        # The gateway evaluates ranges and conditions. The condition prevents a range of a replaced file.
        set $pm_range $upstream_http_x_private_media_range;
        set $pm_if_match $upstream_http_x_private_media_if_match;
        proxy_set_header Range $pm_range;
        proxy_set_header If-Match $pm_if_match;
        # Slow downloads are not buffered on disk.
        proxy_max_temp_file_size 0;
        proxy_buffer_size 16k;
        proxy_buffers 8 16k;
        proxy_connect_timeout 3s;
        proxy_read_timeout 30s;
        proxy_cache off;
        gzip off;
        # No response of the bucket but a file reaches the client.
        proxy_intercept_errors on;
{errors}        # Nor does a header of the bucket, except those of the content: length, range and entity tag.
        proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset Expires Cache-Control Set-Cookie Vary;
        proxy_headers_hash_max_size 2048;
        proxy_headers_hash_bucket_size 128;
{hidden}        # The headers of the gateway's response.
{saved}{added}    }}

    location @{name}_unavailable {{
        internal;
        # A client has requested the internal location.
        if ($upstream_status = \"\") {{
            return 404;
        }}
        gzip off;
        default_type \"text/plain; charset=utf-8\";
{unavailable}        return 503 \"try again later\\n\";
    }}
",
        scheme = store.scheme(),
        host = store.authority(),
    );
    (upstream, internal)
}

fn tls(store: &Store) -> String {
    if !store.is_https() {
        return String::new();
    }
    format!(
        "        proxy_ssl_server_name on;
        proxy_ssl_name {host};
        proxy_ssl_protocols TLSv1.2 TLSv1.3;
        proxy_ssl_verify on;
        proxy_ssl_verify_depth 5;
        # The authorities that Debian trusts.
        proxy_ssl_trusted_certificate /etc/ssl/certs/ca-certificates.crt;
",
        host = store.host()
    )
}

/// Returns the directives that hide headers of the bucket, several in a line.
fn hidden() -> String {
    const MAX_LINE: usize = 140;
    let own = HIDDEN.iter().map(|name| (*name).to_owned());
    let metadata = ["x-amz-meta", "x-goog-meta"]
        .iter()
        .flat_map(|prefix| HIDDEN_METADATA.iter().map(move |name| format!("{prefix}-{name}")));
    let (mut lines, mut line) = (String::new(), String::from("       "));
    for name in own.chain(metadata) {
        let directive = format!(" proxy_hide_header {name};");
        if line.len() + directive.len() > MAX_LINE {
            lines += &line;
            "\n       ".clone_into(&mut line);
        }
        line += &directive;
    }
    lines + &line + "\n"
}

/// Directives about the headers of the gateway's response, which are variables of the upstream until nginx connects to the bucket. The names of
/// variables are short, because nginx limits them.
struct Headers {
    saved: String,
    added: String,
    /// For the page that nginx sends if the bucket fails.
    unavailable: String,
}

fn headers() -> Headers {
    let mut headers = Headers {
        saved: String::new(),
        added: String::new(),
        unavailable: "        add_header Retry-After 5 always;\n".into(),
    };
    let of_file =
        [("Last-Modified", "last_modified"), ("Content-Disposition", "x_private_media_disposition")];
    let of_all = DROPPED.map(|header| (header, header.to_lowercase().replace('-', "_")));
    let of_all = of_all.iter().map(|(header, variable)| (*header, variable.as_str()));
    for (is_of_file, (header, variable)) in
        of_file.into_iter().map(|row| (true, row)).chain(of_all.map(|row| (false, row)))
    {
        let _ = writeln!(headers.saved, "        set $pm_{variable} $upstream_http_{variable};");
        let _ = writeln!(headers.added, "        add_header {header} $pm_{variable};");
        if !is_of_file && header != "Content-Security-Policy" {
            let _ = writeln!(headers.unavailable, "        add_header {header} $pm_{variable} always;");
        }
    }
    headers
}
