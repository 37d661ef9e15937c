//! The only place that writes to standard output and standard error.

use std::{fmt::Write as _, io::Write as _};

use serde::Serialize;

/// Writes a line to standard output. A reader that has gone away (`| head`) is
/// no error.
pub(super) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    let written = gone_is_fine(writeln!(out, "{text}").and_then(|()| out.flush()));
    if let Err(problem) = written {
        error(&format!("standard output cannot be written: {problem}"));
        std::process::exit(1);
    }
}

/// Standard output for those who write bytes. A reader that has gone away ends
/// the program, as in [`line()`].
#[derive(Debug)]
pub(super) struct Out;

impl std::io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        gone_is_fine(std::io::stdout().lock().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        gone_is_fine(std::io::stdout().lock().flush())
    }
}

fn gone_is_fine<T>(result: std::io::Result<T>) -> std::io::Result<T> {
    if let Err(error) = &result
        && error.kind() == std::io::ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
    result
}

/// Writes a value as one line of JSON to standard output.
pub(super) fn json(value: &impl Serialize) {
    match serde_json::to_string(value) {
        Ok(text) => line(&text),
        Err(error) => self::error(&format!("the answer cannot be written as JSON: {error}")),
    }
}

/// Writes a value as indented JSON to standard output.
pub(super) fn json_pretty(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => line(&text),
        Err(error) => self::error(&format!("the answer cannot be written as JSON: {error}")),
    }
}

/// Writes a line to standard error.
#[expect(clippy::print_stderr, reason = "this is the one place that writes to it")]
pub(super) fn error(text: &str) {
    eprintln!("kakitome: {text}");
}

/// Writes rows as columns, wide characters counted as two.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) {
    let width = |text: &str| -> usize {
        text.chars().map(|c| if u32::from(c) >= 0x1100 { 2 } else { 1 }).sum()
    };
    let mut widths: Vec<usize> = head.iter().map(|cell| width(cell)).collect();
    for row in rows {
        for (most, cell) in widths.iter_mut().zip(row) {
            *most = (*most).max(width(cell));
        }
    }
    let print = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, most) in cells.zip(&widths) {
            text.push_str(cell);
            for _ in width(cell)..most.saturating_add(2) {
                text.push(' ');
            }
        }
        line(text.trim_end());
    };
    print(&mut head.iter().copied());
    for row in rows {
        print(&mut row.iter().map(String::as_str));
    }
}

/// The help of every command, one after the other, as Markdown.
pub(super) fn reference(mut command: clap::Command) -> String {
    command.build();
    let mut text = String::from("# The command line\n");
    let name = command.get_name().to_owned();
    describe(&mut command, &name, &mut text);
    text
}

fn describe(command: &mut clap::Command, name: &str, text: &mut String) {
    let help = command.clone().term_width(90).render_long_help();
    let result = write!(text, "\n## `{name}`\n\n```text\n{}\n```\n", help.to_string().trim_end());
    if result.is_err() {
        return;
    }
    for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
        let name = format!("{name} {}", sub.get_name());
        describe(sub, &name, text);
    }
}
