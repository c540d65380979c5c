//! Permission said in a line: a path template, and to whom.

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

/// Allows whoever a grant names to read what the grant's template matches; nothing else allows.
///
/// [`Grants::default`] has one grant: everything, to staff.
///
/// ```
/// use private_media::{Grants, Identity, MediaPath, User, permission::Grant};
///
/// let grants = Grants::new([
///     "cars/{owner}/{*file}=owner,staff".parse::<Grant>()?,
///     "shared/{*file}=authenticated".parse()?,
/// ]);
/// let path = MediaPath::new("cars/7/photo.jpg").unwrap();
/// assert!(grants.decide(&User::new("7").into(), &path).is_allowed());
/// assert!(!grants.decide(&User::new("8").into(), &path).is_allowed());
/// assert!(!grants.decide(&Identity::Anonymous, &path).is_allowed());
/// # Ok::<(), private_media::permission::GrantError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    all: Vec<Grant>,
    /// Which of them begin with this segment, so that the others need not be looked at.
    by_first: HashMap<String, Vec<usize>>,
    /// Which of them begin with a variable.
    open: Vec<usize>,
}

impl Grants {
    /// Permissions of these grants. No grant at all allows nobody.
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

    /// May this identity read this path? Pure, so that a table or a fuzzer can ask.
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
        let who = identity.user().map_or("nobody is signed in", |_| "the user is not among them");
        match first_mismatch {
            Some(grant) => {
                Decision::deny(format!("{who}, and grant {} is to {}", grant.template, grant.whom()))
            }
            None => Decision::deny("no grant matches the path"),
        }
    }

    /// The grants that may match, in order.
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

    /// The grants, in order.
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

    /// One grant, as [`Grant`] is written.
    fn from_str(text: &str) -> Result<Self, GrantError> {
        Ok(Self::new([text.parse()?]))
    }
}

/// One path template and to whom it is granted, written `cars/{owner}/{*file}=owner,staff`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    template: Template,
    // Each with the reason that a decision by it gives, made once and not at each request.
    to: Vec<(Grantee, Arc<str>)>,
}

impl Grant {
    /// A grant of what the template matches. [`Grantee::Owner`] needs the variable `{owner}` in it.
    pub fn new(template: Template, to: impl IntoIterator<Item = Grantee>) -> Result<Self, GrantError> {
        let to: Vec<_> = to
            .into_iter()
            .map(|to| {
                let reason = format!("{to}, by grant {template}").into();
                (to, reason)
            })
            .collect();
        if to.is_empty() {
            return Err(GrantError::ToNobody(template.to_string()));
        }
        if to.iter().any(|(to, _)| *to == Grantee::Owner) && !template.has_variable("owner") {
            return Err(GrantError::NoOwner(template.to_string()));
        }
        Ok(Self { template, to })
    }

    /// What it is about.
    #[must_use]
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// To whom it is granted.
    pub fn to(&self) -> impl Iterator<Item = &Grantee> {
        self.to.iter().map(|(to, _)| to)
    }

    fn whom(&self) -> String {
        self.to().map(Grantee::to_string).collect::<Vec<_>>().join(",")
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.template, self.whom())
    }
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let (template, whom) = text.rsplit_once('=').ok_or_else(|| GrantError::Form(text.to_owned()))?;
        let to: Vec<Grantee> = whom.split(',').map(str::parse).collect::<Result<_, _>>()?;
        Self::new(template.parse()?, to)
    }
}

/// Whom a grant names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grantee {
    /// The user whose id stands at `{owner}` in the path.
    Owner,
    /// Users who are staff.
    Staff,
    /// Everybody who is signed in.
    Authenticated,
    /// The users of a group.
    Group(String),
    /// The user with this id.
    User(String),
    /// Everybody, signed in or not.
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
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        Ok(match text.trim() {
            "owner" => Self::Owner,
            "staff" => Self::Staff,
            "authenticated" => Self::Authenticated,
            "everyone" => Self::Everyone,
            text => match text.split_once(':') {
                Some(("group", group)) if !group.is_empty() => Self::Group(group.to_owned()),
                Some(("user", id)) if !id.is_empty() => Self::User(id.to_owned()),
                _ => return Err(GrantError::To(text.to_owned())),
            },
        })
    }
}

/// A text or a combination that is no [`Grant`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantError {
    /// No `=` between the template and to whom.
    Form(String),
    /// The template is not legal.
    Template(TemplateError),
    /// No such word for whom a grant names.
    To(String),
    /// It names nobody.
    ToNobody(String),
    /// It is to the owner, and the template does not say who that is.
    NoOwner(String),
}

impl From<TemplateError> for GrantError {
    fn from(error: TemplateError) -> Self {
        Self::Template(error)
    }
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form(text) => {
                write!(
                    f,
                    "grant {text:?}: write it TEMPLATE=WHOM, such as cars/{{owner}}/{{*file}}=owner,staff"
                )
            }
            Self::Template(error) => error.fmt(f),
            Self::To(text) => write!(
                f,
                "{text:?} names nobody a grant knows; write owner, staff, authenticated, group:NAME, user:ID or everyone"
            ),
            Self::ToNobody(template) => {
                write!(f, "grant {template:?}: it is to nobody; say to whom, such as staff")
            }
            Self::NoOwner(template) => {
                write!(
                    f,
                    "grant {template:?}: it is to the owner, so the path needs {{owner}} where the owner's id stands"
                )
            }
        }
    }
}

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
    fn whom_a_grant_names() {
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
    fn any_grant_allows_and_nothing_else_does() {
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
        /// Those that are not looked at would not have matched, and the order stays.
        #[test]
        fn the_first_that_matches_is_found(
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
    fn the_default_is_everything_to_staff() {
        let grants = Grants::default();
        assert_eq!(grants.iter().map(Grant::to_string).collect::<Vec<_>>(), ["{*file}=staff"]);
    }

    #[test]
    fn decisions_say_why() {
        let grants: Grants = "cars/{owner}/{*file}=owner,staff".parse().unwrap();
        let [(_, alice), (_, bob), .., (_, nobody)] = people();
        let (car, other) = (MediaPath::new("cars/7/a").unwrap(), MediaPath::new("x").unwrap());
        for (who, path, text) in [
            (&alice, &car, "allowed: owner, by grant cars/{owner}/{*file}"),
            (
                &bob,
                &car,
                "denied: the user is not among them, and grant cars/{owner}/{*file} is to owner,staff",
            ),
            (&nobody, &car, "denied: nobody is signed in, and grant cars/{owner}/{*file} is to owner,staff"),
            (&alice, &other, "denied: no grant matches the path"),
        ] {
            assert_eq!(grants.decide(who, path).to_string(), text);
        }
    }

    #[test]
    fn refused() {
        for (text, part) in [
            ("cars", "TEMPLATE=WHOM"),
            ("cars/{owner}=", "\"\" names nobody"),
            ("cars/{owner}=onwer", "\"onwer\" names nobody"),
            ("cars/{owner}=group:", "\"group:\" names nobody"),
            ("cars/{id}=owner", "needs {owner}"),
            ("/cars=staff", "begins and ends without '/'"),
            ("=staff", "empty"),
        ] {
            let error = text.parse::<Grant>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
