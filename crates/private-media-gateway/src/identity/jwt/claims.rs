//! Claims of a verified token: its times, and the user that it names.

use std::time::{Duration, SystemTime};

use private_media::User;
use serde_json::Value;

use super::unique_json::UniqueObject;
use crate::config::{ClaimPaths, JwtOptions};

/// The claims of a token whose signature, issuer and audience are right.
pub(super) struct Claims(UniqueObject);

/// The reason why a token is rejected. It never contains the token.
pub(super) type Reason = std::borrow::Cow<'static, str>;

/// Seconds since 1970, like the times in a token (RFC 7519 section 2). A token may contain fractions.
pub(super) type Seconds = f64;

/// Returns a time as in a token.
pub(super) fn seconds(time: SystemTime) -> Seconds {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

impl Claims {
    pub(super) fn new(claims: UniqueObject) -> Self {
        Self(claims)
    }

    /// Returns the time at which the token becomes invalid, or the reason why it is not valid now.
    pub(super) fn valid_until(&self, options: &JwtOptions, now: Seconds) -> Result<Seconds, Reason> {
        let leeway = options.leeway.as_secs_f64();
        let expires = self.time("exp")?.ok_or("the token has no claim exp")? + leeway;
        if now >= expires {
            return Err(format!("the token expired {} ago", text(now - (expires - leeway))).into());
        }
        if let Some(not_before) = self.time("nbf")?
            && now + leeway < not_before
        {
            return Err(format!("the token is not valid for another {}", text(not_before - now)).into());
        }
        let issued = self.time("iat")?;
        let Some(max_age) = options.max_age else { return Ok(expires) };
        let issued = issued.ok_or("the token has no claim iat, which max_age needs")?;
        if now + leeway < issued {
            return Err(format!("the token is issued {} in the future", text(issued - now)).into());
        }
        let oldest = issued + max_age.as_secs_f64() + leeway;
        if now >= oldest {
            return Err(format!(
                "the token was issued {} ago, which is longer than max_age",
                text(now - issued)
            )
            .into());
        }
        Ok(expires.min(oldest))
    }

    /// Returns the user that the token names.
    pub(super) fn user(&self, paths: &ClaimPaths) -> Result<User, Reason> {
        let id = match self.get(&paths.id) {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) if id.is_u64() || id.is_i64() => id.to_string(),
            _ => {
                return Err(format!(
                    "the token has no id: the claim {} is not a text or an integer",
                    paths.id
                )
                .into());
            }
        };
        let mut user = User::new(id);
        if let Some(Value::String(name)) = self.get(&paths.name) {
            user = user.name(name);
        }
        let get = |path: &Option<String>| self.get(path.as_deref()?);
        user = user.staff(get(&paths.staff) == Some(&Value::Bool(true)));
        user = match get(&paths.groups) {
            Some(Value::String(names)) => names.split_whitespace().fold(user, User::group),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).fold(user, User::group),
            _ => user,
        };
        let UniqueObject(claims) = &self.0;
        Ok(claims.iter().fold(user, |user, (name, value)| match value {
            Value::String(text) => user.claim(name, text),
            other => user.claim(name, other.to_string()),
        }))
    }

    /// Returns the claim at a path such as `app_metadata.is_staff`. A name may contain dots itself, as in `https://example.com/roles`.
    fn get(&self, path: &str) -> Option<&Value> {
        find(&self.0.0, path)
    }

    /// Returns a time in seconds. A claim that is not a number is an error.
    fn time(&self, name: &'static str) -> Result<Option<Seconds>, Reason> {
        let UniqueObject(claims) = &self.0;
        match claims.get(name).map(Value::as_f64) {
            None => Ok(None),
            Some(Some(time)) => Ok(Some(time)),
            Some(None) => Err(format!("the claim {name} is not a number").into()),
        }
    }
}

fn find<'a>(object: &'a serde_json::Map<String, Value>, path: &str) -> Option<&'a Value> {
    object.get(path).or_else(|| {
        path.match_indices('.').find_map(|(dot, _)| {
            let (name, rest) = (path.get(..dot)?, path.get(dot + 1..)?);
            find(object.get(name)?.as_object()?, rest)
        })
    })
}

/// Returns a duration for people, in whole seconds.
fn text(seconds: Seconds) -> String {
    let duration = Duration::try_from_secs_f64(seconds.floor()).unwrap_or(Duration::MAX);
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(claims: Value) -> Claims {
        Claims(serde_json::from_value(claims).unwrap())
    }

    const NOW: Seconds = 1_000_000.0;

    #[test]
    fn times() {
        let options = JwtOptions { leeway: Duration::from_secs(60), ..JwtOptions::for_tests() };
        let aged = JwtOptions { max_age: Some(Duration::from_secs(600)), ..options.clone() };
        for (options, token, expected) in [
            (&options, json!({"exp": NOW + 100.0}), Ok(NOW + 160.0)),
            (&options, json!({"exp": NOW - 59.0}), Ok(NOW + 1.0)),
            (&options, json!({"exp": 1_000_100}), Ok(NOW + 160.0)),
            (&options, json!({"exp": NOW - 60.0}), Err("expired 1m ago")),
            (&options, json!({"exp": NOW - 7_261.5}), Err("expired 2h 1m 1s ago")),
            (&options, json!({"exp": 0}), Err("expired")),
            (&options, json!({"exp": -1}), Err("expired")),
            (&options, json!({"exp": -1e300}), Err("expired")),
            (&options, json!({"exp": 1e300}), Ok(1e300)),
            (&options, json!({}), Err("no claim exp")),
            (&options, json!({"exp": null}), Err("exp is not a number")),
            (&options, json!({"exp": "1000100"}), Err("exp is not a number")),
            (&options, json!({"exp": [NOW + 100.0]}), Err("exp is not a number")),
            (&options, json!({"exp": true}), Err("exp is not a number")),
            (&options, json!({"exp": NOW + 100.0, "nbf": NOW + 60.0}), Ok(NOW + 160.0)),
            (&options, json!({"exp": NOW + 100.0, "nbf": NOW + 61.0}), Err("not valid for another 1m 1s")),
            (&options, json!({"exp": NOW + 100.0, "nbf": "0"}), Err("nbf is not a number")),
            (&options, json!({"exp": NOW + 100.0, "nbf": null}), Err("nbf is not a number")),
            (&options, json!({"exp": NOW + 100.0, "iat": {}}), Err("iat is not a number")),
            (&options, json!({"exp": NOW + 100.0, "iat": NOW + 1e9}), Ok(NOW + 160.0)),
            (&aged, json!({"exp": NOW + 1e5, "iat": NOW - 100.0}), Ok(NOW + 560.0)),
            (&aged, json!({"exp": NOW + 100.0, "iat": NOW}), Ok(NOW + 160.0)),
            (&aged, json!({"exp": NOW + 1e5, "iat": NOW - 660.0}), Err("issued 11m ago")),
            (&aged, json!({"exp": NOW + 1e5, "iat": NOW + 61.0}), Err("1m 1s in the future")),
            (&aged, json!({"exp": NOW + 1e5}), Err("no claim iat")),
        ] {
            match (claims(token.clone()).valid_until(options, NOW), expected) {
                (Ok(until), Ok(expected)) => assert!((until - expected).abs() < 1e-3, "{token}: {until}"),
                (Err(reason), Err(expected)) => assert!(reason.contains(expected), "{token}: {reason}"),
                (found, _) => panic!("{token}: {found:?}"),
            }
        }
    }

    #[test]
    fn users() {
        let paths = |id: &str, staff: &str, groups: &str| ClaimPaths {
            id: id.into(),
            name: "name".into(),
            staff: Some(staff.into()),
            groups: Some(groups.into()),
        };
        let default = paths("sub", "app.staff", "groups");
        for (paths, token, id, name, staff, groups) in [
            (&default, json!({"sub": "7", "name": "alice"}), "7", "alice", false, &[][..]),
            (&default, json!({"sub": 7, "name": 8}), "7", "7", false, &[]),
            (&default, json!({"sub": -7}), "-7", "-7", false, &[]),
            (&default, json!({"sub": "7", "app": {"staff": true}}), "7", "7", true, &[]),
            (&default, json!({"sub": "7", "app.staff": true}), "7", "7", true, &[]),
            (&default, json!({"sub": "7", "app": {"staff": "true"}}), "7", "7", false, &[]),
            (&default, json!({"sub": "7", "app": {"staff": 1}}), "7", "7", false, &[]),
            (&default, json!({"sub": "7", "app": "staff", "staff": true}), "7", "7", false, &[]),
            (&default, json!({"sub": "7", "groups": ["a", "b c"]}), "7", "7", false, &["a", "b c"]),
            (&default, json!({"sub": "7", "groups": "a  b"}), "7", "7", false, &["a", "b"]),
            (&default, json!({"sub": "7", "groups": [1, "a", null, ["b"]]}), "7", "7", false, &["a"]),
            (&default, json!({"sub": "7", "groups": {"a": 1}}), "7", "7", false, &[]),
            (
                &paths("app.user.id", "https://example.com/app.staff", "https://example.com/app.groups"),
                json!({"app": {"user": {"id": 8}}, "https://example.com/app": {"staff": true}, "https://example.com/app.groups": "a"}),
                "8",
                "8",
                true,
                &["a"],
            ),
        ] {
            let user = claims(token.clone()).user(paths).unwrap();
            assert_eq!((user.id(), user.display_name(), user.is_staff()), (id, name, staff), "{token}");
            assert_eq!(user.groups(), groups, "{token}");
        }
        for token in [
            json!({}),
            json!({"sub": ""}),
            json!({"sub": null}),
            json!({"sub": 1.5}),
            json!({"sub": true}),
            json!({"sub": ["7"]}),
            json!({"sub": {"id": "7"}}),
        ] {
            let reason = claims(token.clone()).user(&default).unwrap_err();
            assert!(reason.contains("the claim sub"), "{token}: {reason}");
        }
    }

    #[test]
    fn all_top_level_claims_are_kept() {
        let token = json!({"sub": "7", "n": 1, "list": [1, "a"], "map": {"b": null}, "no": null});
        let user = claims(token).user(&JwtOptions::for_tests().claims).unwrap();
        let kept: Vec<_> =
            user.claims().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            kept,
            [("list", "[1,\"a\"]"), ("map", "{\"b\":null}"), ("n", "1"), ("no", "null"), ("sub", "7")]
        );
    }
}
