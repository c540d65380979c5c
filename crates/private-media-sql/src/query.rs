//! The query of a lookup: SQL with variables of the path, which become parameters.

use private_media::permission::Template;

/// The syntax of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
    MySql,
}

/// A query in the syntax of a database.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) sql: String,
    /// The variable of each parameter, in order.
    pub(crate) parameters: Vec<String>,
}

/// Statements that write, and `into`, which creates tables and files. A column of such a name can be quoted.
const WRITING: [&str; 5] = ["insert", "update", "delete", "merge", "into"];

impl Query {
    /// Replaces each `{variable}` by a parameter. The error says what is wrong, and what to write.
    ///
    /// A variable is never spliced, whatever this finds: at worst the database rejects the statement.
    pub(crate) fn parse(source: &str, path: &Template, dialect: Dialect) -> Result<Self, String> {
        let query = Self { sql: String::with_capacity(source.len()), parameters: vec![] };
        let mut parser = Parser { query, path, dialect, words: 0 };
        // A semicolon at the end is habit.
        let source = source.trim().trim_end_matches(';').trim_end();
        parser.parse(source)?;
        if parser.words == 0 {
            return Err("it is empty; write select … from … where key = {key}".into());
        }
        let first = path.variables().next();
        if let (Some(variable), true) = (first, parser.query.parameters.is_empty()) {
            return Err(format!(
                "it uses no variable of the path, so all files would have one row; write e.g. where key = {{{variable}}}"
            ));
        }
        Ok(parser.query)
    }
}

struct Parser<'a> {
    query: Query,
    path: &'a Template,
    dialect: Dialect,
    /// The number of words before.
    words: usize,
}

impl Parser<'_> {
    fn parse(&mut self, source: &str) -> Result<(), String> {
        let mut rest = source;
        while let Some(first) = rest.chars().next() {
            let len = match first {
                '\'' | '"' | '`' => self.quoted(rest, first)?,
                '[' if self.dialect == Dialect::Sqlite => self.quoted(rest, ']')?,
                '-' if rest.starts_with("--") => self.copied(rest, rest.find('\n').unwrap_or(rest.len())),
                '/' if rest.starts_with("/*") => self.comment(rest)?,
                '#' if self.dialect == Dialect::MySql => {
                    return Err("a comment begins with #; write --".into());
                }
                '$' => return Err("a $ outside of quotes; write variables as {key}, and texts in '…'".into()),
                ';' => return Err("a second statement; a lookup is one query".into()),
                '{' => self.variable(rest)?,
                '}' => return Err("a } without {".into()),
                _ if is_word(first) => self.word(rest)?,
                _ => self.copied(rest, first.len_utf8()),
            };
            rest = rest.get(len..).unwrap_or_default();
        }
        Ok(())
    }

    /// Copies the first bytes, and returns their number.
    fn copied(&mut self, rest: &str, len: usize) -> usize {
        self.query.sql.push_str(rest.get(..len).unwrap_or(rest));
        len
    }

    /// Copies a string or a quoted name, which begins with one character and ends with `end`.
    fn quoted(&mut self, rest: &str, end: char) -> Result<usize, String> {
        let has_escapes = self.dialect == Dialect::MySql && end != '`';
        let mut characters = rest.char_indices().skip(1);
        let mut len = None;
        while let Some((at, character)) = characters.next() {
            if has_escapes && character == '\\' {
                characters.next();
            } else if character == end {
                let after = at + end.len_utf8();
                // A doubled quote is part of the text. A bracket cannot be doubled.
                if end != ']' && rest.get(after..).is_some_and(|rest| rest.starts_with(end)) {
                    characters.next();
                } else {
                    len = Some(after);
                    break;
                }
            }
        }
        let len = len.ok_or_else(|| format!("no {end} ends the quoted text"))?;
        let text = rest.get(..len).unwrap_or(rest);
        if let Some(variable) = self.path.variables().find(|name| text.contains(&format!("{{{name}}}"))) {
            return Err(format!(
                "{{{variable}}} is inside quotes, where it is no variable; write it without quotes"
            ));
        }
        Ok(self.copied(rest, len))
    }

    fn comment(&mut self, rest: &str) -> Result<usize, String> {
        let inner = rest.get(2..).unwrap_or_default();
        let end = inner.find("*/").ok_or("no */ ends the comment")?;
        let text = inner.get(..end).unwrap_or_default();
        // Databases differ in whether comments nest, and MySQL runs what is in /*! … */.
        if text.contains("/*") || text.starts_with('!') || text.starts_with("M!") {
            return Err("a comment in a comment, or one that MySQL executes; remove it".into());
        }
        Ok(self.copied(rest, end + 4))
    }

    fn word(&mut self, rest: &str) -> Result<usize, String> {
        let len = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let word = rest.get(..len).unwrap_or(rest).to_lowercase();
        if self.words == 0 && !matches!(word.as_str(), "select" | "with") {
            return Err(format!("it begins with {word}; a lookup begins with select or with"));
        }
        if self.dialect == Dialect::Postgres
            && word == "e"
            && rest.get(len..).is_some_and(|rest| rest.starts_with('\''))
        {
            return Err("a text with escapes, E'…'; write '…'".into());
        }
        if WRITING.contains(&word.as_str()) && !self.query.sql.ends_with('.') {
            return Err(format!("the word {word}: a lookup only reads; quote the name of a column"));
        }
        self.words += 1;
        Ok(self.copied(rest, len))
    }

    fn variable(&mut self, rest: &str) -> Result<usize, String> {
        let end = rest.find('}').ok_or("a { without }; write variables as {key}")?;
        let name = rest.get(1..end).unwrap_or_default();
        if !self.path.has_variable(name) {
            let known: Vec<_> = self.path.variables().map(|name| format!("{{{name}}}")).collect();
            let known = if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            return Err(format!("{{{name}}} is no variable of the path {}; {known}", self.path));
        }
        let parameters = &mut self.query.parameters;
        let position = match self.dialect {
            Dialect::Sqlite | Dialect::Postgres => parameters.iter().position(|own| own == name),
            // The parameters of MySQL have no numbers.
            Dialect::MySql => None,
        };
        let position = position.unwrap_or_else(|| {
            parameters.push(name.to_owned());
            parameters.len() - 1
        });
        let number = position + 1;
        let parameter = match self.dialect {
            Dialect::Sqlite => format!(" ?{number} "),
            Dialect::Postgres => format!(" ${number} "),
            Dialect::MySql => " ? ".to_owned(),
        };
        self.query.sql.push_str(&parameter);
        self.words += 1;
        Ok(end + 1)
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use Dialect::{MySql, Postgres, Sqlite};
    use proptest::prelude::*;

    use super::*;

    const ALL: [Dialect; 3] = [Sqlite, Postgres, MySql];

    fn parse(source: &str, dialect: Dialect) -> Result<Query, String> {
        Query::parse(source, &"blobs/{key}/{*rest}".parse().unwrap(), dialect)
    }

    #[test]
    fn variables_become_parameters() {
        for (source, dialect, sql, parameters) in [
            ("select a from b where c = {key}", Sqlite, "select a from b where c =  ?1 ", &["key"][..]),
            ("select a from b where c = {key};", Postgres, "select a from b where c =  $1 ", &["key"]),
            ("select a from b where c = {key} ; ", MySql, "select a from b where c =  ? ", &["key"]),
            (
                "select a where {rest}={key} or {rest}=1",
                Sqlite,
                "select a where  ?1 = ?2  or  ?1 =1",
                &["rest", "key"],
            ),
            ("select {key}::bigint, {key}", Postgres, "select  $1 ::bigint,  $1 ", &["key"]),
            ("select {key}, {rest}, {key}", MySql, "select  ? ,  ? ,  ? ", &["key", "rest", "key"]),
            ("WITH x as (select 1) SELECT {key}", Sqlite, "WITH x as (select 1) SELECT  ?1 ", &["key"]),
        ] {
            let query = parse(source, dialect).unwrap();
            assert_eq!(
                (query.sql.as_str(), &query.parameters[..]),
                (sql, &parameters.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                "{source}"
            );
        }
    }

    /// Quoted text is copied, and what is in it is neither a word nor a variable nor the end of the statement.
    #[test]
    fn quoted_text_is_copied() {
        for (quoted, dialects) in [
            ("'a; delete $$ {x} -- /*'", &ALL[..]),
            ("'it''s'", &ALL),
            ("''", &ALL),
            ("\"group; x\"", &ALL),
            ("\"a\"\"b\"", &ALL),
            ("`key``;`", &ALL),
            ("'C:\\'", &[Sqlite, Postgres]),
            ("'App\\\\Models; \\' {x}'", &[MySql]),
            ("\"a\\\";\"", &[MySql]),
            ("[a;{x}]", &[Sqlite]),
            ("-- it's; {key}\n", &ALL),
            ("/* it's; {key} */", &ALL),
            ("t.update", &ALL),
            ("'héé ✓'", &ALL),
            ("updated_at", &ALL),
            ("u&'\\0041'", &[Sqlite, Postgres]),
            ("a[1]", &[Postgres]),
            ("\"App\\Car\"", &[Postgres]),
        ] {
            for dialect in dialects {
                let source = format!("select {quoted} as x where y = {{key}}");
                let query =
                    parse(&source, *dialect).unwrap_or_else(|error| panic!("{quoted} {dialect:?}: {error}"));
                assert!(query.sql.contains(quoted), "{}", query.sql);
                assert_eq!(query.parameters, ["key"], "{quoted}");
            }
        }
    }

    #[test]
    fn what_is_no_query_is_rejected() {
        for (source, dialects, part) in [
            ("", &ALL[..], "empty"),
            (" ; ", &ALL, "empty"),
            ("select 1", &ALL, "uses no variable of the path"),
            (
                "select {id}",
                &ALL,
                "{id} is no variable of the path blobs/{key}/{*rest}; it has {key}, {rest}",
            ),
            ("select {*rest}", &ALL, "{*rest} is no variable"),
            ("select {}", &ALL, "{} is no variable"),
            ("select {key", &ALL, "a { without }"),
            ("select key}", &ALL, "a } without {"),
            ("select 1 where a = '{key}'", &ALL, "{key} is inside quotes"),
            ("select 1 where a like '%{rest}%' and b = {key}", &ALL, "{rest} is inside quotes"),
            ("select \"{key}\"", &ALL, "inside quotes"),
            ("select {key}; select 2", &ALL, "a second statement"),
            ("select {key};; x", &ALL, "a second statement"),
            ("select {key}; -- the end", &ALL, "a second statement"),
            ("update a set b = {key}", &ALL, "begins with update"),
            ("insert into a values ({key})", &ALL, "begins with insert"),
            ("delete from a where b = {key}", &ALL, "begins with delete"),
            ("drop table a", &ALL, "begins with drop"),
            ("pragma user_version", &ALL, "begins with pragma"),
            ("attach 'x' as y", &ALL, "begins with attach"),
            ("call f({key})", &ALL, "begins with call"),
            ("explain select {key}", &ALL, "begins with explain"),
            ("WITH x AS (DELETE FROM a RETURNING b) SELECT {key}", &ALL, "the word delete"),
            ("with x as (insert into a values (1) returning b) select {key}", &ALL, "the word insert"),
            ("select a into b from c where d = {key}", &ALL, "the word into"),
            ("select a from b where c = {key} into outfile '/tmp/x'", &ALL, "the word into"),
            ("select a from b where c = {key} for update", &ALL, "the word update"),
            ("select $$a; drop table b$$, {key}", &ALL, "a $ outside of quotes"),
            ("select $1, {key}", &ALL, "a $ outside of quotes"),
            ("select e'\\'', {key}", &[Postgres], "E'…'"),
            ("select E'\\'; drop table x --', {key}", &[Postgres], "E'…'"),
            ("select 1 # it's\n, {key}", &[MySql], "begins with #"),
            ("select /*! 1; */ {key}", &ALL, "MySQL executes"),
            ("select /*M!100100 1 */ {key}", &ALL, "MySQL executes"),
            ("select /* /* */ */ {key}", &ALL, "a comment in a comment"),
            ("select /* {key}", &ALL, "no */"),
            ("select 'a", &ALL, "no ' ends"),
            ("select 'it''s", &ALL, "no ' ends"),
            ("select 'a\\' , {key}", &[MySql], "no ' ends"),
            ("select [a, {key}", &[Sqlite], "no ] ends"),
        ] {
            for dialect in dialects {
                let error = parse(source, *dialect).unwrap_err();
                assert!(error.contains(part), "{source} {dialect:?}: {error}");
            }
        }
    }

    #[test]
    fn a_path_without_variables_has_one_row() {
        let query = Query::parse("select 1 as public", &"logo.png".parse().unwrap(), Sqlite).unwrap();
        assert_eq!((query.sql.as_str(), query.parameters.len()), ("select 1 as public", 0));
        let error = Query::parse("select {key}", &"logo.png".parse().unwrap(), Sqlite).unwrap_err();
        assert!(error.ends_with("it has none"), "{error}");
    }

    proptest! {
        /// No text makes it panic, and all text but the variables is the same afterwards.
        #[test]
        fn all_text_but_the_variables_is_copied(
            pieces in prop::collection::vec(
                prop_oneof![
                    Just("{key}"), Just("{rest}"), Just("'"), Just("\""), Just("`"), Just("--"), Just("\n"), Just("/*"),
                    Just("*/"), Just("\\"), Just("a"), Just(" "), Just("["), Just("]"), Just("é"), Just("e"), Just("("),
                ],
                0..12,
            ),
            dialect in prop::sample::select(&ALL[..]),
        ) {
            let source = format!("select {{key}} {}", pieces.concat());
            if let Ok(query) = parse(&source, dialect) {
                let mut sql = query.sql;
                for number in (1..=2).rev() {
                    let name = query.parameters.get(number - 1).cloned().unwrap_or_default();
                    sql = sql.replace(&format!(" ?{number} "), &format!("{{{name}}}"));
                    sql = sql.replace(&format!(" ${number} "), &format!("{{{name}}}"));
                }
                for name in &query.parameters {
                    sql = sql.replacen(" ? ", &format!("{{{name}}}"), 1);
                }
                prop_assert_eq!(sql, source.trim_end());
            }
        }

        #[test]
        fn no_text_makes_it_panic(source in "\\PC{0,40}", dialect in prop::sample::select(&ALL[..])) {
            let _ = parse(&source, dialect);
            let _ = parse(&format!("select {source}"), dialect);
        }
    }
}
