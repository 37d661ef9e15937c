//! The variables of a stylesheet, `--name: value;` and `var(--name)`.

use super::parse::{Fail, fail, located};
use crate::render::{
    error::{At, RenderError},
    near,
};

/// The most bytes of a value after `var()`.
const MAX_VALUE: usize = 4_096;
/// What is said of a property that no line before defines.
pub(super) const UNKNOWN: &str = "unknown custom property";
/// The most custom properties.
const MAX_VARIABLES: usize = 1_000;

/// The custom properties of `:root`.
#[derive(Debug, Default)]
pub(super) struct Variables(Vec<(String, String)>);

impl Variables {
    /// Takes `--name: value;` out of a stylesheet, one a line; all else keeps its
    /// place. What is wrong with them comes last.
    pub(super) fn collect(css: &str) -> (String, Self, Vec<RenderError>) {
        let mut variables = Self::default();
        let mut faults = Vec::new();
        let mut out = String::with_capacity(css.len());
        for (line, text) in (1..).zip(css.lines()) {
            let property = text.trim().strip_prefix("--").and_then(|rest| rest.split_once(':'));
            if let Some((name, value)) = property {
                let at = At { line, column: 1 };
                match variables.value(value) {
                    Ok(value) => variables.0.push((name.trim().to_owned(), value)),
                    Err(fail) => faults.push(located(fail, at)),
                }
                if variables.0.len() > MAX_VARIABLES || faults.len() >= 20 {
                    let many = located(Fail::of("more than 1,000 custom properties"), at);
                    faults.extend((faults.len() < 20).then_some(many));
                    break;
                }
            } else {
                out.push_str(text);
            }
            out.push('\n');
        }
        if !css.ends_with('\n') {
            out.pop();
        }
        (out, variables, faults)
    }

    fn value(&self, written: &str) -> Result<String, Fail> {
        let ended = written.trim().strip_suffix(';');
        let what = "a custom property ends its line with a semicolon";
        self.put_in(ended.ok_or(Fail::of(what))?)
    }

    /// Puts values where `var()` asks for them. A value may use those before it,
    /// so none can contain itself.
    pub(super) fn put_in(&self, text: &str) -> Result<String, Fail> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("var(--") {
            let (name, after) =
                after.split_once(')').ok_or(Fail::of("unknown custom property: no `)` follows"))?;
            out.push_str(before);
            out.push_str(self.named(name.trim())?);
            if out.len() > MAX_VALUE {
                return fail("the value is too long");
            }
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn named(&self, name: &str) -> Result<&str, Fail> {
        if let Some((_, value)) = self.0.iter().rev().find(|(known, _)| known == name) {
            return Ok(value);
        }
        if name.contains(',') {
            return fail("`var()` takes a custom property alone: there are no fallbacks");
        }
        let known = self.0.iter().map(|(known, _)| known.as_str());
        fail(match near::nearest(name, known) {
            Some(near) => format!("{UNKNOWN} `--{name}`; did you mean `--{near}`?"),
            None => format!(
                "{UNKNOWN} {}; each stands on a line of its own, before its use",
                near::quote(&format!("--{name}"))
            ),
        })
    }
}
