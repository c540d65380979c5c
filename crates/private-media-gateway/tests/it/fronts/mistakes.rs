//! The doctor finds common mistakes in the configuration of real front servers.

use std::process::Command;

use super::printed;
use super::server::{Front, FrontServer, Installed, free_address, open_to_all};
use crate::support::{GRANT, Place};

/// A mistake, and the finding that the doctor must print.
struct Mistake {
    name: &'static str,
    kind: FrontServer,
    arguments: &'static [&'static str],
    /// Adds the mistake to the printed configuration.
    change: fn(&str, &Place) -> String,
    /// The name of the check, and parts of the problem and of the fix.
    found: Found,
}

const NGINX: &[&str] = &["--mode", "nginx"];
const APACHE: &[&str] = &["--mode", "apache"];
const CORS: &[&str] = &["--mode", "nginx", "--cors-origin", "https://app.example", "--cors-credentials"];

type Found = (&'static str, &'static str, &'static str);

const fn nginx(name: &'static str, change: fn(&str, &Place) -> String, found: Found) -> Mistake {
    Mistake { name, kind: FrontServer::Nginx, arguments: NGINX, change, found }
}

const fn apache(name: &'static str, change: fn(&str, &Place) -> String, found: Found) -> Mistake {
    Mistake { name, kind: FrontServer::Apache, arguments: APACHE, change, found }
}

static MISTAKES: [Mistake; 21] = [
    nginx(
        "internal is missing",
        |block, _| without(block, "        internal;\n"),
        ("internal", "to everyone", "internal;"),
    ),
    nginx(
        "alias lacks its slash",
        |block, _| {
            changed(block, "/private/\";\n        # The gateway", "/private\";\n        # The gateway")
        },
        ("read", "404 Not Found", "alias \""),
    ),
    nginx(
        "location lacks its slash, and is open",
        |block, _| {
            without(
                &changed(
                    block,
                    "location ^~ \"/private-media-internal/\"",
                    "location ^~ \"/private-media-internal\"",
                ),
                "        internal;\n",
            )
        },
        ("internal", "to everyone", "slash at the end of both"),
    ),
    nginx(
        "the root is below the media folder",
        |block, place| {
            with_location(block, &format!("location /media/ {{ alias {}/; }}", place.path("").display()))
        },
        ("exposed", "/media/private/", "move"),
    ),
    nginx(
        "a default site has a folder above the root",
        |block, place| {
            let folder = place.path("").display().to_string();
            let listen = block.lines().find(|line| line.trim().starts_with("listen ")).unwrap();
            let other = listen.replace(';', " default_server;");
            changed(
                &format!("{block}server {{ {other} root {folder}; }}\n"),
                "    # Redirects",
                "    server_name 127.0.0.1;\n    # Redirects",
            )
        },
        ("exposed", "sends another Host", "move the root"),
    ),
    nginx(
        "autoindex is on",
        |block, place| {
            with_location(
                block,
                &format!("location /files/ {{ alias {}/; autoindex on; }}", place.path("private").display()),
            )
        },
        ("listing", "/files/", "autoindex off;"),
    ),
    Mistake {
        arguments: &[],
        ..nginx(
            "proxy_cache is on",
            |block, place| {
                let cache = "proxy_cache mistake; proxy_cache_valid any 1m; proxy_ignore_headers Cache-Control Vary Set-Cookie;";
                let zone = place.path("cache").display().to_string();
                format!(
                    "proxy_cache_path {zone} keys_zone=mistake:1m;\n{}",
                    changed(block, "        proxy_cache off;\n", cache)
                )
            },
            ("cache", "stores copies", "proxy_cache off;"),
        )
    },
    nginx(
        "X-Accel-Redirect is ignored",
        |block, _| {
            changed(
                block,
                "        gzip off;\n        client",
                "        proxy_ignore_headers X-Accel-Redirect;\n        proxy_pass_header X-Accel-Redirect;\n        client",
            )
        },
        ("hand-off", "x-accel-redirect", "X-Accel-Redirect"),
    ),
    nginx(
        "a client's own X-Accel-Redirect has an effect",
        |block, _| {
            // An application that echoes request headers, like debugging pages and careless proxies.
            let port = free_address().port();
            let echo = format!(
                "server {{ listen 127.0.0.1:{port}; location / {{ add_header X-Accel-Redirect $http_x_accel_redirect; return 200; }} }}\n"
            );
            format!(
                "{echo}{}",
                with_location(block, &format!("location / {{ proxy_pass http://127.0.0.1:{port}; }}"))
            )
        },
        ("spoofed-headers", "x-accel-redirect", "proxy_ignore_headers X-Accel-Redirect;"),
    ),
    nginx(
        "paths are rewritten (merge_slashes, and a path behind proxy_pass)",
        |block, _| {
            block
                .lines()
                .map(|line| match line.trim().strip_prefix("proxy_pass http://private_media_") {
                    Some(rest) => {
                        format!("proxy_pass http://private_media_{}/private/;\n", rest.trim_end_matches(';'))
                    }
                    None => format!("{line}\n"),
                })
                .collect()
        },
        ("spelling", "", "proxy_pass"),
    ),
    Mistake {
        arguments: &[],
        ..nginx(
            "the content type is replaced",
            |block, _| {
                let other = "proxy_hide_header Content-Type;\n        add_header Content-Type text/html;\n";
                changed(
                    block,
                    "        proxy_cache off;\n",
                    &format!("        proxy_cache off;\n        {other}"),
                )
            },
            ("headers", "Content-Type of a picture is \"text/html\"", "Content-Type"),
        )
    },
    nginx(
        "alias is another folder",
        |block, _| {
            changed(block, "/private/\";\n        # The gateway", "/elsewhere/\";\n        # The gateway")
        },
        ("read", "404 Not Found", "alias \""),
    ),
    nginx(
        "headers are not restored",
        |block, _| {
            block
                .lines()
                .filter(|line| !line.contains("add_header"))
                .map(|line| format!("{line}\n"))
                .collect()
        },
        (
            "headers",
            "X-Content-Type-Options",
            "add_header X-Content-Type-Options $upstream_http_x_content_type_options always;",
        ),
    ),
    Mistake {
        arguments: CORS,
        ..nginx(
            "the origin is not added back",
            |block, _| {
                let is_other = |line: &&str| !line.contains("Access-Control-Allow-Origin");
                block.lines().filter(is_other).map(|line| format!("{line}\n")).collect()
            },
            (
                "cors",
                "Access-Control-Allow-Origin of a picture for https://app.example is missing",
                "add_header Access-Control-Allow-Origin $upstream_http_access_control_allow_origin always;",
            ),
        )
    },
    nginx(
        "the 404 page is replaced",
        |block, _| {
            changed(
                block,
                "        proxy_cache off;\n",
                "        proxy_cache off;\n        proxy_intercept_errors on;\n        error_page 404 /nothing;\n",
            )
        },
        ("headers-404", "", "proxy_intercept_errors off;"),
    ),
    apache(
        "XSendFile is off",
        |block, _| changed(block, "XSendFile On", "XSendFile Off"),
        ("hand-off", "x-sendfile", "XSendFile On"),
    ),
    apache(
        "XSendFilePath is another folder",
        |block, _| changed(block, "/private\"\n    </Location>", "/elsewhere\"\n    </Location>"),
        ("read", "404 Not Found", "XSendFilePath"),
    ),
    apache(
        "the root is below the document root",
        |block, place| {
            let folder = place.path("").display().to_string();
            let root = format!(
                "    DocumentRoot \"{folder}\"\n    <Directory \"{folder}\">\n        Require all granted\n    </Directory>\n"
            );
            // Requests for the private URL reach the gateway; those for a second name of the root do not.
            std::os::unix::fs::symlink("private", place.path("storage")).unwrap();
            changed(block, "    # The request path", &format!("{root}    # The request path"))
        },
        ("exposed", "/storage/", "move"),
    ),
    apache(
        "Indexes are on",
        |block, place| {
            changed(
                block,
                "    # The request path",
                &format!(
                    "    Alias \"/uploads/\" \"{0}/\"\n    <Directory \"{0}\">\n        Options Indexes\n        Require all granted\n    </Directory>\n    # The request path",
                    place.path("private").display()
                ),
            )
        },
        ("listing", "/uploads/", "Options -Indexes"),
    ),
    apache(
        "the content type is replaced",
        |block, _| {
            changed(
                block,
                "        MaxRanges 16\n",
                "        MaxRanges 16\n        Header always set Content-Type text/html\n        Header set Content-Type text/html\n",
            )
        },
        ("headers", "Content-Type of a picture is \"text/html\"", "Content-Type"),
    ),
    apache(
        "Apache rejects encoded slashes",
        |block, _| {
            changed(block, "AllowEncodedSlashes NoDecode", "AllowEncodedSlashes On").replace(" nocanon", "")
        },
        ("spelling", "", "nocanon"),
    ),
];

/// Replaces a part of the configuration, which must contain it.
fn changed(block: &str, from: &str, to: &str) -> String {
    assert!(block.contains(from), "{from:?} is not in {block}");
    block.replacen(from, to, 1)
}

fn without(block: &str, line: &str) -> String {
    changed(block, line, "")
}

/// Adds a location to the server.
fn with_location(block: &str, location: &str) -> String {
    changed(
        block,
        "    # The gateway authenticates",
        &format!("    {location}\n    # The gateway authenticates"),
    )
}

/// Returns a root with correct permissions: the front server's user may read by its group, and others may not.
pub(super) fn place() -> Place {
    let place = Place::new();
    open_to_all(&place.path(""));
    let run = |program: &str, arguments: &[&str]| {
        assert!(
            Command::new(program).args(arguments).current_dir(place.path("")).status().unwrap().success()
        );
    };
    run("chmod", &["600", "accounts.toml"]);
    run("chmod", &["-R", "u=rwX,g=rX,o=", "private"]);
    if rustix::process::geteuid().is_root() {
        run("chgrp", &["-R", "www-data", "private"]);
        run("chmod", &["-R", "g+s", "private"]);
    }
    place
}

/// Runs the doctor for a front server with a changed configuration. Returns the exit code and the output.
fn doctor(
    kind: FrontServer,
    arguments: &[&str],
    change: fn(&str, &Place) -> String,
) -> (Option<i32>, String) {
    let place = place();
    let gateway = place.serve(arguments);
    let address = free_address();
    let block = printed(&place, kind, address, gateway.address, arguments);
    let front = Front::start(kind, address, &change(&block, &place));
    let (listen, url) = (gateway.address.to_string(), format!("http://{address}"));
    let command = ["doctor", "--grant", GRANT, "--listen", &listen, "--url", &url];
    let output = place.run(&[&command, arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.stderr.is_empty(), "{} {}", String::from_utf8_lossy(&output.stderr), front.log());
    (output.status.code(), text)
}

#[test]
fn each_mistake_is_found_with_its_fix() {
    let mut missed = Vec::new();
    for Mistake { name, kind, arguments, change, found: (check, problem, fix) } in &MISTAKES {
        if !kind.is_installed() {
            continue;
        }
        let (code, text) = doctor(*kind, arguments, *change);
        let lines: Vec<_> = text.lines().collect();
        let is_found = lines.windows(2).any(|pair| {
            pair[0].starts_with(&format!("problem  {check}: "))
                && pair[0].contains(problem)
                && pair[1].starts_with("fix ")
                && pair[1].contains(fix)
        });
        if code != Some(1) || !is_found {
            missed.push(format!("{kind:?}: {name} ({check} {problem:?} {fix:?}) in\n{text}"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn the_printed_configuration_has_no_problem() {
    for (kind, arguments) in [
        (FrontServer::Nginx, NGINX),
        (FrontServer::Nginx, &["--mode", "nginx", "--internal-url", "full-path"]),
        (FrontServer::Nginx, &[]),
        (FrontServer::Nginx, CORS),
        (FrontServer::Apache, APACHE),
        (FrontServer::Apache, &["--mode", "apache", "--sendfile-encoding", "plain"]),
        (FrontServer::Apache, &[]),
        (FrontServer::Lighttpd, APACHE),
        (FrontServer::Lighttpd, &["--mode", "apache", "--sendfile-encoding", "encoded"]),
        (FrontServer::Lighttpd, &[]),
        (FrontServer::Caddy, &[]),
    ] {
        if !kind.is_installed() {
            continue;
        }
        println!("# {kind:?} {arguments:?}");
        let (code, text) = doctor(kind, arguments, |block, _| block.to_owned());
        let bad = text.lines().any(|line| !line.starts_with("ok ") && !line.contains(" space: "));
        assert!(code == Some(0) && !bad, "{kind:?} {arguments:?}: {text}");
    }
}

#[test]
fn correct_sites_with_more_rules_have_no_problem() {
    for (kind, arguments, change) in [
        (
            FrontServer::Nginx,
            NGINX,
            // A common rule for pictures, which must not take precedence.
            (|block, _| with_location(block, "location ~* \\.(jpg|html|txt)$ { expires 30d; return 404; }"))
                as fn(&str, &Place) -> String,
        ),
        (FrontServer::Apache, &["--mode", "apache", "--grant", "{*file}=everyone"], |block, _| {
            block.to_owned()
        }),
        (
            FrontServer::Apache,
            APACHE,
            // The hand-off of another application has no effect.
            |block, _| {
                let echo = "    SetEnvIf X-Sendfile (.+) wanted=$1\n    Header set X-Sendfile %{wanted}e env=wanted\n    # The request path";
                changed(block, "    # The request path", echo)
            },
        ),
    ] {
        if !kind.is_installed() {
            continue;
        }
        let (code, text) = doctor(kind, arguments, change);
        assert!(code == Some(0), "{kind:?} {arguments:?}: {text}");
    }
}
