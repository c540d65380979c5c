//! The parameters of a lookup's query.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgTypeInfo};
use sqlx::{Arguments, Encode, Postgres, Type};

/// A parameter: a variable of the path, and the type that the database gives to it.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) variable: String,
    pub(crate) kind: ParameterType,
}

/// The type of a parameter in PostgreSQL. The other databases convert texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParameterType {
    Text,
    Int2,
    Int4,
    Int8,
    Uuid,
}

impl ParameterType {
    /// Returns the type of a parameter by PostgreSQL's name of it.
    pub(crate) fn postgres(name: &str) -> Option<Self> {
        Some(match name {
            "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "citext" => Self::Text,
            "INT2" => Self::Int2,
            "INT4" => Self::Int4,
            "INT8" => Self::Int8,
            "UUID" => Self::Uuid,
            _ => return None,
        })
    }

    /// Adds a value to the arguments of a query. Returns whether it is a value of this type, in the one spelling that the database
    /// prints: another spelling is another path, which has no row.
    pub(crate) fn add(self, text: &str, to: &mut PgArguments) -> Result<bool, BoxDynError> {
        match self {
            Self::Text => to.add(text)?,
            Self::Int2 => match canonical::<i16>(text) {
                Some(number) => to.add(number)?,
                None => return Ok(false),
            },
            Self::Int4 => match canonical::<i32>(text) {
                Some(number) => to.add(number)?,
                None => return Ok(false),
            },
            Self::Int8 => match canonical::<i64>(text) {
                Some(number) => to.add(number)?,
                None => return Ok(false),
            },
            Self::Uuid => match Uuid::parse(text) {
                Some(uuid) => to.add(uuid)?,
                None => return Ok(false),
            },
        }
        Ok(true)
    }
}

fn canonical<N: std::str::FromStr + ToString>(text: &str) -> Option<N> {
    text.parse().ok().filter(|number: &N| number.to_string() == text)
}

/// Returns whether a text is a UUID in canonical form.
pub(crate) fn is_uuid(text: &str) -> bool {
    Uuid::parse(text).is_some()
}

#[derive(Debug, PartialEq, Eq)]
struct Uuid([u8; 16]);

impl Uuid {
    /// Parses the canonical text (RFC 9562 section 4): lower case, with hyphens.
    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let mut digits = text.bytes();
        for (index, byte) in bytes.iter_mut().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) && digits.next() != Some(b'-') {
                return None;
            }
            let mut digit = || match digits.next()? {
                digit @ b'0'..=b'9' => Some(digit - b'0'),
                digit @ b'a'..=b'f' => Some(digit - b'a' + 10),
                _ => None,
            };
            *byte = digit()? << 4 | digit()?;
        }
        digits.next().is_none().then_some(Self(bytes))
    }
}

impl Type<Postgres> for Uuid {
    fn type_info() -> PgTypeInfo {
        const UUID: Oid = Oid(2950);
        PgTypeInfo::with_oid(UUID)
    }
}

impl Encode<'_, Postgres> for Uuid {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buffer.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_spelling_of_a_value_is_looked_up() {
        use ParameterType::{Int2, Int4, Int8, Text, Uuid};
        const UUID: &str = "00112233-4455-6677-8899-aabbccddeeff";
        for (kind, text, expected) in [
            (Text, "' or 1=1 --", true),
            (Int2, "7", true),
            (Int2, "40000", false),
            (Int4, "40000", true),
            (Int4, "-1", true),
            (Int4, "3000000000", false),
            (Int8, "3000000000", true),
            (Int8, "9223372036854775808", false),
            (Int8, "07", false),
            (Int8, "+7", false),
            (Int8, "7 ", false),
            (Int8, "7.0", false),
            (Int8, "7 or 1=1", false),
            (Int8, "-0", false),
            (Int8, "", false),
            (Int8, "٧", false),
            (Uuid, UUID, true),
            (Uuid, &UUID.to_uppercase(), false),
            (Uuid, &UUID.replace('-', ""), false),
            (Uuid, "{00112233-4455-6677-8899-aabbccddeeff}", false),
            (Uuid, "00112233-4455-6677-8899-aabbccddeef", false),
            (Uuid, "00112233-4455-6677-8899-aabbccddeeff0", false),
            (Uuid, "00112233+4455-6677-8899-aabbccddeeff", false),
            (Uuid, "", false),
        ] {
            let mut arguments = PgArguments::default();
            assert_eq!(kind.add(text, &mut arguments).unwrap(), expected, "{kind:?} {text:?}");
            assert_eq!(arguments.len(), usize::from(expected));
        }
    }
}
