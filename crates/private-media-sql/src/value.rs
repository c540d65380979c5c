//! Values of rows, read from each database.

use std::time::SystemTime;

use sqlx::mysql::MySqlRow;
use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, TypeInfo, ValueRef};

use crate::column::Kind;
use crate::parameter::is_uuid;
use crate::timestamp;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Integer(i128),
    Boolean(bool),
    Text(String),
    Time(SystemTime),
    /// A value of another type, by the database's name of that type.
    Other(String),
}

/// A row that values are read from.
pub(crate) trait ReadValue: Row {
    /// Returns the value of a column. A value that cannot be decoded is an error of the database.
    fn value(&self, index: usize) -> Result<Value, sqlx::Error>;

    /// Returns the kind of a type, by the database's name of it. `None` if it depends on the value.
    fn kind(type_name: &str) -> Option<Kind>;
}

impl ReadValue for SqliteRow {
    fn value(&self, index: usize) -> Result<Value, sqlx::Error> {
        let raw = self.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let type_info = raw.type_info();
        Ok(match type_info.name() {
            "INTEGER" => Value::Integer(self.try_get_unchecked::<i64, _>(index)?.into()),
            "TEXT" => Value::Text(self.try_get_unchecked(index)?),
            other => Value::Other(other.to_owned()),
        })
    }

    fn kind(_: &str) -> Option<Kind> {
        None
    }
}

impl ReadValue for PgRow {
    fn value(&self, index: usize) -> Result<Value, sqlx::Error> {
        let raw = self.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let type_info = raw.type_info().into_owned();
        let value = match type_info.name() {
            "INT2" => Value::Integer(self.try_get_unchecked::<i16, _>(index)?.into()),
            "INT4" => Value::Integer(self.try_get_unchecked::<i32, _>(index)?.into()),
            "INT8" => Value::Integer(self.try_get_unchecked::<i64, _>(index)?.into()),
            "BOOL" => Value::Boolean(self.try_get_unchecked(index)?),
            // `char(n)` is padded.
            "CHAR" => {
                Value::Text(raw.as_str().map_err(sqlx::Error::Decode)?.trim_end_matches(' ').to_owned())
            }
            "TEXT" | "VARCHAR" | "NAME" | "citext" => {
                Value::Text(raw.as_str().map_err(sqlx::Error::Decode)?.to_owned())
            }
            "UUID" => Value::Text(uuid(&bytes(&raw)?)),
            "TIMESTAMP" | "TIMESTAMPTZ" => time(timestamp::from_postgres(i64::from_be_bytes(bytes(&raw)?)))?,
            "DATE" => time(timestamp::from_postgres_date(i32::from_be_bytes(bytes(&raw)?)))?,
            other => Value::Other(other.to_owned()),
        };
        Ok(value)
    }

    fn kind(type_name: &str) -> Option<Kind> {
        Some(match type_name {
            "INT2" | "INT4" | "INT8" => Kind::Integer,
            "BOOL" => Kind::Boolean,
            "CHAR" | "TEXT" | "VARCHAR" | "NAME" | "citext" | "UUID" => Kind::Text,
            "TIMESTAMP" | "TIMESTAMPTZ" | "DATE" => Kind::Time,
            _ => Kind::Other,
        })
    }
}

impl ReadValue for MySqlRow {
    fn value(&self, index: usize) -> Result<Value, sqlx::Error> {
        let raw = self.try_get_raw(index)?;
        if raw.is_null() {
            return Ok(Value::Null);
        }
        let type_info = raw.type_info().into_owned();
        let name = type_info.name();
        Ok(match Self::kind(name) {
            Some(Kind::Integer) if name.ends_with("UNSIGNED") => {
                Value::Integer(self.try_get_unchecked::<u64, _>(index)?.into())
            }
            Some(Kind::Integer) => Value::Integer(self.try_get_unchecked::<i64, _>(index)?.into()),
            Some(Kind::Text) => Value::Text(self.try_get_unchecked(index)?),
            Some(Kind::Time) => time(timestamp::from_mysql(self.try_get_unchecked::<&[u8], _>(index)?))?,
            None => match std::str::from_utf8(self.try_get_unchecked(index)?) {
                Ok(text) if is_uuid(text) => Value::Text(text.to_owned()),
                _ => Value::Other(name.to_owned()),
            },
            _ => Value::Other(name.to_owned()),
        })
    }

    fn kind(type_name: &str) -> Option<Kind> {
        Some(match type_name.strip_suffix(" UNSIGNED").unwrap_or(type_name) {
            // `BOOLEAN` is a name of `TINYINT(1)`.
            "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => Kind::Integer,
            "CHAR" | "VARCHAR" | "TINYTEXT" | "TEXT" | "MEDIUMTEXT" | "LONGTEXT" | "ENUM" => Kind::Text,
            "TIMESTAMP" | "DATETIME" | "DATE" => Kind::Time,
            // MariaDB sends a `uuid` as a text of this type.
            "BINARY" | "NULL" => return None,
            _ => Kind::Other,
        })
    }
}

fn time(time: Option<SystemTime>) -> Result<Value, sqlx::Error> {
    time.map(Value::Time).ok_or_else(|| sqlx::Error::Decode("a timestamp outside the years 0 to 9999".into()))
}

/// Returns the bytes of a value in the binary format.
fn bytes<const N: usize>(raw: &PgValueRef<'_>) -> Result<[u8; N], sqlx::Error> {
    let bytes = raw.as_bytes().map_err(sqlx::Error::Decode)?;
    bytes.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Formats a UUID (RFC 9562 section 4).
fn uuid(bytes: &[u8; 16]) -> String {
    use std::fmt::Write;

    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids() {
        let bytes: [u8; 16] = std::array::from_fn(|index| u8::try_from(index * 17).unwrap());
        assert_eq!(uuid(&bytes), "00112233-4455-6677-8899-aabbccddeeff");
    }
}
