//! `manage.py serve_private_media`: the gateway in the project's process. Django authenticates what the gateway cannot read natively.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::servers::Server;
use super::shop::{SECRET, Shop, get, with};
use crate::support::Gateway;

/// Returns the settings for private media, and more.
fn media(more: &Value) -> Value {
    let settings = json!({
        "PRIVATE_MEDIA_URL": "/private/",
        "PRIVATE_MEDIA_PERMISSIONS": "private_media.permissions.GrantPermissions",
        "PRIVATE_MEDIA_PERMISSIONS_OPTIONS": {
            "grants": {"cars/{owner}/{*file}": ["owner", "staff"], "sales/{*file}": ["group:sales"]}
        },
    });
    with(&settings, more)
}

/// Returns the settings with a custom permission class, and more.
fn rules(more: &Value) -> Value {
    let own = json!({"PRIVATE_MEDIA_PERMISSIONS": "rules.Owners", "PRIVATE_MEDIA_PERMISSIONS_OPTIONS": {}});
    with(&media(&own), more)
}

/// Returns the settings of a cache that processes share, for sessions.
fn cache(shop: &str) -> Value {
    json!({"CACHES": {"default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": shop,
    }}})
}

fn status(gateway: &Gateway, cookie: &str) -> u16 {
    get(gateway, "cars/7/photo.jpg", cookie).status
}

/// Checks what each user may read after signing in.
fn identifies_users(shop: &mut Shop, gateway: &Gateway) {
    for (name, expected) in [("alice", 200), ("bob", 404), ("carol", 200), ("erin", 404)] {
        let cookie = shop.run(&format!("sign-in {name}"));
        assert_eq!(status(gateway, &cookie), expected, "{name}: {}", gateway.log());
        for forged in ["", "x", &cookie.to_uppercase(), &cookie[1..]] {
            assert_eq!(status(gateway, forged), 404, "{forged}");
        }
        assert!(!gateway.log().contains(&cookie) && !gateway.log().contains(SECRET));
    }
    let lines = gateway.access_log();
    assert!(lines.iter().any(|line| line["user"] == "7" && line["status"] == 200), "{lines:?}");
}

/// Checks that an event ends the session of alice: immediately without a cache, and otherwise within the cache time.
fn ends_session(shop: &mut Shop, arguments: &[&str], event: &dyn Fn(&mut Shop, &str) -> String) {
    let uncached = shop.embedded(&json!({"PRIVATE_MEDIA_CACHE": 0}), arguments);
    let cached = shop.embedded(&json!({"PRIVATE_MEDIA_CACHE": 2}), arguments);
    let cookie = shop.run("sign-in alice");
    assert_eq!((status(&uncached, &cookie), status(&cached, &cookie)), (200, 200), "{}", uncached.log());
    let begin = Instant::now();
    assert!(["ok", "1"].contains(&&*event(shop, &cookie)));
    assert_eq!(status(&uncached, &cookie), 404);
    if begin.elapsed() < Duration::from_secs(1) {
        assert_eq!(status(&cached, &cookie), 200, "the decision is cached");
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(status(&cached, &cookie), 404);
}

/// Checks sign-ins and all events that end a session. The log must contain `says`.
fn sessions_begin_and_end(shop: Option<Shop>, arguments: &[&str], says: &str) {
    let Some(mut shop) = shop else { return };
    let gateway = shop.embedded(&json!({}), arguments);
    identifies_users(&mut shop, &gateway);
    assert!(gateway.logs(says), "{says}: {}", gateway.log());
    drop(gateway);
    ends_session(&mut shop, arguments, &|shop, cookie| shop.run(&format!("sign-out {cookie}")));
    ends_session(&mut shop, arguments, &|shop, cookie| shop.run(&format!("delete-session {cookie}")));
    ends_session(&mut shop, arguments, &|shop, _| shop.run("deactivate alice"));
    assert_eq!(shop.run("activate alice"), "1");
    ends_session(&mut shop, arguments, &|shop, _| shop.run("password alice"));
}

#[test]
fn sessions_of_sqlite_are_read_natively() {
    sessions_begin_and_end(
        Shop::open_with("5.2", Some(Server::Sqlite), "db", &media(&json!({}))),
        &[],
        "authentication: by reading the sessions of",
    );
}

#[test]
fn sessions_of_postgres_are_read_natively() {
    sessions_begin_and_end(
        Shop::open_with("5.2", Server::postgres(), "cached_db", &media(&json!({}))),
        &[],
        "authentication: by reading the sessions of",
    );
}

#[test]
fn sessions_of_mariadb_are_read_natively() {
    sessions_begin_and_end(
        Shop::open_with("5.2", Server::mariadb(), "db", &media(&json!({}))),
        &[],
        "authentication: by reading the sessions of",
    );
}

#[test]
fn sessions_of_django_4_2_are_read_natively() {
    sessions_begin_and_end(
        Shop::open_with("4.2", Some(Server::Sqlite), "db", &media(&json!({}))),
        &[],
        "authentication: by reading the sessions of",
    );
}

#[test]
fn ask_django_authenticates_by_django() {
    let shop = Shop::open_with("5.2", Server::postgres(), "db", &media(&json!({})));
    sessions_begin_and_end(shop, &["--ask-django"], "authentication: by Django (--ask-django)");
}

#[test]
fn django_4_2_authenticates_sessions_in_a_cache() {
    let folder = tempfile::tempdir().unwrap();
    let settings = media(&cache(folder.path().to_str().unwrap()));
    sessions_begin_and_end(
        Shop::open_with("4.2", Some(Server::Sqlite), "cache", &settings),
        &[],
        "authentication: by Django (SESSION_ENGINE",
    );
}

#[test]
fn django_authenticates_custom_user_models() {
    let settings = media(&json!({
        "AUTH_USER_MODEL": "people.Person",
        "INSTALLED_APPS": [
            "people", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "private_media",
        ],
    }));
    let Some(mut shop) = Shop::open_with("5.2", Some(Server::Sqlite), "db", &settings) else { return };
    ends_session(&mut shop, &[], &|shop, _| shop.run("rename alice"));
    let says = "authentication: by Django (AUTH_USER_MODEL is people.Person)";
    assert!(shop.embedded(&json!({}), &[]).logs(says));
}

#[test]
fn django_authenticates_other_custom_projects() {
    let folder = tempfile::tempdir().unwrap();
    for (more, says) in [
        (
            json!({"AUTHENTICATION_BACKENDS": ["rules.InactiveUsersBackend"]}),
            "AUTHENTICATION_BACKENDS has rules.InactiveUsersBackend",
        ),
        (
            json!({"SESSION_ENGINE": "django.contrib.sessions.backends.file",
                "SESSION_FILE_PATH": folder.path().to_str().unwrap()}),
            "SESSION_ENGINE is",
        ),
        (json!({"USE_TZ": false}), "USE_TZ is False"),
        (json!({"DATABASE_ROUTERS": ["rules.Owners"]}), "DATABASE_ROUTERS"),
    ] {
        let Some(mut shop) = Shop::open_with("5.2", Some(Server::Sqlite), "db", &media(&more)) else {
            return;
        };
        let gateway = shop.embedded(&json!({}), &[]);
        let cookie = shop.run("sign-in alice");
        assert_eq!(status(&gateway, &cookie), 200, "{says}: {}", gateway.log());
        assert_eq!(status(&gateway, "0123456789abcdef0123456789abcdef"), 404);
        assert!(gateway.logs(says), "{}", gateway.log());
        assert_eq!(shop.run("deactivate alice"), "1");
        std::thread::sleep(Duration::from_secs(5));
        assert_eq!(status(&gateway, &cookie), 404, "{says}: a deactivated user");
    }
}

#[test]
fn a_custom_permission_class_decides() {
    for django in ["4.2", "5.2"] {
        let Some(mut shop) = Shop::open_with(django, Some(Server::Sqlite), "db", &rules(&json!({}))) else {
            return;
        };
        for name in ["404", "403", "fails", "slow", "token", "header", "url"] {
            shop.place.write(&format!("private/rules/{name}"), name);
        }
        let gateway = shop.embedded(&json!({}), &[]);
        identifies_users(&mut shop, &gateway);
        let fetch = |path: &str, fields: &[(&str, &str)]| {
            gateway.fetch(&format!("GET /private/{path}"), fields).status
        };
        for path in ["rules/404", "rules/403", "rules/fails", "rules/token", "rules/header"] {
            assert_eq!(fetch(path, &[]), 404, "{path}");
        }
        // No request gets the cached decision of another.
        assert_eq!(fetch("rules/token?token=open%20sesame", &[]), 200, "{}", gateway.log());
        assert_eq!(fetch("rules/token?token=open", &[]), 404);
        assert_eq!(fetch("rules/header", &[("x-may", "yes")]), 200);
        assert_eq!(fetch("rules/header", &[("x-may", "no")]), 404);
        assert_eq!(fetch("rules/header", &[("x_may", "yes")]), 404, "X_May is another header");
        assert_eq!(fetch("rules/url?a=%20b", &[]), 404, "another host");
        for problem in ["rules.Owners raises Http404", "fails with ZeroDivisionError"] {
            assert!(gateway.logs(problem), "{}", gateway.log());
        }
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| fetch("rules/slow", &[]));
            std::thread::sleep(Duration::from_millis(300));
            let cookie = shop.run("sign-in alice");
            assert_eq!(status(&gateway, &cookie), 200, "a slow decision delays no other request");
            assert!(begin.elapsed() < Duration::from_secs(4));
            assert_eq!(slow.join().unwrap(), 404, "a timeout is a denial");
        });
        assert!(gateway.logs("did not reply within 5s"), "{}", gateway.log());
    }
}

#[test]
fn an_async_permission_class_decides_after_the_middleware() {
    let more = json!({
        "PRIVATE_MEDIA_PERMISSIONS": "rules.AsyncOwners",
        "MIDDLEWARE": [
            "rules.Redirects",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
    });
    let Some(mut shop) = Shop::open_with("5.2", Some(Server::Sqlite), "db", &rules(&more)) else { return };
    let gateway = shop.embedded(&json!({"PRIVATE_MEDIA_CACHE": 0}), &["--ask-django"]);
    let cookie = shop.run("sign-in alice");
    assert_eq!(status(&gateway, &cookie), 200, "{}", gateway.log());
    assert_eq!(status(&gateway, &format!("{cookie}; elsewhere=1")), 404);
    assert!(gateway.logs("middleware responded with status 302"), "{}", gateway.log());
}

/// Opens the project with applications and middleware of other packages.
fn with_packages(apps: &[&str], middleware: &[&str], more: &Value) -> Option<Shop> {
    let django =
        ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "private_media"];
    let auth = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ];
    let (apps, middleware) = ([&django[..], apps].concat(), [&auth[..], middleware].concat());
    let own = json!({"INSTALLED_APPS": apps, "MIDDLEWARE": middleware, "PRIVATE_MEDIA_CACHE": 0});
    let settings = media(&with(&own, more));
    Shop::open_with("5.2", Some(Server::Sqlite), "db", &settings)
}

const OTP_APPS: [&str; 2] = ["django_otp", "django_otp.plugins.otp_static"];
const OTP: [&str; 2] = ["django_otp.middleware.OTPMiddleware", "rules.RequiresSecondFactor"];

#[test]
fn a_second_factor_required_by_middleware_is_required() {
    let Some(mut shop) = with_packages(&OTP_APPS, &OTP, &json!({})) else { return };
    for arguments in [&[][..], &["--ask-django"]] {
        let gateway = shop.embedded(&json!({}), arguments);
        let cookie = shop.run("sign-in alice");
        assert_eq!(status(&gateway, &cookie), 404, "signed in without the second factor");
        let cookie = shop.run(&format!("verify {cookie}"));
        assert_eq!(status(&gateway, &cookie), 200, "{}", gateway.log());
        assert_eq!(get(&gateway, "cars/8/photo.jpg", &cookie).status, 404, "a file of another user");
        let log = gateway.log();
        assert!(log.contains("middleware responded with status 302"), "{log}");
        let says = "MIDDLEWARE has django_otp.middleware.OTPMiddleware, rules.RequiresSecondFactor, which may change";
        assert_eq!(log.contains(says), arguments.is_empty(), "{log}");
    }
    // If the project ignores the middleware, only the session decides.
    let ignored = shop.embedded(&json!({"PRIVATE_MEDIA_IGNORED_MIDDLEWARE": OTP}), &[]);
    let cookie = shop.run("sign-in alice");
    assert_eq!(status(&ignored, &cookie), 200, "{}", ignored.log());
    assert!(ignored.logs("authentication: by reading the sessions of"), "{}", ignored.log());
}

#[test]
fn misordered_second_factor_middleware_denies_access() {
    let [otp, requires] = OTP;
    let Some(mut shop) = with_packages(&OTP_APPS, &[otp, requires], &json!({})) else { return };
    let auth = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ];
    let gateway = shop.embedded(&json!({"MIDDLEWARE": [auth[0], auth[1], requires, otp]}), &[]);
    let cookie = shop.run("sign-in alice");
    let cookie = shop.run(&format!("verify {cookie}"));
    assert_eq!(status(&gateway, &cookie), 404);
    assert!(gateway.logs("middleware responded with status 500"), "{}", gateway.log());
}

#[test]
fn impersonating_staff_have_the_permissions_of_the_user() {
    for (app, middleware, url) in [
        ("hijack", "hijack.middleware.HijackUserMiddleware", "/hijack/acquire/"),
        ("impersonate", "impersonate.middleware.ImpersonateMiddleware", "/impersonate/KEY/"),
    ] {
        let more = json!({"HIJACK_PERMISSION_CHECK": "hijack.permissions.superusers_and_staff"});
        let Some(mut shop) = with_packages(&[app], &[middleware], &more) else { return };
        shop.place.write("private/cars/8/photo.jpg", "bob's photo");
        let gateway = shop.embedded(&json!({}), &[]);
        let carol = shop.run("sign-in carol");
        let photos = |cookie: &str| {
            ["7", "8"].map(|key| get(&gateway, &format!("cars/{key}/photo.jpg"), cookie).status)
        };
        assert_eq!(photos(&carol), [200, 200], "staff: {}", gateway.log());
        let as_bob = shop.run(&format!("act-as {carol} {url} bob"));
        assert_eq!(photos(&as_bob), [404, 200], "{app}: {}", gateway.log());
        assert!(gateway.logs(&format!("MIDDLEWARE has {middleware}, which may change")));
    }
}

#[test]
fn users_banned_by_middleware_are_denied() {
    // Together with middleware of other packages that sees every request.
    let apps = ["allauth", "allauth.account", "axes"];
    let middleware = [
        "allauth.account.middleware.AccountMiddleware",
        "rules.bans_sales",
        "axes.middleware.AxesMiddleware",
    ];
    let Some(mut shop) = with_packages(&apps, &middleware, &json!({})) else { return };
    let gateway = shop.embedded(&json!({}), &[]);
    let (alice, erin) = (shop.run("sign-in alice"), shop.run("sign-in erin"));
    assert_eq!(status(&gateway, &alice), 200, "{}", gateway.log());
    assert_eq!(get(&gateway, "sales/prices.txt", &erin).status, 404, "the group is banned");
    assert!(gateway.logs("middleware responded with status 403"), "{}", gateway.log());
    let says = "MIDDLEWARE has rules.bans_sales, axes.middleware.AxesMiddleware, which may change";
    assert!(gateway.logs(says), "{}", gateway.log());
}

/// A cached decision is valid for one path only.
#[test]
fn middleware_decides_for_each_path() {
    let Some(mut shop) = with_packages(&[], &["rules.DeniesFolder"], &json!({"PRIVATE_MEDIA_CACHE": 60}))
    else {
        return;
    };
    shop.place.write("private/cars/7/secret/plan.txt", "the plan");
    let gateway = shop.embedded(&json!({}), &[]);
    let alice = shop.run("sign-in alice");
    for _ in 0..2 {
        assert_eq!(status(&gateway, &alice), 200, "{}", gateway.log());
        assert_eq!(get(&gateway, "cars/7/secret/plan.txt", &alice).status, 404);
    }
}

#[test]
fn an_unavailable_database_denies_access_until_it_is_back() {
    for arguments in [&[][..], &["--ask-django"]] {
        let Some(mut shop) = Shop::open_with("5.2", Server::postgres(), "db", &media(&json!({}))) else {
            return;
        };
        let gateway = shop.embedded(&json!({"PRIVATE_MEDIA_CACHE": 0}), arguments);
        let cookie = shop.run("sign-in alice");
        assert_eq!(status(&gateway, &cookie), 200, "{}", gateway.log());
        shop.server.stop();
        assert_eq!(status(&gateway, &cookie), 404);
        assert!(gateway.logs("could not identify the client"), "{}", gateway.log());
        shop.server.start_again();
        let begin = Instant::now();
        while status(&gateway, &cookie) == 404 {
            assert!(begin.elapsed().as_secs() < 30, "{}", gateway.log());
        }
    }
}

/// Invalid cookies fill the queue, and are not cached as users.
#[test]
fn a_flood_of_invalid_cookies_is_denied_and_blocks_no_user() {
    let Some(mut shop) = Shop::open_with("5.2", Some(Server::Sqlite), "db", &rules(&json!({}))) else {
        return;
    };
    let gateway = shop.embedded(&json!({}), &["--ask-django", "--threads", "1"]);
    let cookie = shop.run("sign-in alice");
    std::thread::scope(|scope| {
        for client in 0..8 {
            let gateway = &gateway;
            scope.spawn(move || {
                for number in 0..50 {
                    assert_eq!(status(gateway, &format!("made-up-{client}-{number}")), 404);
                }
            });
        }
    });
    assert_eq!(status(&gateway, &cookie), 200, "{}", gateway.log());
    assert!(!gateway.log().contains("Traceback"), "{}", gateway.log());
}

#[test]
fn the_settings_of_django_apply() {
    let Some(mut shop) = Shop::open_with("5.2", Some(Server::Sqlite), "db", &media(&json!({}))) else {
        return;
    };
    let cookie = shop.run("sign-in alice");
    let photo = |gateway: &Gateway| get(gateway, "cars/7/photo.jpg", &cookie);
    let download = photo(&shop.embedded(&json!({"PRIVATE_MEDIA_FORCE_DOWNLOAD": true}), &[]));
    assert!(download.header("content-disposition").unwrap().starts_with("attachment"), "{download:?}");
    let nginx = json!({
        "PRIVATE_MEDIA_SERVER": "private_media.servers.NginxXAccelRedirectServer", "PRIVATE_MEDIA_INTERNAL_URL": "/inside/",
    });
    let handed_off = photo(&shop.embedded(&nginx, &[]));
    assert_eq!(handed_off.header("x-accel-redirect"), Some("/inside/cars/7/photo.jpg"));
    let elsewhere =
        shop.embedded(&json!({"FORCE_SCRIPT_NAME": "/shop", "PRIVATE_MEDIA_URL": "private"}), &[]);
    let fields = [("cookie", &*format!("sessionid={cookie}"))];
    assert_eq!(elsewhere.fetch("GET /shop/private/cars/7/photo.jpg", &fields).status, 200);
    assert_eq!(elsewhere.fetch("GET /private/cars/7/photo.jpg", &fields).status, 404);
    let debug = shop.embedded(&json!({"DEBUG": true}), &[]);
    assert_eq!(get(&debug, "cars/8/photo.jpg", &cookie).status, 403);
    for (more, arguments, says) in [
        (json!({"PRIVATE_MEDIA_CACHE": "soon"}), &[][..], "PRIVATE_MEDIA_CACHE is 'soon'"),
        (json!({"PRIVATE_MEDIA_CACHE": -1}), &[], "PRIVATE_MEDIA_CACHE is -1"),
        (json!({"PRIVATE_MEDIA_ROOT": "/nowhere/at/all"}), &[], "PRIVATE_MEDIA_ROOT"),
        (json!({"PRIVATE_MEDIA_ROOT": ""}), &[], "PRIVATE_MEDIA_ROOT is not set"),
        (json!({"PRIVATE_MEDIA_SERVER": "rules.OwnServer"}), &[], "PRIVATE_MEDIA_SERVER 'rules.OwnServer'"),
        (json!({"PRIVATE_MEDIA_URL": "/privé/"}), &[], "PRIVATE_MEDIA_URL"),
        (json!({}), &["--bind", "nowhere"], "--bind"),
        (json!({}), &["--bind", &*debug.address.to_string()], "--bind"),
        (json!({}), &["--log", "loud"], "--log"),
        (json!({}), &["--threads", "0"], "invalid value 0 for --threads"),
        (
            json!({"DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/db"}}}),
            &[],
            "DATABASES['default']",
        ),
    ] {
        let log = shop.embedded_refusal(&more, arguments);
        assert!(log.contains(says) && log.contains("Error"), "{says}: {log}");
    }
}

#[test]
fn signed_cookies_and_fallback_keys_are_accepted() {
    let Some(mut shop) = Shop::open_with("5.2", Some(Server::Sqlite), "signed_cookies", &media(&json!({})))
    else {
        return;
    };
    let cookie = shop.run("sign-in alice");
    let never = json!({"PRIVATE_MEDIA_CACHE": 0});
    assert_eq!(status(&shop.embedded(&never, &[]), &cookie), 200);
    let new = json!({"SECRET_KEY": "another secret", "SECRET_KEY_FALLBACKS": [SECRET]});
    assert_eq!(status(&shop.embedded(&new, &[]), &cookie), 200);
    assert_eq!(status(&shop.embedded(&json!({"SECRET_KEY": "another secret"}), &[]), &cookie), 404);
    assert_eq!(status(&shop.embedded(&json!({"SESSION_COOKIE_AGE": 0}), &[]), &cookie), 404);
    let gateway = shop.embedded(&never, &[]);
    assert_eq!(shop.run("password alice"), "ok");
    assert_eq!(status(&gateway, &cookie), 404);
}

#[test]
fn sigint_and_sigterm_stop_the_gateway() {
    use rustix::process::Signal;

    let Some(shop) = Shop::open_with("5.2", Some(Server::Sqlite), "db", &rules(&json!({}))) else { return };
    for signal in [Signal::INT, Signal::TERM] {
        let mut gateway = shop.embedded(&json!({}), &["--ask-django"]);
        assert_eq!(get(&gateway, "-/health", "").status, 200);
        gateway.signal(signal);
        let status = gateway.child.wait().unwrap();
        assert!(status.success(), "{status}: {}", gateway.log());
        assert!(!gateway.log().contains("Traceback"), "{}", gateway.log());
    }
}
