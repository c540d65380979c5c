//! Grants: path templates, and the users who may read the matching paths.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use foldhash::HashMap;
use foldhash::HashMapExt as _;
use futures_core::future::BoxFuture;

use super::action::Action;
use super::context::Context;
use super::decision::Decision;
use super::explanation::Explanation;
use super::permissions::Permissions;
use super::template::{Captures, Template, TemplateError};
use crate::identity::display::Printable;
use crate::identity::{Identity, User};
use crate::lookup::{Attributes, Owner};
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

    /// Parses grants like [`FromStr`]. These are the path templates of the lookups: there, the grantees `owner` and `group` may
    /// be those that a lookup returns.
    ///
    /// ```
    /// use private_media::lookup::Attributes;
    /// use private_media::permission::Template;
    /// use private_media::{Grants, MediaPath, User};
    ///
    /// let blobs: Template = "blobs/{key}".parse()?;
    /// let grants = Grants::parse("blobs/{key}=owner,group", &[blobs])?;
    /// let path = MediaPath::new("blobs/x7Fq2Ab").unwrap();
    /// let attributes = Attributes::new().owner("7").group("sales");
    /// assert!(grants.decide_with(&User::new("7").into(), &path, Some(&attributes)).is_allowed());
    /// assert!(grants.decide_with(&User::new("8").group("sales").into(), &path, Some(&attributes)).is_allowed());
    /// assert!(!grants.decide(&User::new("7").into(), &path).is_allowed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn parse(text: &str, lookups: &[Template]) -> Result<Self, GrantError> {
        let grants = text.split([';', '\n']).map(str::trim).filter(|grant| !grant.is_empty());
        let grants = grants.map(|grant| Grant::parse(grant, lookups)).collect::<Result<Vec<_>, _>>()?;
        if grants.is_empty() {
            return Err(GrantError { grant: text.to_owned(), problem: Problem::Form });
        }
        Ok(Self::new(grants))
    }

    /// Decides whether an identity may read a path.
    #[must_use]
    pub fn decide(&self, identity: &Identity, path: &MediaPath) -> Decision {
        self.decide_with(identity, path, None)
    }

    /// Decides whether an identity may read a path, by the attributes of the file.
    #[must_use]
    pub fn decide_with(
        &self,
        identity: &Identity,
        path: &MediaPath,
        attributes: Option<&Attributes>,
    ) -> Decision {
        for grant in self.candidates(path) {
            let Some(captures) = grant.template.captures(path) else { continue };
            if let Some((_, reason)) =
                grant.to.iter().find(|(to, _)| to.names(identity, &captures, attributes))
            {
                return Decision::allow(Arc::clone(reason));
            }
        }
        Decision::deny(Explanation::of(|text| self.explain_denial(identity, path, attributes, text)))
    }

    /// Writes the client, and what each grant that matches the path requires.
    fn explain_denial(
        &self,
        identity: &Identity,
        path: &MediaPath,
        attributes: Option<&Attributes>,
        text: &mut Explanation,
    ) -> fmt::Result {
        let mut matching =
            self.candidates(path).filter_map(|grant| Some((grant, grant.template.captures(path)?)));
        let Some((grant, captures)) = matching.next() else {
            return text.write_str("no grant matches the path");
        };
        write!(text, "{identity} is ")?;
        grant.explain_denial(&captures, attributes, text)?;
        for (grant, captures) in matching {
            text.write_str("; ")?;
            grant.explain_denial(&captures, attributes, text)?;
        }
        Ok(())
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

    fn may_with<'a>(
        &'a self,
        identity: &'a Identity,
        action: Action,
        path: &'a MediaPath,
        context: Context<'a>,
    ) -> BoxFuture<'a, Decision> {
        match action {
            Action::Read => {
                Box::pin(std::future::ready(self.decide_with(identity, path, context.attributes())))
            }
            _ => self.may(identity, action, path),
        }
    }
}

impl FromStr for Grants {
    type Err = GrantError;

    /// Parses grants that are separated by `;` or line breaks. Empty ones are skipped. At least one is required.
    fn from_str(text: &str) -> Result<Self, GrantError> {
        Self::parse(text, &[])
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
    /// Returns a grant to read the paths that a template matches. [`Grantee::Owner`] needs the variable `{owner}` in the template, and
    /// [`Grantee::FileGroup`] is an error.
    pub fn new(template: Template, to: impl IntoIterator<Item = Grantee>) -> Result<Self, GrantError> {
        Self::with_lookups(template, to, &[])
    }

    /// Returns a grant to read what the template matches. [`Grantee::Owner`] and [`Grantee::FileGroup`] may be those that a lookup
    /// finds: then one of these templates, the paths of lookups, has to match some of the same paths.
    pub fn with_lookups(
        template: Template,
        to: impl IntoIterator<Item = Grantee>,
        lookups: &[Template],
    ) -> Result<Self, GrantError> {
        let to: Vec<_> = to
            .into_iter()
            .map(|to| {
                let reason = format!("{to}, by grant {template}").into();
                (to, reason)
            })
            .collect();
        let error = |problem| Err(GrantError { grant: template.to_string(), problem });
        let names = |grantee| to.iter().any(|(to, _)| *to == grantee);
        let has_lookup = lookups.iter().any(|lookup| lookup.overlaps(&template));
        if to.is_empty() {
            return error(Problem::NoGrantee);
        }
        if names(Grantee::Owner) && !has_lookup && !template.has_variable("owner") {
            return error(Problem::NoOwner);
        }
        if names(Grantee::FileGroup) && !has_lookup {
            return error(Problem::NoGroup);
        }
        Ok(Self { template, to })
    }

    /// Parses a grant like [`FromStr`], with the paths of lookups as in [`with_lookups`](Self::with_lookups).
    pub fn parse(text: &str, lookups: &[Template]) -> Result<Self, GrantError> {
        let error = |problem| GrantError { grant: text.to_owned(), problem };
        let (template, grantees) = text.rsplit_once('=').ok_or_else(|| error(Problem::Form))?;
        let grantees = grantees.split(',').map(str::parse).collect::<Result<Vec<Grantee>, _>>();
        let grantees = grantees.map_err(|unknown| error(Problem::Grantee(unknown)))?;
        let template = template.parse().map_err(|invalid| error(Problem::Template(invalid)))?;
        Self::with_lookups(template, grantees, lookups)
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

    /// Writes the grantees, none of which the client is: `neither owner (7) nor staff, by grant cars/{owner}/{*file}`.
    fn explain_denial(
        &self,
        captures: &Captures<'_>,
        attributes: Option<&Attributes>,
        text: &mut Explanation,
    ) -> fmt::Result {
        text.write_str(if self.to.len() == 1 { "not " } else { "neither " })?;
        for (number, to) in self.to().enumerate() {
            match number {
                0 => {}
                _ if number + 1 == self.to.len() => text.write_str(" nor ")?,
                _ => text.write_str(", ")?,
            }
            write!(text, "{to}")?;
            match to {
                Grantee::Owner => {
                    write!(text, " ({})", Printable(owner(captures, attributes).unwrap_or("nobody")))?;
                }
                Grantee::FileGroup => {
                    let group = attributes.and_then(Attributes::group_name);
                    write!(text, " ({})", Printable(group.unwrap_or("none")))?;
                }
                _ => {}
            }
        }
        write!(text, ", by grant {}", self.template)
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
        Self::parse(text, &[])
    }
}

/// A user, or a set of users, that a grant allows to read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grantee {
    /// The user whom the file's lookup names as its owner. If it names none, the user whose id is at `{owner}` in the path.
    Owner,
    /// Users who are staff.
    Staff,
    /// Every signed-in user.
    Authenticated,
    /// The users of a group.
    Group(String),
    /// The users of the group that the file's lookup names.
    FileGroup,
    /// The user with this id.
    User(String),
    /// Everyone, signed in or not.
    Everyone,
}

/// Returns the id of the owner of a file, by its lookup or else by its path.
fn owner<'a>(captures: &Captures<'a>, attributes: Option<&'a Attributes>) -> Option<&'a str> {
    match attributes.map(Attributes::owned_by) {
        None | Some(Owner::InPath) => captures.get("owner"),
        Some(Owner::Nobody) => None,
        Some(Owner::User(id)) => Some(id),
    }
}

impl Grantee {
    fn names(&self, identity: &Identity, captures: &Captures<'_>, attributes: Option<&Attributes>) -> bool {
        let user = |test: &dyn Fn(&User) -> bool| identity.user().is_some_and(test);
        match self {
            Self::Owner => user(&|user| owner(captures, attributes) == Some(user.id())),
            Self::FileGroup => {
                let group = attributes.and_then(Attributes::group_name);
                user(&|user| group.is_some_and(|group| user.in_group(group)))
            }
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
            Self::FileGroup => f.write_str("group"),
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
            "group" => Self::FileGroup,
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
    NoGroup,
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid grant {:?}: ", self.grant)?;
        match &self.problem {
            Problem::Form => f.write_str("expected TEMPLATE=GRANTEES, e.g. cars/{owner}/{*file}=owner,staff"),
            Problem::Template(error) => error.fmt(f),
            Problem::Grantee(error) => error.fmt(f),
            Problem::NoGrantee => f.write_str("no grantee; name one, e.g. staff"),
            Problem::NoOwner => {
                f.write_str("the grantee owner needs {owner} in the path, or a lookup that covers the path")
            }
            Problem::NoGroup => f.write_str(
                "the grantee group needs a lookup that covers the path; for the members of one group write group:NAME",
            ),
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
            "unknown grantee {:?}; expected owner, group, staff, authenticated, group:NAME, user:ID or everyone",
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
    use crate::identity::Rejection;

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
    fn attributes_name_the_owner_and_the_group() {
        let lookups = ["blobs/{*key}", "cars/{owner}/{*file}"].map(|lookup| lookup.parse().unwrap());
        let (none, own) = (Attributes::new(), |id: &str| Attributes::new().owner(id));
        let sales = || Attributes::new().group("sales");
        for (grant, path, attributes, allowed) in [
            ("blobs/{key}=owner", "blobs/x", Some(own("8")), &["bob"][..]),
            ("blobs/{key}=owner", "blobs/x", Some(own("bob")), &[]),
            ("blobs/{key}=owner", "blobs/x", Some(own("")), &[]),
            ("blobs/{key}=owner", "blobs/x", Some(none.clone()), &[]),
            ("blobs/{key}=owner", "blobs/x", None, &[]),
            ("blobs/{key}=owner,staff", "blobs/x", Some(none.clone().without_owner()), &["carol"]),
            ("cars/{owner}/{file}=owner", "cars/7/a", Some(none.clone()), &["alice"]),
            ("cars/{owner}/{file}=owner", "cars/7/a", Some(own("8")), &["bob"]),
            ("cars/{owner}/{file}=owner", "cars/7/a", Some(none.clone().without_owner()), &[]),
            ("blobs/{key}=group", "blobs/x", Some(sales()), &["dave"]),
            ("blobs/{key}=group", "blobs/x", Some(none.clone().group("Sales")), &[]),
            ("blobs/{key}=group", "blobs/x", Some(none.clone()), &[]),
            ("blobs/{key}=group", "blobs/x", None, &[]),
            ("blobs/{key}=owner,group", "blobs/x", Some(sales().owner("7")), &["alice", "dave"]),
            ("blobs/{key}=authenticated", "blobs/x", Some(own("8")), &["alice", "bob", "carol", "dave"]),
        ] {
            let grants = Grants::parse(grant, &lookups).unwrap();
            let path = MediaPath::new(path).unwrap();
            for (name, identity) in people() {
                let decision = grants.decide_with(&identity, &path, attributes.as_ref());
                assert_eq!(
                    decision.is_allowed(),
                    allowed.contains(&name),
                    "{grant} {path} {attributes:?} {name}: {decision}"
                );
            }
        }
    }

    #[test]
    fn owner_and_group_need_a_lookup_that_covers_the_path() {
        for (grant, lookup, valid) in [
            ("blobs/{key}=owner,group", "blobs/{key}", true),
            ("blobs/{key}=owner", "{*file}", true),
            ("{*file}=owner", "blobs/{key}", true),
            ("blobs/{key}=owner", "files/{key}", false),
            ("blobs/{key}=group", "files/{key}", false),
            ("blobs/{key}=owner", "blobs/{a}/{b}", false),
            ("blobs/{owner}=owner", "files/{key}", true),
            ("blobs/{key}=staff", "files/{key}", true),
        ] {
            let result = Grant::parse(grant, &[lookup.parse().unwrap()]);
            assert_eq!(result.is_ok(), valid, "{grant} {lookup}: {result:?}");
            assert!(result.is_ok_and(|parsed| parsed.to_string() == grant) == valid, "{grant}");
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
        let [(_, alice), (_, bob), .., (_, nobody)] = people();
        let by_jwt = User::new("8").name("bob").source("jwt").into();
        let expired = Rejection::new("jwt", "the token expired 12 s ago").into();
        let car = "cars/{owner}/{*file}=owner,staff";
        let cars = "cars/{owner}/{*file}=owner; cars/{*file}=group:sales; {*file}=staff,user:10";
        let many = "cars/{owner}/{*file}=owner,staff,group:sales,user:10";
        for (grants, identity, path, text) in [
            (car, &alice, "cars/7/a", "allowed: owner, by grant cars/{owner}/{*file}"),
            (
                car,
                &bob,
                "cars/7/a",
                "denied: bob (id 8) is neither owner (7) nor staff, by grant cars/{owner}/{*file}",
            ),
            (
                car,
                &by_jwt,
                "cars/7/a",
                "denied: bob (id 8, by jwt) is neither owner (7) nor staff, by grant cars/{owner}/{*file}",
            ),
            (
                car,
                &nobody,
                "cars/7/a",
                "denied: anonymous is neither owner (7) nor staff, by grant cars/{owner}/{*file}",
            ),
            (
                car,
                &expired,
                "cars/7/a",
                "denied: anonymous (jwt: the token expired 12 s ago) is neither owner (7) nor staff, by grant cars/{owner}/{*file}",
            ),
            (car, &alice, "x", "denied: no grant matches the path"),
            ("{*file}=staff", &bob, "x", "denied: bob (id 8) is not staff, by grant {*file}"),
            (
                cars,
                &bob,
                "cars/7/a",
                "denied: bob (id 8) is not owner (7), by grant cars/{owner}/{*file}; not group:sales, by grant cars/{*file}; \
                 neither staff nor user:10, by grant {*file}",
            ),
            (
                many,
                &bob,
                "cars/7/a",
                "denied: bob (id 8) is neither owner (7), staff, group:sales nor user:10, by grant cars/{owner}/{*file}",
            ),
        ] {
            let (grants, path): (Grants, _) = (grants.parse().unwrap(), MediaPath::new(path).unwrap());
            assert_eq!(grants.decide(identity, &path).to_string(), text);
        }
    }

    #[test]
    fn denials_name_the_owner_and_the_group_of_the_lookup() {
        let [_, (_, bob), ..] = people();
        let blobs: Template = "blobs/{key}".parse().unwrap();
        let path = MediaPath::new("blobs/x7Fq2Ab").unwrap();
        let grants = Grants::parse("blobs/{key}=owner,group", &[blobs]).unwrap();
        for (attributes, text) in [
            (Some(Attributes::new().owner("7").group("sales")), "neither owner (7) nor group (sales)"),
            (Some(Attributes::new().owner("7")), "neither owner (7) nor group (none)"),
            (Some(Attributes::new()), "neither owner (nobody) nor group (none)"),
            (None, "neither owner (nobody) nor group (none)"),
        ] {
            let decision = grants.decide_with(&bob, &path, attributes.as_ref());
            assert_eq!(decision.reason(), format!("bob (id 8) is {text}, by grant blobs/{{key}}"));
        }
    }

    /// Neither a long path nor a long list of grants makes a long line in the log.
    #[test]
    fn explanations_are_bounded() {
        let [_, (_, bob), ..] = people();
        let owner = "é".repeat(127);
        let path = MediaPath::new(&format!("cars/{owner}/a")).unwrap();
        let shown = "é".repeat(100);
        let grants: Grants = "cars/{owner}/{*file}=owner".parse().unwrap();
        let text = format!("bob (id 8) is not owner ({shown}…), by grant cars/{{owner}}/{{*file}}");
        assert_eq!(grants.decide(&bob, &path).reason(), text);
        let users = (100..10_000).map(|id| Grantee::User(id.to_string()));
        let grants = Grants::new([Grant::new("{*file}".parse().unwrap(), users).unwrap()]);
        let decision = grants.decide(&bob, &path);
        assert!(decision.reason().ends_with('…') && decision.reason().len() < 510, "{decision}");
    }

    #[test]
    fn errors_contain_the_invalid_grant() {
        for (text, part) in [
            ("cars", "expected TEMPLATE=GRANTEES"),
            ("cars/{owner}=", "unknown grantee \"\""),
            ("cars/{owner}=onwer", "unknown grantee \"onwer\""),
            ("cars/{owner}=group:", "unknown grantee \"group:\""),
            ("cars/{id}=owner", "needs {owner}"),
            ("cars/{owner}=group", "needs a lookup"),
            ("/cars=staff", "remove the '/'"),
            ("a//cars=staff", "a segment is empty"),
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
