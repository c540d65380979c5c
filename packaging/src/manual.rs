//! The manual pages: one for each command.

use std::io;

use clap::Command;
use clap_mangen::Man;
use roff::{Roff, bold, roman};

use crate::examples::{EXTRAS, Extra};

/// A manual page.
pub(crate) struct Page {
    pub(crate) file_name: String,
    pub(crate) text: Vec<u8>,
}

/// Returns the pages of a command and its subcommands.
pub(crate) fn pages(command: Command) -> io::Result<Vec<Page>> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = vec![];
    add(&mut pages, &command, "", &[])?;
    Ok(pages)
}

/// Adds the page of a command and those of its subcommands. `related` are the names of the pages of the commands above it.
fn add(pages: &mut Vec<Page>, command: &Command, path: &str, related: &[String]) -> io::Result<()> {
    let name = page_name(command);
    let below: Vec<_> = command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    let man = Man::new(command.clone()).manual("private-media");
    let mut text = vec![];
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if below.is_empty() {
        man.render_options_section(&mut text)?;
    } else {
        man.render_subcommands_section(&mut text)?;
    }
    let below_names = below.iter().map(|command| page_name(command));
    let see_also: Vec<_> = related.iter().cloned().chain(below_names).collect();
    closing_sections(path, &see_also).to_writer(&mut text)?;
    pages.push(Page { file_name: man.get_filename(), text });
    let related: Vec<_> = related.iter().cloned().chain([name]).collect();
    for command in below {
        let path = format!("{path} {}", command.get_name());
        add(pages, command, path.trim_start(), &related)?;
    }
    Ok(())
}

fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// Returns the sections that follow the options.
fn closing_sections(path: &str, see_also: &[String]) -> Roff {
    let mut roff = Roff::new();
    let extra = EXTRAS.iter().find(|extra| extra.command == path);
    if let Some(Extra { examples, .. }) = extra {
        roff.control("SH", ["EXAMPLES"]);
        for (about, arguments) in *examples {
            roff.control("PP", []).text([roman(*about)]);
            roff.control("RS", ["4"]).control("nf", []);
            roff.text([bold(format!("private-media {arguments}"))]);
            roff.control("fi", []).control("RE", []);
        }
    }
    roff.control("SH", ["EXIT STATUS"]);
    let failure = extra.and_then(|extra| extra.failure).map(|meaning| ("1", meaning));
    let codes = [
        Some(("0", "Success.")),
        failure,
        Some((
            "2",
            "Invalid command line or setting, or an unusable root, accounts file or database. Standard error names it and the fix.",
        )),
        Some(("130", "Ended by a second signal.")).filter(|_| path == "serve"),
    ];
    for (code, meaning) in codes.into_iter().flatten() {
        roff.control("TP", []).text([bold(code)]).text([roman(meaning)]);
    }
    roff.control("SH", ["FILES"]);
    roff.control("TP", []).text([bold("private-media.toml")]);
    roff.text([roman(
        "The settings, in the working directory, or the file named by --config or PRIVATE_MEDIA_CONFIG.",
    )]);
    if !see_also.is_empty() {
        roff.control("SH", ["SEE ALSO"]);
        let pages: Vec<_> = see_also.iter().map(|name| format!("{name}(1)")).collect();
        roff.text([roman(pages.join(", "))]);
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the arguments of an example; single quotes group.
    fn arguments(example: &str) -> Vec<String> {
        let (mut words, mut is_quoted) = (vec![String::new()], false);
        for character in example.chars() {
            match character {
                '\'' => is_quoted = !is_quoted,
                ' ' if !is_quoted => words.push(String::new()),
                _ => words.last_mut().unwrap().push(character),
            }
        }
        words
    }

    #[test]
    fn examples_are_valid_command_lines_of_their_page() {
        for Extra { command, examples, .. } in EXTRAS {
            for (_, example) in examples {
                let words = [vec!["private-media".to_owned()], arguments(example)].concat();
                let result = private_media_gateway::command().try_get_matches_from(words);
                assert!(result.is_ok(), "{example}: {}", result.unwrap_err());
                assert!(example.starts_with(command), "{command}: {example}");
            }
        }
    }

    #[test]
    fn each_command_has_a_page_with_its_sections() {
        let pages = pages(private_media_gateway::command()).unwrap();
        let text = |name: &str| {
            let page = pages.iter().find(|page| page.file_name == name);
            String::from_utf8(page.unwrap_or_else(|| panic!("{name}")).text.clone()).unwrap()
        };
        for Extra { command, .. } in EXTRAS {
            let name = format!("private-media {command}").trim_end().replace(' ', "-");
            let page = text(&format!("{name}.1"));
            for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "\"EXIT STATUS\"", "\"SEE ALSO\""]
            {
                assert!(page.contains(&format!(".SH {heading}\n")), "{name}: {heading}");
            }
        }
        assert!(text("private-media-check.1").contains("The user is denied"));
        assert!(text("private-media-config-nginx.1").contains(r"private\-media\-config(1)"));
        assert_eq!(pages.len(), EXTRAS.len() + 1, "lighttpd has no example");
    }
}
