//! From the values of a row to attributes.

use std::time::SystemTime;

use private_media::delivery::ContentType;
use private_media::lookup::Attributes;

use crate::column::Column;
use crate::timestamp;
use crate::value::Value;

/// The longest owner, group, name or path in a row, in bytes.
const MAX_LEN: usize = 4096;

/// Returns whether a row is that of a path: each column that is named as a variable is the same text. `variable` returns the value of a
/// variable.
pub(crate) fn is_of_path<'a>(
    columns: &[Column],
    values: &[Value],
    variable: impl Fn(&str) -> Option<&'a str>,
) -> Result<bool, String> {
    for (column, value) in columns.iter().zip(values) {
        if let Column::Variable(name) = column {
            match identifier(value) {
                Some(found) if Some(found.as_str()) == variable(name) => {}
                None if *value != Value::Null => return Err(column.type_error(&type_name(value))),
                Some(_) | None => return Ok(false),
            }
        }
    }
    Ok(true)
}

/// Returns the attributes of a row.
pub(crate) fn attributes(
    columns: &[Column],
    values: impl IntoIterator<Item = Value>,
) -> Result<Attributes, String> {
    let mut attributes = Attributes::new();
    for (column, value) in columns.iter().zip(values) {
        let type_error = |value: &Value| Err(column.type_error(&type_name(value)));
        attributes = match (column, value) {
            (Column::Owner, Value::Null) => attributes.without_owner(),
            (Column::Owner, value) => match identifier(&value) {
                // The id of no user.
                Some(id) if id.is_empty() => attributes.without_owner(),
                Some(id) => attributes.owner(bounded(column, id)?),
                None => return type_error(&value),
            },
            (
                Column::Group | Column::Name | Column::ContentType | Column::NotBefore | Column::NotAfter,
                Value::Null,
            )
            | (Column::Variable(_), _) => attributes,
            (Column::Group, value) => match identifier(&value) {
                Some(name) if name.is_empty() => attributes,
                Some(name) => attributes.group(bounded(column, name)?),
                None => return type_error(&value),
            },
            (Column::Name | Column::ContentType, Value::Text(text)) if text.is_empty() => attributes,
            (Column::Name, Value::Text(name)) => attributes.name(&bounded(column, name)?),
            (Column::ContentType, Value::Text(text)) => {
                let content_type = ContentType::parse(&text);
                attributes
                    .content_type(content_type.map_err(|error| format!("the column {column}: {error}"))?)
            }
            (Column::Public, Value::Null | Value::Boolean(false) | Value::Integer(0)) => {
                attributes.public(false)
            }
            (Column::Public, Value::Boolean(true) | Value::Integer(1)) => attributes.public(true),
            (Column::Public, Value::Integer(number)) => {
                return Err(format!("the column {column} is {number}; expected a boolean, 0 or 1"));
            }
            (Column::NotBefore, value) => attributes.not_before(time(column, &value)?),
            (Column::NotAfter, value) => attributes.not_after(time(column, &value)?),
            (Column::Name | Column::ContentType | Column::Public, value) => return type_error(&value),
        };
    }
    Ok(attributes)
}

/// Returns a value that names a user, a group or a file.
fn identifier(value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn bounded(column: &Column, text: String) -> Result<String, String> {
    if text.len() <= MAX_LEN {
        Ok(text)
    } else {
        Err(format!("the column {column} has {} bytes; expected at most {MAX_LEN}", text.len()))
    }
}

fn time(column: &Column, value: &Value) -> Result<SystemTime, String> {
    let invalid = |value: &dyn std::fmt::Display| {
        format!("the column {column} is {value}; expected a timestamp in UTC, or seconds since 1970")
    };
    match value {
        Value::Time(time) => Ok(*time),
        Value::Integer(number) => {
            let seconds = i64::try_from(*number).ok().and_then(timestamp::from_seconds);
            seconds.ok_or_else(|| invalid(number))
        }
        Value::Text(text) => {
            let shown = || text.chars().take(40).collect::<String>();
            timestamp::parse(text).ok_or_else(|| invalid(&format_args!("{:?}", shown())))
        }
        other => Err(column.type_error(&type_name(other))),
    }
}

fn type_name(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Integer(_) => "integer".into(),
        Value::Boolean(_) => "boolean".into(),
        Value::Text(_) => "text".into(),
        Value::Time(_) => "timestamp".into(),
        Value::Other(name) => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    fn of(column: Column, value: Value) -> Result<Attributes, String> {
        attributes(&[column], [value])
    }

    #[test]
    fn values_become_attributes() {
        let none = Attributes::new();
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let png = ContentType::parse("image/png").unwrap();
        for (column, value, expected) in [
            (Column::Owner, Value::Integer(7), none.clone().owner("7")),
            (Column::Owner, Value::Integer(i128::from(u64::MAX)), none.clone().owner("18446744073709551615")),
            (Column::Owner, text("alice"), none.clone().owner("alice")),
            (Column::Owner, text(""), none.clone().without_owner()),
            (Column::Owner, Value::Null, none.clone().without_owner()),
            (Column::Group, text("sales"), none.clone().group("sales")),
            (Column::Group, Value::Integer(3), none.clone().group("3")),
            (Column::Group, text(""), none.clone()),
            (Column::Group, Value::Null, none.clone()),
            (Column::Name, text("a/b\r\nc.jpg"), none.clone().name("bc.jpg")),
            (Column::Name, text(""), none.clone()),
            (Column::Name, Value::Null, none.clone()),
            (Column::ContentType, text("image/PNG"), none.clone().content_type(png)),
            (Column::ContentType, text(""), none.clone()),
            (Column::ContentType, Value::Null, none.clone()),
            (Column::Public, Value::Boolean(true), none.clone().public(true)),
            (Column::Public, Value::Integer(1), none.clone().public(true)),
            (Column::Public, Value::Boolean(false), none.clone()),
            (Column::Public, Value::Integer(0), none.clone()),
            (Column::Public, Value::Null, none.clone()),
            (Column::NotBefore, Value::Integer(5), none.clone().not_before(time(5))),
            (Column::NotAfter, Value::Time(time(6)), none.clone().not_after(time(6))),
            (Column::NotAfter, text("1970-01-01 00:00:07"), none.clone().not_after(time(7))),
            (Column::NotAfter, Value::Null, none.clone()),
            (Column::Variable("key".into()), text("x7"), none.clone()),
            (Column::Variable("key".into()), Value::Null, none.clone()),
        ] {
            assert_eq!(of(column.clone(), value.clone()), Ok(expected), "{column} {value:?}");
        }
    }

    #[test]
    fn invalid_values_are_errors() {
        let time = Value::Time(SystemTime::now());
        for (column, value, part) in [
            (Column::Owner, Value::Boolean(true), "the column owner has the type boolean"),
            (Column::Owner, Value::Other("BLOB".into()), "the column owner has the type BLOB"),
            (Column::Owner, time.clone(), "the type timestamp"),
            (Column::Owner, text(&"x".repeat(5000)), "has 5000 bytes"),
            (Column::Group, Value::Other("REAL".into()), "the type REAL"),
            (Column::Name, Value::Integer(1), "the column name has the type integer"),
            (Column::Name, text(&"x".repeat(5000)), "has 5000 bytes"),
            (Column::ContentType, Value::Integer(1), "the type integer"),
            (Column::ContentType, text("png"), "invalid media type \"png\""),
            (Column::ContentType, text("image/png\r\nx: y"), "invalid media type"),
            (Column::Public, Value::Integer(2), "the column public is 2"),
            (Column::Public, Value::Integer(-1), "the column public is -1"),
            (Column::Public, text("true"), "the type text"),
            (Column::NotBefore, Value::Boolean(true), "the type boolean"),
            (Column::NotAfter, Value::Integer(1_795_927_585_000), "is 1795927585000; expected"),
            (Column::NotAfter, Value::Integer(i128::MAX), "expected a timestamp"),
            (Column::NotAfter, text("soon"), "is \"soon\"; expected"),
            (Column::NotAfter, Value::Other("REAL".into()), "the type REAL"),
        ] {
            let error = of(column, value.clone()).unwrap_err();
            assert!(error.contains(part), "{value:?}: {error}");
        }
    }

    #[test]
    fn a_row_is_that_of_a_path_if_its_variables_are_the_same_text() {
        let columns = [Column::Public, Column::Variable("key".into())];
        let is_of_path = |value: Value| {
            is_of_path(&columns, &[Value::Integer(1), value], |name| (name == "key").then_some("x7"))
        };
        for (value, expected) in [
            (text("x7"), true),
            (text("X7"), false),
            (text("x7 "), false),
            (text(""), false),
            (Value::Integer(7), false),
            (Value::Null, false),
        ] {
            assert_eq!(is_of_path(value.clone()), Ok(expected), "{value:?}");
        }
        let error = is_of_path(Value::Other("BLOB".into())).unwrap_err();
        assert!(error.contains("the column key has the type BLOB"), "{error}");
        let number = super::is_of_path(&columns, &[Value::Null, Value::Integer(7)], |_| Some("7"));
        assert_eq!(number, Ok(true));
    }
}
