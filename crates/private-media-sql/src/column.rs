//! The columns of a lookup's query.

use std::fmt;

use private_media::permission::Template;

/// What a column is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Column {
    Owner,
    Group,
    Name,
    ContentType,
    Public,
    NotBefore,
    NotAfter,
    /// A variable of the path: the row is that of the path only if both are the same text.
    Variable(String),
}

/// The type of a value, as far as columns differ by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Boolean,
    Text,
    Time,
    /// Any other type, for example bytes.
    Other,
}

const NAMES: [(&str, Column); 7] = [
    ("owner", Column::Owner),
    ("group", Column::Group),
    ("name", Column::Name),
    ("content_type", Column::ContentType),
    ("public", Column::Public),
    ("not_before", Column::NotBefore),
    ("not_after", Column::NotAfter),
];

impl Column {
    /// Parses the names of all columns of a query.
    pub(crate) fn parse_all<'a>(
        names: impl IntoIterator<Item = &'a str>,
        path: &Template,
    ) -> Result<Vec<Self>, String> {
        let mut columns = vec![];
        for name in names {
            let column = Self::parse(name, path)?;
            if columns.contains(&column) {
                return Err(format!("two columns are named {name}"));
            }
            columns.push(column);
        }
        if columns.is_empty() {
            return Err("it returns no columns; select e.g. owner_id as owner".into());
        }
        Ok(columns)
    }

    fn parse(name: &str, path: &Template) -> Result<Self, String> {
        if let Some((_, known)) = NAMES.iter().find(|(own, _)| *own == name) {
            return Ok(known.clone());
        }
        if path.has_variable(name) {
            return Ok(Self::Variable(name.to_owned()));
        }
        let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).chain(path.variables()).collect();
        Err(format!(
            "unknown column {name:?}; expected one of {}: write e.g. {name} as owner",
            names.join(", ")
        ))
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Variable(name) => name,
            known => NAMES.iter().find(|(_, column)| column == known).map_or("", |(name, _)| name),
        }
    }

    /// Returns whether the column can have values of this type.
    pub(crate) fn accepts(&self, kind: Kind) -> bool {
        match self {
            Self::Owner | Self::Group | Self::Variable(_) => matches!(kind, Kind::Integer | Kind::Text),
            Self::Name | Self::ContentType => kind == Kind::Text,
            Self::Public => matches!(kind, Kind::Boolean | Kind::Integer),
            Self::NotBefore | Self::NotAfter => matches!(kind, Kind::Time | Kind::Integer | Kind::Text),
        }
    }

    /// Returns the error of a value of another type, by the database's name of that type.
    pub(crate) fn type_error(&self, type_name: &str) -> String {
        let expected = match self {
            Self::Owner | Self::Group | Self::Variable(_) => "an integer, a text or a uuid",
            Self::Name | Self::ContentType => "a text",
            Self::Public => "a boolean, 0 or 1",
            Self::NotBefore | Self::NotAfter => "a timestamp, or an integer of seconds since 1970",
        };
        format!("the column {self} has the type {type_name}; expected {expected}: convert it in the query")
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let path: Template = "blobs/{key}/{name}".parse().unwrap();
        let columns = Column::parse_all(["owner", "group", "not_after", "key", "name"], &path).unwrap();
        let variable = Column::Variable("key".into());
        assert_eq!(columns, [Column::Owner, Column::Group, Column::NotAfter, variable, Column::Name]);
        for (names, part) in [
            (&["owner_id"][..], "unknown column \"owner_id\"; expected one of owner, group, name"),
            (&["Owner"], "unknown column \"Owner\""),
            (&["?column?"], "unknown column"),
            (&["owner", "name", "owner"], "two columns are named owner"),
            (&[], "no columns"),
        ] {
            let error = Column::parse_all(names.iter().copied(), &path).unwrap_err();
            assert!(error.contains(part), "{names:?}: {error}");
        }
    }

    #[test]
    fn each_column_names_itself_in_errors() {
        for (name, column) in NAMES {
            assert!(column.type_error("BLOB").starts_with(&format!("the column {name} has the type BLOB;")));
            assert!(!column.accepts(Kind::Other), "{name}");
        }
    }
}
