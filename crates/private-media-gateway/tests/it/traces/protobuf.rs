//! Reads OTLP requests: the wire format of protobuf, and the fields of a span. It shares no code with the exporter.

use std::collections::BTreeMap;

/// A field of a message.
#[derive(Debug, Clone, PartialEq)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("{number} is no message"),
        }
    }

    fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            Self::Bytes(bytes) => panic!("{bytes:?} is no number"),
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            break;
        }
    }
    number
}

/// Returns the fields of a message, with their numbers.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let mut take = |len| {
            let (taken, rest) = bytes.split_at(len);
            bytes = rest;
            taken
        };
        let field = match key & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => Field::Number(u64::from_le_bytes(take(8).try_into().unwrap())),
            5 => Field::Number(u32::from_le_bytes(take(4).try_into().unwrap()).into()),
            2 => {
                let len = varint(&mut bytes);
                let (taken, rest) = bytes.split_at(usize::try_from(len).unwrap());
                bytes = rest;
                Field::Bytes(taken)
            }
            kind => panic!("wire type {kind}"),
        };
        fields.push((key >> 3, field));
    }
    fields
}

/// Returns the fields of a message with one number.
fn all(bytes: &[u8], number: u64) -> Vec<Field<'_>> {
    fields(bytes).into_iter().filter(|(own, _)| *own == number).map(|(_, field)| field).collect()
}

/// Returns the last field with one number, as protobuf does.
fn one(bytes: &[u8], number: u64) -> Option<Field<'_>> {
    all(bytes, number).pop()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Texts and numbers, as text.
pub(super) type Attributes = BTreeMap<String, String>;

fn attributes(fields: &[Field<'_>]) -> Attributes {
    let pairs = fields.iter().map(|pair| {
        let value = one(pair.bytes(), 2).unwrap();
        let value = match fields_of(value.bytes()) {
            [(1, text)] => text.text(),
            [(3, number)] => number.number().to_string(),
            other => panic!("{other:?}"),
        };
        (one(pair.bytes(), 1).unwrap().text(), value)
    });
    pairs.collect()
}

/// Returns the single field of a message.
fn fields_of(bytes: &[u8]) -> [(u64, Field<'_>); 1] {
    fields(bytes).try_into().unwrap()
}

/// A span that was exported.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) service: Attributes,
    pub(super) scope: String,
    pub(super) trace: String,
    pub(super) id: String,
    /// Empty for a root.
    pub(super) parent: String,
    pub(super) state: String,
    pub(super) name: String,
    /// 1 is internal, 2 is a server.
    pub(super) kind: u64,
    /// Nanoseconds since 1970.
    pub(super) times: (u64, u64),
    pub(super) attributes: Attributes,
    pub(super) is_error: bool,
    pub(super) flags: u64,
}

/// Decodes an `ExportTraceServiceRequest`.
pub(super) fn spans(request: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource_spans in all(request, 1) {
        let resource = one(resource_spans.bytes(), 1).unwrap();
        let service = attributes(&all(resource.bytes(), 1));
        for scope_spans in all(resource_spans.bytes(), 2) {
            let scope = one(one(scope_spans.bytes(), 1).unwrap().bytes(), 1).unwrap().text();
            for span in all(scope_spans.bytes(), 2) {
                spans.push(read(span.bytes(), &service, &scope));
            }
        }
    }
    spans
}

fn read(span: &[u8], service: &Attributes, scope: &str) -> Span {
    let text = |number| one(span, number).map_or(String::new(), |field| field.text());
    let id = |number| one(span, number).map_or(String::new(), |field| hex(field.bytes()));
    let number = |number| one(span, number).map_or(0, |field| field.number());
    let status = one(span, 15).map_or(0, |status| one(status.bytes(), 3).map_or(0, |code| code.number()));
    Span {
        service: service.clone(),
        scope: scope.to_owned(),
        trace: id(1),
        id: id(2),
        parent: id(4),
        state: text(3),
        name: text(5),
        kind: number(6),
        times: (number(7), number(8)),
        attributes: attributes(&all(span, 9)),
        is_error: status == 2,
        flags: number(16),
    }
}
