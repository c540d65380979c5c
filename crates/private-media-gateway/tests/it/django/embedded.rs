//! `manage.py serve_private_media` is the same gateway, in a process of the project, and asks Django what it cannot read itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::servers::Server;
use super::shop::{SECRET, Shop, get, with};
use crate::support::Gateway;

/// What a project says of its private media, beside what it says in a test.
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

/// Those whose permissions are a class of the shop's own.
fn rules(more: &Value) -> Value {
    let own = json!({"PRIVATE_MEDIA_PERMISSIONS": "rules.Owners", "PRIVATE_MEDIA_PERMISSIONS_OPTIONS": {}});
    with(&media(&own), more)
}

/// A cache that several processes have, so that there are sessions in it.
fn cache(shop: &str) -> Value {
    json!({"CACHES": {"default": {
        "BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": shop,
    }}})
}

fn status(gateway: &Gateway, cookie: &str) -> u16 {
    get(gateway, "cars/7/photo.jpg", cookie).status
}

/// Everybody signs in, and reads what is theirs to read.
fn known(shop: &mut Shop, gateway: &Gateway) {
    for (name, right) in [("alice", 200), ("bob", 404), ("carol", 200), ("erin", 404)] {
        let cookie = shop.tell(&format!("sign-in {name}"));
        assert_eq!(status(gateway, &cookie), right, "{name}: {}", gateway.log());
        for forged in ["", "x", &cookie.to_uppercase(), &cookie[1..]] {
            assert_eq!(status(gateway, forged), 404, "{forged}");
        }
        assert!(!gateway.log().contains(&cookie) && !gateway.log().contains(SECRET));
    }
    let lines = gateway.access_log();
    assert!(lines.iter().any(|line| line["user"] == "7" && line["status"] == 200), "{lines:?}");
}

/// Alice reads her photo; then something happens, and she cannot any more: at once where each request is asked for, and elsewhere
/// when an answer may not be kept any longer.
fn ends(shop: &mut Shop, arguments: &[&str], happens: &dyn Fn(&mut Shop, &str) -> String) {
    let asking = shop.embedded(&json!({"PRIVATE_MEDIA_CACHE": 0}), arguments);
    let keeping = shop.embedded(&json!({"PRIVATE_MEDIA_CACHE": 2}), arguments);
    let cookie = shop.tell("sign-in alice");
    assert_eq!((status(&asking, &cookie), status(&keeping, &cookie)), (200, 200), "{}", asking.log());
    let begin = Instant::now();
    assert!(["ok", "1"].contains(&&*happens(shop, &cookie)));
    assert_eq!(status(&asking, &cookie), 404);
    if begin.elapsed() < Duration::from_secs(1) {
        assert_eq!(status(&keeping, &cookie), 200, "an answer is kept");
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(status(&keeping, &cookie), 404);
}

/// All that may end a sign-in, with users that come back in between.
fn all_ends(shop: Option<Shop>, arguments: &[&str], says: &str) {
    let Some(mut shop) = shop else { return };
    let gateway = shop.embedded(&json!({}), arguments);
    known(&mut shop, &gateway);
    assert!(gateway.logs(says), "{says}: {}", gateway.log());
    drop(gateway);
    ends(&mut shop, arguments, &|shop, cookie| shop.tell(&format!("sign-out {cookie}")));
    ends(&mut shop, arguments, &|shop, cookie| shop.tell(&format!("delete-session {cookie}")));
    ends(&mut shop, arguments, &|shop, _| shop.tell("deactivate alice"));
    assert_eq!(shop.tell("activate alice"), "1");
    ends(&mut shop, arguments, &|shop, _| shop.tell("password alice"));
}

#[test]
fn sessions_of_sqlite_are_read_natively() {
    all_ends(
        Shop::open_with("5.2", Some(Server::Sqlite), "db", &media(&json!({}))),
        &[],
        "authentication: by reading the sessions of",
    );
}

#[test]
fn sessions_of_postgres_are_read_natively() {
    all_ends(
        Shop::open_with("5.2", Server::postgres(), "cached_db", &media(&json!({}))),
        &[],
        "authentication: by reading the sessions of",
    );
}

#[test]
fn sessions_of_mariadb_are_read_natively() {
    all_ends(
        Shop::open_with("5.2", Server::mariadb(), "db", &media(&json!({}))),
        &[],
        "authentication: by reading the sessions of",
    );
}

#[test]
fn sessions_of_django_4_2_are_read_natively() {
    all_ends(
        Shop::open_with("4.2", Some(Server::Sqlite), "db", &media(&json!({}))),
        &[],
        "authentication: by reading the sessions of",
    );
}

#[test]
fn django_is_asked_if_that_is_wanted() {
    let shop = Shop::open_with("5.2", Server::postgres(), "db", &media(&json!({})));
    all_ends(shop, &["--ask-django"], "authentication: by Django (--ask-django)");
}

#[test]
fn django_4_2_is_asked_for_sessions_in_a_cache() {
    let folder = tempfile::tempdir().unwrap();
    let settings = media(&cache(folder.path().to_str().unwrap()));
    all_ends(
        Shop::open_with("4.2", Some(Server::Sqlite), "cache", &settings),
        &[],
        "authentication: by Django (SESSION_ENGINE",
    );
}

#[test]
fn django_is_asked_for_users_of_the_projects_own() {
    let settings = media(&json!({
        "AUTH_USER_MODEL": "people.Person",
        "INSTALLED_APPS": [
            "people", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "private_media",
        ],
    }));
    let Some(mut shop) = Shop::open_with("5.2", Some(Server::Sqlite), "db", &settings) else { return };
    ends(&mut shop, &[], &|shop, _| shop.tell("rename alice"));
    let says = "authentication: by Django (AUTH_USER_MODEL is people.Person)";
    assert!(shop.embedded(&json!({}), &[]).logs(says));
}

#[test]
fn django_is_asked_for_whatever_else_is_the_projects_own() {
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
        let cookie = shop.tell("sign-in alice");
        assert_eq!(status(&gateway, &cookie), 200, "{says}: {}", gateway.log());
        assert_eq!(status(&gateway, "0123456789abcdef0123456789abcdef"), 404);
        assert!(gateway.logs(says), "{}", gateway.log());
        assert_eq!(shop.tell("deactivate alice"), "1");
        std::thread::sleep(Duration::from_secs(5));
        assert_eq!(status(&gateway, &cookie), 404, "{says}: whoever was deactivated is nobody");
    }
}

#[test]
fn a_class_of_the_projects_own_decides() {
    for django in ["4.2", "5.2"] {
        let Some(mut shop) = Shop::open_with(django, Some(Server::Sqlite), "db", &rules(&json!({}))) else {
            return;
        };
        for name in ["404", "403", "fails", "slow", "token", "header", "url"] {
            shop.place.write(&format!("private/rules/{name}"), name);
        }
        let gateway = shop.embedded(&json!({}), &[]);
        known(&mut shop, &gateway);
        let ask =
            |path: &str, fields: &[(&str, &str)]| gateway.ask(&format!("GET /private/{path}"), fields).status;
        for path in ["rules/404", "rules/403", "rules/fails", "rules/token", "rules/header"] {
            assert_eq!(ask(path, &[]), 404, "{path}");
        }
        // What one may, another may not, however soon after.
        assert_eq!(ask("rules/token?token=open%20sesame", &[]), 200, "{}", gateway.log());
        assert_eq!(ask("rules/token?token=open", &[]), 404);
        assert_eq!(ask("rules/header", &[("x-may", "yes")]), 200);
        assert_eq!(ask("rules/header", &[("x-may", "no")]), 404);
        assert_eq!(ask("rules/header", &[("x_may", "yes")]), 404, "it is no X-May");
        assert_eq!(ask("rules/url?a=%20b", &[]), 404, "another host");
        for problem in ["rules.Owners raises Http404", "fails with ZeroDivisionError"] {
            assert!(gateway.logs(problem), "{}", gateway.log());
        }
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let slow = scope.spawn(|| ask("rules/slow", &[]));
            std::thread::sleep(Duration::from_millis(300));
            let cookie = shop.tell("sign-in alice");
            assert_eq!(status(&gateway, &cookie), 200, "nobody waits for somebody else's answer");
            assert!(begin.elapsed() < Duration::from_secs(4));
            assert_eq!(slow.join().unwrap(), 404, "no answer in time is no");
        });
        assert!(gateway.logs("did not reply within 5s"), "{}", gateway.log());
    }
}

#[test]
fn an_async_class_decides_too_and_the_middleware_is_the_projects() {
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
    let cookie = shop.tell("sign-in alice");
    assert_eq!(status(&gateway, &cookie), 200, "{}", gateway.log());
    assert_eq!(status(&gateway, &format!("{cookie}; elsewhere=1")), 404);
    assert!(gateway.logs("middleware responded with status 302"), "{}", gateway.log());
}

/// The shop with applications and middleware of other packages.
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
fn a_second_factor_that_a_middleware_requires_is_required() {
    let Some(mut shop) = with_packages(&OTP_APPS, &OTP, &json!({})) else { return };
    for arguments in [&[][..], &["--ask-django"]] {
        let gateway = shop.embedded(&json!({}), arguments);
        let cookie = shop.tell("sign-in alice");
        assert_eq!(status(&gateway, &cookie), 404, "signed in without the second factor");
        let cookie = shop.tell(&format!("verify {cookie}"));
        assert_eq!(status(&gateway, &cookie), 200, "{}", gateway.log());
        assert_eq!(get(&gateway, "cars/8/photo.jpg", &cookie).status, 404, "it is somebody else's");
        let log = gateway.log();
        assert!(log.contains("middleware responded with status 302"), "{log}");
        let says = "MIDDLEWARE has django_otp.middleware.OTPMiddleware, rules.RequiresSecondFactor, which may change";
        assert_eq!(log.contains(says), arguments.is_empty(), "{log}");
    }
    // Only if the project says so, and then the session alone decides.
    let ignored = shop.embedded(&json!({"PRIVATE_MEDIA_IGNORED_MIDDLEWARE": OTP}), &[]);
    let cookie = shop.tell("sign-in alice");
    assert_eq!(status(&ignored, &cookie), 200, "{}", ignored.log());
    assert!(ignored.logs("authentication: by reading the sessions of"), "{}", ignored.log());
}

#[test]
fn a_second_factor_that_is_asked_for_too_early_lets_nobody_in() {
    let [otp, requires] = OTP;
    let Some(mut shop) = with_packages(&OTP_APPS, &[otp, requires], &json!({})) else { return };
    let auth = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ];
    let gateway = shop.embedded(&json!({"MIDDLEWARE": [auth[0], auth[1], requires, otp]}), &[]);
    let cookie = shop.tell("sign-in alice");
    let cookie = shop.tell(&format!("verify {cookie}"));
    assert_eq!(status(&gateway, &cookie), 404);
    assert!(gateway.logs("middleware responded with status 500"), "{}", gateway.log());
}

#[test]
fn staff_who_act_as_somebody_else_see_the_files_of_that_user() {
    for (app, middleware, url) in [
        ("hijack", "hijack.middleware.HijackUserMiddleware", "/hijack/acquire/"),
        ("impersonate", "impersonate.middleware.ImpersonateMiddleware", "/impersonate/KEY/"),
    ] {
        let more = json!({"HIJACK_PERMISSION_CHECK": "hijack.permissions.superusers_and_staff"});
        let Some(mut shop) = with_packages(&[app], &[middleware], &more) else { return };
        shop.place.write("private/cars/8/photo.jpg", "bob's photo");
        let gateway = shop.embedded(&json!({}), &[]);
        let carol = shop.tell("sign-in carol");
        let photos = |cookie: &str| {
            ["7", "8"].map(|key| get(&gateway, &format!("cars/{key}/photo.jpg"), cookie).status)
        };
        assert_eq!(photos(&carol), [200, 200], "staff: {}", gateway.log());
        let as_bob = shop.tell(&format!("act-as {carol} {url} bob"));
        assert_eq!(photos(&as_bob), [404, 200], "{app}: {}", gateway.log());
        assert!(gateway.logs(&format!("MIDDLEWARE has {middleware}, which may change")));
    }
}

#[test]
fn whoever_a_middleware_bans_is_denied_also_after_the_view() {
    // With those of other packages that see every request.
    let apps = ["allauth", "allauth.account", "axes"];
    let middleware = [
        "allauth.account.middleware.AccountMiddleware",
        "rules.bans_sales",
        "axes.middleware.AxesMiddleware",
    ];
    let Some(mut shop) = with_packages(&apps, &middleware, &json!({})) else { return };
    let gateway = shop.embedded(&json!({}), &[]);
    let (alice, erin) = (shop.tell("sign-in alice"), shop.tell("sign-in erin"));
    assert_eq!(status(&gateway, &alice), 200, "{}", gateway.log());
    assert_eq!(get(&gateway, "sales/prices.txt", &erin).status, 404, "she is in the group, and it is banned");
    assert!(gateway.logs("middleware responded with status 403"), "{}", gateway.log());
    let says = "MIDDLEWARE has rules.bans_sales, axes.middleware.AxesMiddleware, which may change";
    assert!(gateway.logs(says), "{}", gateway.log());
}

/// What is known of one path is not believed of another.
#[test]
fn a_middleware_that_decides_by_the_path_is_asked_for_each_path() {
    let Some(mut shop) = with_packages(&[], &["rules.DeniesFolder"], &json!({"PRIVATE_MEDIA_CACHE": 60}))
    else {
        return;
    };
    shop.place.write("private/cars/7/secret/plan.txt", "the plan");
    let gateway = shop.embedded(&json!({}), &[]);
    let alice = shop.tell("sign-in alice");
    for _ in 0..2 {
        assert_eq!(status(&gateway, &alice), 200, "{}", gateway.log());
        assert_eq!(get(&gateway, "cars/7/secret/plan.txt", &alice).status, 404);
    }
}

#[test]
fn a_database_that_is_away_lets_nobody_in_until_it_is_back() {
    for arguments in [&[][..], &["--ask-django"]] {
        let Some(mut shop) = Shop::open_with("5.2", Server::postgres(), "db", &media(&json!({}))) else {
            return;
        };
        let gateway = shop.embedded(&json!({"PRIVATE_MEDIA_CACHE": 0}), arguments);
        let cookie = shop.tell("sign-in alice");
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

/// Cookies that anybody can make up wait in a queue of their own length, and are forgotten.
#[test]
fn a_flood_of_questions_is_denied_and_passes() {
    let Some(mut shop) = Shop::open_with("5.2", Some(Server::Sqlite), "db", &rules(&json!({}))) else {
        return;
    };
    let gateway = shop.embedded(&json!({}), &["--ask-django", "--threads", "1"]);
    let cookie = shop.tell("sign-in alice");
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
fn the_settings_are_those_of_django() {
    let Some(mut shop) = Shop::open_with("5.2", Some(Server::Sqlite), "db", &media(&json!({}))) else {
        return;
    };
    let cookie = shop.tell("sign-in alice");
    let photo = |gateway: &Gateway| get(gateway, "cars/7/photo.jpg", &cookie);
    let download = photo(&shop.embedded(&json!({"PRIVATE_MEDIA_FORCE_DOWNLOAD": true}), &[]));
    assert!(download.field("content-disposition").unwrap().starts_with("attachment"), "{download:?}");
    let nginx = json!({
        "PRIVATE_MEDIA_SERVER": "private_media.servers.NginxXAccelRedirectServer", "PRIVATE_MEDIA_INTERNAL_URL": "/inside/",
    });
    let handed_off = photo(&shop.embedded(&nginx, &[]));
    assert_eq!(handed_off.field("x-accel-redirect"), Some("/inside/cars/7/photo.jpg"));
    let elsewhere =
        shop.embedded(&json!({"FORCE_SCRIPT_NAME": "/shop", "PRIVATE_MEDIA_URL": "private"}), &[]);
    let fields = [("cookie", &*format!("sessionid={cookie}"))];
    assert_eq!(elsewhere.ask("GET /shop/private/cars/7/photo.jpg", &fields).status, 200);
    assert_eq!(elsewhere.ask("GET /private/cars/7/photo.jpg", &fields).status, 404);
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
fn signed_cookies_and_fallback_keys_count() {
    let Some(mut shop) = Shop::open_with("5.2", Some(Server::Sqlite), "signed_cookies", &media(&json!({})))
    else {
        return;
    };
    let cookie = shop.tell("sign-in alice");
    let never = json!({"PRIVATE_MEDIA_CACHE": 0});
    assert_eq!(status(&shop.embedded(&never, &[]), &cookie), 200);
    let new = json!({"SECRET_KEY": "another secret", "SECRET_KEY_FALLBACKS": [SECRET]});
    assert_eq!(status(&shop.embedded(&new, &[]), &cookie), 200);
    assert_eq!(status(&shop.embedded(&json!({"SECRET_KEY": "another secret"}), &[]), &cookie), 404);
    assert_eq!(status(&shop.embedded(&json!({"SESSION_COOKIE_AGE": 0}), &[]), &cookie), 404);
    let gateway = shop.embedded(&never, &[]);
    assert_eq!(shop.tell("password alice"), "ok");
    assert_eq!(status(&gateway, &cookie), 404);
}

#[test]
fn ctrl_c_and_sigterm_end_it() {
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
