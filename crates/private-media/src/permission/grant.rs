//! Grants: path templates, and the users who may read the matching paths.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use foldhash::HashMap;
use foldhash::HashMapExt as _;
use futures_core::future::BoxFuture;

use super::decision::Decision;
use super::permissions::Permissions;
use super::template::{Captures, Template, TemplateError};
use crate::identity::{Identity, User};
use crate::request::MediaPath;

/// Permissions to read: each [`Grant`] allows its grantees to read the paths that its template matches. Everything else is denied.
///
/// [`Grants::default`] has one grant: staff may read everything.
///
/// Grants are parsed from a list that is separated by `;` or line breaks, or created from [`Grant`]s by [`Grants::new`]:
/// ```
/// use private_media::{Grants, Identity, MediaPath, User};
///
/// let grants: Grants = "cars/{owner}/{*file}=owner,staff; shared/{*file}=authenticated".parse()?;
/// let path = MediaPath::new("cars/7/photo.jpg").unwrap();
/// assert!(grants.decide(&User::new("7").into(), &path).is_allowed());
/// assert!(!grants.decide(&User::new("8").into(), &path).is_allowed());
/// assert!(!grants.decide(&Identity::Anonymous, &path).is_allowed());
/// # Ok::<(), private_media::permission::GrantError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    all: Vec<Grant>,
    /// The grants whose template begins with this segment.
    by_first: HashMap<String, Vec<usize>>,
    /// The grants whose template begins with a variable.
    open: Vec<usize>,
}

impl Grants {
    /// Returns permissions with these grants. Without a grant, everything is denied.
    pub fn new(grants: impl IntoIterator<Item = Grant>) -> Self {
        let all: Vec<_> = grants.into_iter().collect();
        let (mut by_first, mut open) = (HashMap::<_, Vec<_>>::new(), vec![]);
        for (number, grant) in all.iter().enumerate() {
            match grant.template.first() {
                Some(first) => by_first.entry(first.to_owned()).or_default().push(number),
                None => open.push(number),
            }
        }
        Self { all, by_first, open }
    }

    /// Decides whether an identity may read a path.
    #[must_use]
    pub fn decide(&self, identity: &Identity, path: &MediaPath) -> Decision {
        let mut first_mismatch = None;
        for grant in self.candidates(path) {
            let Some(captures) = grant.template.captures(path) else { continue };
            if let Some((_, reason)) = grant.to.iter().find(|(to, _)| to.names(identity, &captures)) {
                return Decision::allow(Arc::clone(reason));
            }
            first_mismatch.get_or_insert(grant);
        }
        let Some(grant) = first_mismatch else { return Decision::deny("no grant matches the path") };
        let who = match identity.user() {
            Some(user) => format!("user {} is not granted access", user.id()),
            None => "not signed in".to_owned(),
        };
        Decision::deny(format!("{who}; grant {} is for {}", grant.template, grant.grantees()))
    }

    /// Returns the grants that may match a path, in order. Grants with another first segment are not evaluated.
    fn candidates(&self, path: &MediaPath) -> impl Iterator<Item = &Grant> {
        let path = path.as_str();
        let first =
            path.bytes().position(|byte| byte == b'/').and_then(|end| path.get(..end)).unwrap_or(path);
        let first = self.by_first.get(first);
        let mut numbers = (first.map(Vec::as_slice).unwrap_or_default(), self.open.as_slice());
        std::iter::from_fn(move || {
            let (own, open) = &mut numbers;
            let from = match (own.first(), open.first()) {
                (Some(a), Some(b)) if a > b => open,
                (Some(_), _) => own,
                (None, _) => open,
            };
            let (number, rest) = from.split_first()?;
            *from = rest;
            self.all.get(*number)
        })
    }

    /// Returns the grants, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.all.iter()
    }
}

impl Default for Grants {
    fn default() -> Self {
        let template = "{*file}".parse().map(|template| Grant::new(template, [Grantee::Staff]));
        Self::new(template.into_iter().flatten())
    }
}

impl Permissions for Grants {
    fn may_read<'a>(&'a self, identity: &'a Identity, path: &'a MediaPath) -> BoxFuture<'a, Decision> {
        Box::pin(std::future::ready(self.decide(identity, path)))
    }
}

impl FromStr for Grants {
    type Err = GrantError;

    /// Parses grants that are separated by `;` or line breaks. Empty ones are skipped. At least one is required.
    fn from_str(text: &str) -> Result<Self, GrantError> {
        let grants = text.split([';', '\n']).map(str::trim).filter(|grant| !grant.is_empty());
        let grants = grants.map(str::parse).collect::<Result<Vec<Grant>, _>>()?;
        if grants.is_empty() {
            return Err(GrantError { grant: text.to_owned(), problem: Problem::Form });
        }
        Ok(Self::new(grants))
    }
}

/// A path template and its grantees, written `cars/{owner}/{*file}=owner,staff`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    template: Template,
    /// The grantees, with the reason of their decisions, so that no request formats it.
    to: Vec<(Grantee, Arc<str>)>,
}

impl Grant {
    /// Returns a grant to read the paths that a template matches. [`Grantee::Owner`] needs the variable `{owner}` in the template.
    pub fn new(template: Template, to: impl IntoIterator<Item = Grantee>) -> Result<Self, GrantError> {
        let to: Vec<_> = to
            .into_iter()
            .map(|to| {
                let reason = format!("{to}, by grant {template}").into();
                (to, reason)
            })
            .collect();
        if to.is_empty() {
            return Err(GrantError { grant: template.to_string(), problem: Problem::NoGrantee });
        }
        if to.iter().any(|(to, _)| *to == Grantee::Owner) && !template.has_variable("owner") {
            return Err(GrantError { grant: template.to_string(), problem: Problem::NoOwner });
        }
        Ok(Self { template, to })
    }

    /// Returns the template.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// Returns the grantees.
    pub fn to(&self) -> impl Iterator<Item = &Grantee> {
        self.to.iter().map(|(to, _)| to)
    }

    fn grantees(&self) -> String {
        self.to().map(Grantee::to_string).collect::<Vec<_>>().join(",")
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.template, self.grantees())
    }
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let error = |problem| GrantError { grant: text.to_owned(), problem };
        let (template, grantees) = text.rsplit_once('=').ok_or_else(|| error(Problem::Form))?;
        let grantees = grantees.split(',').map(str::parse).collect::<Result<Vec<Grantee>, _>>();
        let grantees = grantees.map_err(|unknown| error(Problem::Grantee(unknown)))?;
        let template = template.parse().map_err(|invalid| error(Problem::Template(invalid)))?;
        Self::new(template, grantees)
    }
}

/// A user, or a set of users, that a grant allows to read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grantee {
    /// The user whose id is the value of `{owner}`.
    Owner,
    /// Users who are staff.
    Staff,
    /// Every signed-in user.
    Authenticated,
    /// The users of a group.
    Group(String),
    /// The user with this id.
    User(String),
    /// Everyone, signed in or not.
    Everyone,
}

impl Grantee {
    fn names(&self, identity: &Identity, captures: &Captures<'_>) -> bool {
        let user = |test: &dyn Fn(&User) -> bool| identity.user().is_some_and(test);
        match self {
            Self::Owner => user(&|user| captures.get("owner") == Some(user.id())),
            Self::Staff => user(&User::is_staff),
            Self::Authenticated => user(&|_| true),
            Self::Group(group) => user(&|user| user.in_group(group)),
            Self::User(id) => user(&|user| user.id() == id),
            Self::Everyone => true,
        }
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("owner"),
            Self::Staff => f.write_str("staff"),
            Self::Authenticated => f.write_str("authenticated"),
            Self::Group(group) => write!(f, "group:{group}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Everyone => f.write_str("everyone"),
        }
    }
}

impl FromStr for Grantee {
    type Err = GranteeError;

    fn from_str(text: &str) -> Result<Self, GranteeError> {
        Ok(match text.trim() {
            "owner" => Self::Owner,
            "staff" => Self::Staff,
            "authenticated" => Self::Authenticated,
            "everyone" => Self::Everyone,
            text => match text.split_once(':') {
                Some(("group", group)) if !group.is_empty() => Self::Group(group.to_owned()),
                Some(("user", id)) if !id.is_empty() => Self::User(id.to_owned()),
                _ => return Err(GranteeError(text.to_owned())),
            },
        })
    }
}

/// The error of an invalid [`Grant`]. It contains the grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantError {
    grant: String,
    problem: Problem,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Problem {
    Form,
    Template(TemplateError),
    Grantee(GranteeError),
    NoGrantee,
    NoOwner,
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid grant {:?}: ", self.grant)?;
        match &self.problem {
            Problem::Form => f.write_str("expected TEMPLATE=GRANTEES, e.g. cars/{owner}/{*file}=owner,staff"),
            Problem::Template(error) => error.fmt(f),
            Problem::Grantee(error) => error.fmt(f),
            Problem::NoGrantee => f.write_str("no grantee; name one, e.g. staff"),
            Problem::NoOwner => f.write_str("the grantee owner needs {owner} in the path"),
        }
    }
}

/// The error of an invalid [`Grantee`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GranteeError(String);

impl fmt::Display for GranteeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown grantee {:?}; expected owner, staff, authenticated, group:NAME, user:ID or everyone",
            self.0
        )
    }
}

impl std::error::Error for GranteeError {}

impl std::error::Error for GrantError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn people() -> [(&'static str, Identity); 5] {
        [
            ("alice", User::new("7").name("alice").into()),
            ("bob", User::new("8").name("bob").into()),
            ("carol", User::new("9").name("carol").staff(true).into()),
            ("dave", User::new("10").name("dave").group("sales").into()),
            ("nobody", Identity::Anonymous),
        ]
    }

    #[test]
    fn grants_allow_only_their_grantees() {
        for (grant, path, allowed) in [
            ("cars/{owner}/{*file}=owner", "cars/7/a.jpg", &["alice"][..]),
            ("cars/{owner}/{*file}=owner,staff", "cars/7/a.jpg", &["alice", "carol"]),
            ("cars/{owner}/{*file}=owner", "cars/07/a.jpg", &[]),
            ("cars/{owner}/{*file}=owner", "cars/alice/a.jpg", &[]),
            ("cars/{owner}/{*file}=owner", "trucks/7/a.jpg", &[]),
            ("{*file}=staff", "x", &["carol"]),
            ("{*file}=authenticated", "x", &["alice", "bob", "carol", "dave"]),
            ("{*file}=everyone", "x", &["alice", "bob", "carol", "dave", "nobody"]),
            ("{*file}=group:sales", "x", &["dave"]),
            ("{*file}=user:8", "x", &["bob"]),
            ("{*file}=user:8, user:10", "x", &["bob", "dave"]),
            ("a=b/{owner}=owner", "a=b/7", &["alice"]),
        ] {
            let grants: Grants = grant.parse().unwrap();
            let path = MediaPath::new(path).unwrap();
            for (name, identity) in people() {
                let decision = grants.decide(&identity, &path);
                assert_eq!(
                    decision.is_allowed(),
                    allowed.contains(&name),
                    "{grant} {path} {name}: {decision}"
                );
            }
        }
    }

    #[test]
    fn any_matching_grant_allows_access() {
        let grants = Grants::new(["a/{*f}=user:7".parse().unwrap(), "{*f}=user:8".parse().unwrap()]);
        let path = MediaPath::new("a/b").unwrap();
        let names: Vec<_> = people()
            .into_iter()
            .filter(|(_, who)| grants.decide(who, &path).is_allowed())
            .map(|(n, _)| n)
            .collect();
        assert_eq!(names, ["alice", "bob"]);
        assert!(people().iter().all(|(_, who)| !Grants::new([]).decide(who, &path).is_allowed()));
    }

    proptest! {
        /// Grants that are skipped by their first segment do not match.
        #[test]
        fn the_first_matching_grant_decides(
            templates in prop::collection::vec("(cars|a|\\{x\\})(/(b|\\{y\\}))?(/\\{\\*z\\})?", 0..8),
            path in "(cars|a|c)(/(b|c)){0,3}",
        ) {
            let grants: Vec<Grant> = templates.iter().enumerate()
                .map(|(number, template)| format!("{template}=user:{number},everyone").parse().unwrap())
                .collect();
            let path = MediaPath::new(&path).unwrap();
            let first = grants.iter().find(|grant| grant.template.captures(&path).is_some());
            let expected = first.map_or("no grant matches the path".into(), |grant| format!("everyone, by grant {}", grant.template));
            let decision = Grants::new(grants.clone()).decide(&Identity::Anonymous, &path);
            prop_assert_eq!(decision.reason(), expected);
            prop_assert_eq!(decision.is_allowed(), first.is_some());
        }
    }

    #[test]
    fn by_default_staff_may_read_everything() {
        let grants = Grants::default();
        assert_eq!(grants.iter().map(Grant::to_string).collect::<Vec<_>>(), ["{*file}=staff"]);
    }

    #[test]
    fn decisions_have_a_reason() {
        let grants: Grants = "cars/{owner}/{*file}=owner,staff".parse().unwrap();
        let [(_, alice), (_, bob), .., (_, nobody)] = people();
        let (car, other) = (MediaPath::new("cars/7/a").unwrap(), MediaPath::new("x").unwrap());
        for (who, path, text) in [
            (&alice, &car, "allowed: owner, by grant cars/{owner}/{*file}"),
            (
                &bob,
                &car,
                "denied: user 8 is not granted access; grant cars/{owner}/{*file} is for owner,staff",
            ),
            (&nobody, &car, "denied: not signed in; grant cars/{owner}/{*file} is for owner,staff"),
            (&alice, &other, "denied: no grant matches the path"),
        ] {
            assert_eq!(grants.decide(who, path).to_string(), text);
        }
    }

    #[test]
    fn errors_contain_the_invalid_grant() {
        for (text, part) in [
            ("cars", "expected TEMPLATE=GRANTEES"),
            ("cars/{owner}=", "unknown grantee \"\""),
            ("cars/{owner}=onwer", "unknown grantee \"onwer\""),
            ("cars/{owner}=group:", "unknown grantee \"group:\""),
            ("cars/{id}=owner", "needs {owner}"),
            ("/cars=staff", "a segment is empty"),
            ("=staff", "empty"),
        ] {
            let error = text.parse::<Grant>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
            // Also as one of several.
            let error = format!("a/{{*b}}=staff; {text}\nc=staff").parse::<Grants>().unwrap_err();
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
        let error = "a=staff; cars/{owner}=onwer; b=staff".parse::<Grants>().unwrap_err().to_string();
        assert!(error.starts_with("invalid grant \"cars/{owner}=onwer\": "), "{error}");
    }

    #[test]
    fn lists_are_separated_by_semicolons_or_line_breaks() {
        for (text, expected) in [
            ("a=staff", &["a=staff"][..]),
            ("a=staff;b=everyone", &["a=staff", "b=everyone"]),
            (" a=staff ;\n\n b=owner,staff/x=user:1 ;", &["a=staff", "b=owner,staff/x=user:1"]),
            ("a=staff\r\nb=everyone\r\n", &["a=staff", "b=everyone"]),
        ] {
            let grants: Grants = text.parse().unwrap();
            assert_eq!(grants.iter().map(Grant::to_string).collect::<Vec<_>>(), expected, "{text:?}");
        }
        for empty in ["", " ", ";", "\n;\n"] {
            assert!(empty.parse::<Grants>().is_err(), "{empty:?} would deny everything");
        }
    }
}
