//! A lookup's query is one statement that only reads, in which each variable is a parameter and all other text is unchanged.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use private_media::permission::Template;
use private_media_sql::fuzzing::{DATABASES, parse_query};

const SQLITE: usize = 0;
const MYSQL: usize = 2;
const WRITING: [&str; 5] = ["insert", "update", "delete", "merge", "into"];

static PATH: LazyLock<Template> = LazyLock::new(|| "blobs/{key}/{*rest}".parse().unwrap());

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    database: u8,
    /// Whether the query begins as most do, which gets further.
    is_typical: bool,
    text: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let database = usize::from(input.database) % DATABASES.len();
    let source = if input.is_typical { format!("select {{key}} {}", input.text) } else { input.text.to_owned() };
    match parse_query(&source, &PATH, database) {
        Ok((sql, parameters)) => check(&source, &sql, &parameters, database),
        Err(problem) => assert!(!problem.is_empty() && !problem.contains('\n') || source.contains('\n')),
    }
});

fn check(source: &str, sql: &str, parameters: &[String], database: usize) {
    let code = code_of(source, database);
    let words: Vec<_> = code.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let first = words.iter().find(|word| !word.is_empty()).map(|word| word.to_lowercase());
    assert!(matches!(first.as_deref(), Some("select" | "with")), "{source:?} begins with {first:?}");
    // One statement, besides semicolons at the end.
    let trimmed = code.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    assert!(!trimmed.contains(';'), "{source:?} has two statements");
    assert!(!code.contains('$'), "{source:?} has a dollar quote or a parameter of its own");
    for word in WRITING {
        for (at, _) in code.to_lowercase().match_indices(word) {
            let code = code.to_lowercase();
            let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let (before, after) = (code[..at].chars().next_back(), code[at + word.len()..].chars().next());
            let is_whole = !is_part(before) && !is_part(after);
            assert!(!is_whole || before == Some('.'), "{source:?} contains the word {word}");
        }
    }
    // The variables of the source, in order, are the parameters of the SQL.
    let variables: Vec<_> = ["{key}", "{rest}"]
        .iter()
        .flat_map(|variable| code.match_indices(variable))
        .map(|(at, variable)| (at, &variable[1..variable.len() - 1]))
        .collect();
    assert!(!parameters.is_empty() && parameters.iter().all(|name| variables.iter().any(|(_, own)| own == name)));
    let expected = if database == MYSQL { variables.len() } else { parameters.len() };
    assert_eq!(parameters.len(), expected, "{source:?}");
    // What is no variable is copied.
    let source = source.trim().trim_end_matches(';').trim_end();
    let (mut rest, mut sql) = (source, sql);
    loop {
        let common = rest.bytes().zip(sql.bytes()).take_while(|(own, other)| own == other).count();
        let same = (0..=common).rev().find(|at| rest.is_char_boundary(*at) && sql.is_char_boundary(*at)).unwrap();
        (rest, sql) = (&rest[same..], &sql[same..]);
        if rest.is_empty() {
            // The end of a parameter at the end.
            assert!(sql.is_empty(), "{sql:?} is added");
            return;
        }
        // A parameter begins with a space, which the source may have, too.
        let (name, after) = variable(rest).unwrap_or_else(|| panic!("{rest:?} became {sql:?}"));
        let parameter = sql.trim_start_matches(' ');
        let digits = parameter[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(parameter.len() - 1);
        let number = &parameter[1..=digits];
        match database {
            SQLITE => assert!(parameter.starts_with('?')),
            MYSQL => assert!(parameter.starts_with('?') && number.is_empty()),
            _ => assert!(parameter.starts_with('$')),
        }
        if database != MYSQL {
            assert_eq!(parameters[number.parse::<usize>().unwrap() - 1], name);
        }
        let end = &parameter[1 + digits..];
        (rest, sql) = (after, end.strip_prefix(' ').unwrap_or_else(|| panic!("{end:?} follows a parameter")));
    }
}

/// Splits a variable off.
fn variable(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix('{')?.split_once('}')
}

/// Returns the text outside of strings, quoted names and comments, in which these are a space.
fn code_of(source: &str, database: usize) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '\'' | '"' | '`' => quoted(rest, first, database == MYSQL && first != '`'),
            '[' if database == SQLITE => rest.find(']').map_or(rest.len(), |at| at + 1),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |at| at + 4),
            _ => {
                code.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        code.push(' ');
        rest = &rest[len..];
    }
    code
}

/// Returns the length of quoted text. A doubled quote is part of the text.
fn quoted(text: &str, quote: char, has_escapes: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if has_escapes => at += 2,
            byte if byte == quote as u8 && bytes.get(at + 1) == Some(&byte) => at += 2,
            byte if byte == quote as u8 => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}
