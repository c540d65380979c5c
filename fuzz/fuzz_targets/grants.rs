//! Grants print as their text, and decide like a naive matcher.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use private_media::permission::Grant;
use private_media::{Grants, Identity, MediaPath, User};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    grants: Vec<&'a str>,
    paths: Vec<&'a str>,
    user: &'a str,
    group: &'a str,
    is_staff: bool,
}

fuzz_target!(|input: Input<'_>| {
    let mut grants = Vec::new();
    for text in input.grants.iter().take(8) {
        let parsed = text.parse::<Grant>();
        match &parsed {
            Ok(grant) => {
                let printed = grant.to_string();
                assert_eq!(printed.parse().as_ref(), Ok(grant), "{text:?} prints as {printed:?}");
                grants.push(grant.clone());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let user = User::new(input.user).staff(input.is_staff).group(input.group);
    let all = Grants::new(grants.iter().cloned());
    for path in input.paths.iter().take(8).filter_map(|path| MediaPath::new(path).ok()) {
        for identity in [Identity::Anonymous, user.clone().into()] {
            let expected = grants.iter().any(|grant| allows(&grant.to_string(), &identity, &path));
            let decision = all.decide(&identity, &path);
            assert_eq!(decision.is_allowed(), expected, "{grants:?} {identity:?} {path}: {decision}");
        }
    }
});

/// Returns whether the text of a grant allows the identity to read the path.
fn allows(grant: &str, identity: &Identity, path: &MediaPath) -> bool {
    let (template, grantees) = grant.rsplit_once('=').unwrap();
    let Some(owner) = matches(&template.split('/').collect::<Vec<_>>(), &path.segments().collect::<Vec<_>>())
    else {
        return false;
    };
    grantees.split(',').any(|grantee| match (grantee, identity.user()) {
        ("everyone", _) => true,
        (_, None) => false,
        ("authenticated", Some(_)) => true,
        ("staff", Some(user)) => user.is_staff(),
        ("owner", Some(user)) => owner.as_deref() == Some(user.id()),
        (other, Some(user)) => match other.split_once(':').unwrap() {
            ("group", group) => user.groups().iter().any(|own| own == group),
            ("user", id) => user.id() == id,
            _ => panic!("{other:?} was accepted as a grantee"),
        },
    })
}

/// Returns the value of `{owner}` in a matching path, if the template has it; the outer `None` means that the path does not match.
fn matches(template: &[&str], path: &[&str]) -> Option<Option<String>> {
    match (template, path) {
        ([], []) => Some(None),
        ([rest], [_, ..]) if rest.starts_with("{*") => Some((*rest == "{*owner}").then(|| path.join("/"))),
        ([part, template @ ..], [segment, path @ ..]) => {
            let is_variable = part.starts_with('{') && !part.starts_with("{{");
            if !is_variable && part.replace("{{", "{").replace("}}", "}") != *segment {
                return None;
            }
            let owner = matches(template, path)?;
            Some(if *part == "{owner}" { Some((*segment).to_owned()) } else { owner })
        }
        _ => None,
    }
}
