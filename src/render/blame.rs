//! What in a template an error of minijinja is about: which variable is undefined,
//! which filter refused its value, which tag was never closed.
//!
//! minijinja names a line. The expressions on it are read again from the source, so
//! that an author is told names out of the template and never a value of the data.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "tokens and expressions of minijinja, of which only a few can be to blame"
)]

use minijinja::{
    Environment, ErrorKind, Value,
    machinery::{
        Token,
        ast::{BinOpKind, CallArg, Expr, Stmt, UnaryOpKind},
        parse, tokenize,
    },
    syntax::SyntaxConfig,
};

use super::{
    error::{At, RenderError},
    filters, near,
    schema::Schema,
    template,
};

/// The most names of one message.
const NAMES: usize = 4;

/// Why a document on trial was not written.
pub(super) fn of(
    error: &minijinja::Error,
    source: &str,
    environment: &Environment<'_>,
    context: &Value,
    schema: &Schema,
) -> RenderError {
    let Some(line) = error.line() else { return template::failed(error) };
    let Some(uses) = template::syntax().ok().and_then(|syntax| Uses::on(source, syntax, line))
    else {
        return template::failed(error);
    };
    let kind = error.kind();
    let found = if kind == ErrorKind::UndefinedError {
        uses.undefined(environment, context, schema)
    } else if let Some(what) = filters::wrong(error) {
        let named = uses.filters.iter().find(|(name, _)| what.starts_with(&format!("`{name}`")));
        Some((what.to_owned(), named.map_or(0, |(_, at)| *at)))
    } else if kind == ErrorKind::OutOfFuel {
        None
    } else {
        uses.refused(kind)
    };
    match found {
        Some((what, offset)) if offset > 0 => {
            RenderError::template("template.html", what, Some(At::offset(source, offset)))
        }
        Some((what, _)) => {
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            RenderError::template("template.html", what, Some(At::line(line)))
        }
        None => template::failed(error),
    }
}

/// Why a template cannot be read. What minijinja says of it comes from the template
/// alone: there are no data yet.
pub(super) fn syntax(error: &minijinja::Error, source: &str, syntax: SyntaxConfig) -> RenderError {
    let line = error.line().unwrap_or(1);
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    let mut what = error.kind().to_string();
    if let Some(detail) = error.detail() {
        what.push_str(": ");
        what.push_str(detail);
    }
    let ended = what.contains("end of input");
    let mut at = At::line(line);
    match unclosed(source, syntax) {
        Some(Unclosed::Never(tag, open)) if ended => {
            what = format!("`{{% {tag} %}}` is never closed by `{{% end{tag} %}}`");
            at = open;
        }
        Some(Unclosed::Crossed(tag, open, end, place)) if place.line == line => {
            what = format!(
                "`{{% {end} %}}` stands where `{{% end{tag} %}}` is expected, for the `{{% {tag} %}}` of line {}",
                open.line
            );
            at = place;
        }
        Some(Unclosed::Stray(end, place)) if place.line == line => {
            what = format!("`{{% {end} %}}` closes nothing");
            at = place;
        }
        // Something else is wrong before.
        Some(_) | None => {}
    }
    RenderError::template("template.html", what, Some(at))
}

/// A block that is not closed as it should be.
enum Unclosed {
    Never(&'static str, At),
    Crossed(&'static str, At, String, At),
    Stray(String, At),
}

fn unclosed(source: &str, syntax: SyntaxConfig) -> Option<Unclosed> {
    let place = |offset| At::offset(source, offset);
    let mut open: Vec<(&'static str, usize)> = Vec::new();
    let mut begins = None;
    for token in tokenize(source, false, syntax) {
        let (token, span) = token.ok()?;
        let from = begins.take();
        match token {
            Token::BlockStart => {
                begins = usize::try_from(span.start_offset).ok();
            }
            Token::Ident(word) => {
                let Some(from) = from else { continue };
                let blocks = ["if", "for", "with"];
                if let Some(tag) = blocks.into_iter().find(|tag| *tag == word) {
                    open.push((tag, from));
                } else if let Some(closed) = word.strip_prefix("end")
                    && blocks.contains(&closed)
                {
                    match open.pop() {
                        Some((tag, _)) if tag == closed => {}
                        Some((tag, at)) => {
                            let (at, end) = (place(at), place(from));
                            return Some(Unclosed::Crossed(tag, at, word.to_owned(), end));
                        }
                        None => return Some(Unclosed::Stray(word.to_owned(), place(from))),
                    }
                }
            }
            _ => {}
        }
    }
    open.pop().map(|(tag, at)| Unclosed::Never(tag, place(at)))
}

/// What the expressions of one line use, each with its offset in the source.
struct Uses<'s> {
    source: &'s str,
    line: usize,
    /// `d.note`, where it is printed or compared and not only tested.
    paths: Vec<(&'s str, usize)>,
    filters: Vec<(&'s str, usize)>,
    /// Signs and words of operators and tests.
    others: Vec<(String, usize)>,
}

impl<'s> Uses<'s> {
    fn on(source: &'s str, syntax: SyntaxConfig, line: usize) -> Option<Self> {
        let parsed = parse(source, "template.html", syntax).ok()?;
        let mut uses =
            Self { source, line, paths: Vec::new(), filters: Vec::new(), others: Vec::new() };
        uses.one(&parsed);
        Some(uses)
    }

    fn undefined(
        &self,
        environment: &Environment<'_>,
        context: &Value,
        schema: &Schema,
    ) -> Option<(String, usize)> {
        let known = |path: &str| {
            let root = path.split(['.', '[']).next().unwrap_or_default();
            let global = matches!(root, "d" | "t" | "ja" | "locale" | "title");
            if !global {
                return None;
            }
            let value = environment.compile_expression(path).ok()?.eval(context.clone());
            Some(value.is_ok_and(|value| !value.is_undefined()))
        };
        let states: Vec<_> =
            self.paths.iter().map(|(path, at)| (*path, *at, known(path))).collect();
        let undefined = states.iter().find(|(.., known)| *known == Some(false));
        let open: Vec<_> = states.iter().filter(|(.., known)| known.is_none()).collect();
        match (undefined, &*open) {
            (Some((path, at, _)), _) | (None, [(path, at, _)]) => {
                Some((undefined_path(path, schema), *at))
            }
            (None, []) => None,
            (None, [(_, at, _), ..]) => {
                let names: Vec<_> =
                    open.iter().take(NAMES).map(|(path, ..)| near::quote(path)).collect();
                Some((format!("undefined value: one of {}", names.join(", ")), *at))
            }
        }
    }

    /// What may have refused its value, for want of its name.
    fn refused(&self, kind: ErrorKind) -> Option<(String, usize)> {
        let filters = self.filters.iter().map(|(name, at)| (format!("`{name}`"), *at));
        let others = self.others.iter().map(|(name, at)| (name.clone(), *at));
        let all: Vec<_> = filters.chain(others).collect();
        let (_, at) = all.first()?;
        let names: Vec<_> = all.iter().take(NAMES).map(|(name, _)| name.as_str()).collect();
        Some((format!("{kind}: {} cannot take its value", names.join(" or ")), *at))
    }

    fn all(&mut self, statements: &[Stmt<'s>]) {
        for statement in statements {
            self.one(statement);
        }
    }

    fn one(&mut self, statement: &Stmt<'s>) {
        match statement {
            Stmt::Template(template) => self.all(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::ForLoop(each) => {
                self.expression(&each.iter);
                if let Some(filter) = &each.filter_expr {
                    self.tested(filter);
                }
                self.all(&each.body);
                self.all(&each.else_body);
            }
            Stmt::IfCond(cond) => {
                self.tested(&cond.expr);
                self.all(&cond.true_body);
                self.all(&cond.false_body);
            }
            Stmt::WithBlock(with) => {
                for (_, value) in &with.assignments {
                    self.tested(value);
                }
                self.all(&with.body);
            }
            Stmt::Set(set) => self.tested(&set.expr),
            // The guard lets no other through.
            _ => {}
        }
    }

    /// An expression that may be undefined as a whole.
    fn tested(&mut self, expression: &Expr<'s>) {
        match expression {
            Expr::Var(_) => {}
            Expr::GetAttr(get) => self.base(&get.expr),
            Expr::GetItem(get) => {
                self.base(&get.expr);
                self.expression(&get.subscript_expr);
            }
            other => self.expression(other),
        }
    }

    /// What something is asked of must be there, or may be undefined but once.
    fn base(&mut self, expression: &Expr<'s>) {
        match expression {
            Expr::Var(_) => {}
            other => self.expression(other),
        }
    }

    fn expression(&mut self, expression: &Expr<'s>) {
        match expression {
            Expr::Const(_) | Expr::Call(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => {}
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.path(expression),
            Expr::Slice(slice) => self.expression(&slice.expr),
            Expr::UnaryOp(unary) => match unary.op {
                UnaryOpKind::Not => self.tested(&unary.expr),
                UnaryOpKind::Neg => {
                    self.other("`-`", unary.span());
                    self.expression(&unary.expr);
                }
            },
            Expr::BinOp(binary) => {
                let (left, right) = (&binary.left, &binary.right);
                match binary.op {
                    BinOpKind::ScAnd | BinOpKind::ScOr => {
                        self.tested(left);
                        self.expression(right);
                        return;
                    }
                    BinOpKind::Add => self.other("`+`", binary.span()),
                    BinOpKind::Sub => self.other("`-`", binary.span()),
                    BinOpKind::Div => self.other("`/`", binary.span()),
                    BinOpKind::FloorDiv => self.other("`//`", binary.span()),
                    BinOpKind::Rem => self.other("`%`", binary.span()),
                    _ => self.other("a comparison", binary.span()),
                }
                self.expression(left);
                self.expression(right);
            }
            Expr::Compare(compare) => {
                self.other("a comparison", compare.span());
                self.expression(&compare.expr);
                for one in &compare.ops {
                    self.expression(&one.expr);
                }
            }
            Expr::IfExpr(choice) => {
                self.tested(&choice.test_expr);
                self.expression(&choice.true_expr);
                if let Some(other) = &choice.false_expr {
                    self.expression(other);
                }
            }
            Expr::Filter(filter) => {
                if usize::from(filter.span().start_line) <= self.line
                    && self.line <= usize::from(filter.span().end_line)
                    && let Ok(at) = usize::try_from(filter.span().start_offset)
                {
                    self.filters.push((filter.name, at));
                }
                let lenient = matches!(filter.name, "default" | "d");
                match &filter.expr {
                    Some(inner) if lenient => self.tested(inner),
                    Some(inner) => self.expression(inner),
                    None => {}
                }
                self.arguments(&filter.args);
            }
            Expr::Test(test) => {
                if matches!(test.name, "defined" | "undefined" | "none") {
                    self.tested(&test.expr);
                } else {
                    self.other(&format!("`is {}`", test.name), test.span());
                    self.expression(&test.expr);
                }
                self.arguments(&test.args);
            }
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'s>]) {
        for argument in arguments {
            let (CallArg::Pos(one)
            | CallArg::Kwarg(_, one)
            | CallArg::PosSplat(one)
            | CallArg::KwargSplat(one)) = argument;
            self.expression(one);
        }
    }

    fn other(&mut self, name: &str, span: minijinja::machinery::Span) {
        if usize::from(span.start_line) == self.line
            && let Ok(at) = usize::try_from(span.start_offset)
        {
            self.others.push((name.to_owned(), at));
        }
    }

    fn path(&mut self, expression: &Expr<'s>) {
        let span = expression.span();
        let offset = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
        // The span of `d.a.b` begins at a dot.
        let (from, to) = (offset(begins(expression)), offset(span.end_offset));
        let here = (usize::from(span.start_line)..=usize::from(span.end_line)).contains(&self.line);
        if let Some(path) = self.source.get(from..to).filter(|_| here) {
            self.paths.push((path, from));
        }
        // In `list[index]` the index is used, too.
        if let Expr::GetItem(get) = expression {
            self.expression(&get.subscript_expr);
        }
    }
}

/// Where a path begins: with its first name.
pub(super) fn begins(expression: &Expr<'_>) -> u32 {
    match expression {
        Expr::Filter(filter) => {
            filter.expr.as_ref().map_or_else(|| filter.span().start_offset, begins)
        }
        Expr::Slice(slice) => begins(&slice.expr),
        Expr::GetAttr(get) => begins(&get.expr),
        Expr::GetItem(get) => begins(&get.expr),
        other => other.span().start_offset,
    }
}

/// The name of the field that a path ends with.
fn field(path: &str) -> &str {
    path.rsplit(['.', '[', ']']).find(|part| !part.is_empty()).unwrap_or(path)
}

fn undefined_path(path: &str, schema: &Schema) -> String {
    let field = field(path);
    let names = schema.names();
    let of_data = path.contains('.') && !path.starts_with("t.") && !path.starts_with("loop.");
    let hint = if of_data && names.contains(field) {
        format!("; where data may lack it, ask first: `{{% if {path} %}}`")
    } else if of_data {
        near::meant(field, names.iter().copied())
    } else {
        near::meant(path, ["d", "t", "ja", "locale", "title", "loop"])
    };
    format!("undefined value {}{hint}", near::quote(path))
}
