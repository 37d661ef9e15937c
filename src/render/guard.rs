//! What a template may not say, because nothing would bound its memory.
//!
//! Fuel bounds how many steps a template takes and the writer how much it writes,
//! but one step can double a string and forty double it to a terabyte. So every
//! way to make a larger value out of values is refused when a template is
//! registered: strings are joined by writing them one after the other, not by
//! `~`. What is left only picks, tests, formats and counts.

use minijinja::{
    Environment, ErrorKind, filters,
    machinery::{
        Span, Token,
        ast::{BinOpKind, CallArg, Expr, Stmt},
        parse, tokenize,
    },
    syntax::SyntaxConfig,
    tests,
};

use super::{
    blame,
    error::{At, RenderError},
    filters as own, near,
};

/// In the place of inheritance and imports.
const SHARE: &str = "what templates share is a part: `include` with its name in quotes";
/// The most words of one expression, and of `elif` in a template.
const MOST_TOKENS: usize = 200;

/// An environment with the filters and tests of minijinja that make nothing
/// larger, and with no functions.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.add_filter("abs", filters::abs);
    environment.add_filter("capitalize", filters::capitalize);
    environment.add_filter("count", filters::length);
    environment.add_filter("d", filters::default);
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("float", filters::float);
    environment.add_filter("int", filters::int);
    environment.add_filter("items", filters::items);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("max", filters::max);
    environment.add_filter("min", filters::min);
    environment.add_filter("reject", filters::reject);
    environment.add_filter("rejectattr", filters::rejectattr);
    environment.add_filter("reverse", filters::reverse);
    environment.add_filter("round", filters::round);
    environment.add_filter("select", filters::select);
    environment.add_filter("selectattr", filters::selectattr);
    environment.add_filter("sort", filters::sort);
    environment.add_filter("sum", filters::sum);
    environment.add_filter("title", filters::title);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("upper", filters::upper);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("divisibleby", tests::is_divisibleby);
    environment.add_test("endingwith", tests::is_endingwith);
    environment.add_test("eq", tests::is_eq);
    environment.add_test("equalto", tests::is_eq);
    environment.add_test("even", tests::is_even);
    environment.add_test("ge", tests::is_ge);
    environment.add_test("gt", tests::is_gt);
    environment.add_test("in", tests::is_in);
    environment.add_test("le", tests::is_le);
    environment.add_test("lt", tests::is_lt);
    environment.add_test("ne", tests::is_ne);
    environment.add_test("none", tests::is_none);
    environment.add_test("number", tests::is_number);
    environment.add_test("odd", tests::is_odd);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("string", tests::is_string);
    environment.add_test("undefined", tests::is_undefined);
    environment
}

/// Refuses what a template may not say, with its place.
pub(super) fn check(
    source: &str,
    syntax: SyntaxConfig,
    environment: &Environment<'_>,
) -> Result<(), RenderError> {
    short(source, &syntax)?;
    let parsed = parse(source, "template.html", syntax.clone());
    let template = parsed.map_err(|error| blame::syntax(&error, source, syntax))?;
    Guard { environment }.one(&template).map_err(|(what, span)| refused(what, span))
}

fn refused(what: impl Into<String>, span: Span) -> RenderError {
    let line = u32::from(span.start_line);
    let at = At { line, column: u32::from(span.start_col).saturating_add(1) };
    RenderError::template("template.html", what, Some(at))
}

/// Refuses expressions that nest as deeply as they are long: a chain of `a.a.a` or of
/// `elif` would be walked by recursion, here and in minijinja.
fn short(source: &str, syntax: &SyntaxConfig) -> Result<(), RenderError> {
    let (mut tokens, mut branches) = (0usize, 0usize);
    for token in tokenize(source, false, syntax.clone()) {
        let (token, span) = token.map_err(|error| blame::syntax(&error, source, syntax.clone()))?;
        let new =
            matches!(token, Token::TemplateData(_) | Token::VariableStart | Token::BlockStart);
        tokens = if new { 0 } else { tokens.saturating_add(1) };
        branches = branches.saturating_add(usize::from(matches!(token, Token::Ident("elif"))));
        let what = if tokens > MOST_TOKENS {
            "an expression of more than 200 words"
        } else if branches > MOST_TOKENS {
            "more than 200 `elif`"
        } else {
            continue;
        };
        return Err(refused(what, span));
    }
    Ok(())
}

/// The filters and tests that there are, for those who misspell one.
const FILTERS: &str = "abs amount capitalize count d date default era first float honorific int \
    items lacks_honorific last length lower max min money number percent price reject rejectattr \
    reverse round select selectattr sort sum title trim upper yen";
const TESTS: &str = "defined divisibleby endingwith eq equalto even ge gt in le lt ne none number \
    odd startingwith string undefined";

type Checked = Result<(), (String, Span)>;

struct Guard<'e> {
    environment: &'e Environment<'e>,
}

fn no(what: &str, span: Span) -> Checked {
    Err((what.to_owned(), span))
}

impl Guard<'_> {
    fn all(&self, statements: &[Stmt<'_>]) -> Checked {
        statements.iter().try_for_each(|statement| self.one(statement))
    }

    fn one(&self, statement: &Stmt<'_>) -> Checked {
        match statement {
            Stmt::Template(template) => self.all(&template.children),
            Stmt::EmitExpr(emit) => self.expression(&emit.expr),
            Stmt::EmitRaw(_) => Ok(()),
            Stmt::ForLoop(each) => {
                if each.recursive {
                    return no("`recursive` is not understood", each.span());
                }
                self.expression(&each.iter)?;
                each.filter_expr.as_ref().map_or(Ok(()), |filter| self.expression(filter))?;
                self.all(&each.body)?;
                self.all(&each.else_body)
            }
            Stmt::IfCond(cond) => {
                self.expression(&cond.expr)?;
                self.all(&cond.true_body)?;
                self.all(&cond.false_body)
            }
            Stmt::WithBlock(with) => {
                with.assignments.iter().try_for_each(|(_, value)| self.expression(value))?;
                self.all(&with.body)
            }
            Stmt::Set(set) => self.expression(&set.expr),
            Stmt::SetBlock(block) => {
                no("`set` takes a value; a block of text is written where it belongs", block.span())
            }
            Stmt::AutoEscape(block) => no("`autoescape` is always on", block.span()),
            Stmt::FilterBlock(block) => no("`filter` blocks are not understood", block.span()),
            Stmt::Do(block) => no("`do` is not understood", block.span()),
            Stmt::Block(block) => no(SHARE, block.span()),
            Stmt::Import(block) => no(SHARE, block.span()),
            Stmt::FromImport(block) => no(SHARE, block.span()),
            Stmt::Extends(block) => no(SHARE, block.span()),
            Stmt::Include(block) => no(SHARE, block.span()),
            Stmt::Macro(block) => no("`macro` is not understood", block.span()),
            Stmt::CallBlock(block) => no("`call` is not understood", block.span()),
        }
    }

    fn expression(&self, expression: &Expr<'_>) -> Checked {
        match expression {
            Expr::Var(_) | Expr::Const(_) => Ok(()),
            Expr::Slice(slice) => {
                let bounds = [&slice.start, &slice.stop, &slice.step].into_iter().flatten();
                std::iter::once(&slice.expr).chain(bounds).try_for_each(|one| self.expression(one))
            }
            Expr::UnaryOp(unary) => self.expression(&unary.expr),
            Expr::BinOp(binary) => {
                Self::operator(binary.op, &binary.left, &binary.right, binary.span())?;
                self.expression(&binary.left)?;
                self.expression(&binary.right)
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr)?;
                compare.ops.iter().try_for_each(|one| self.expression(&one.expr))
            }
            Expr::IfExpr(choice) => {
                let last = choice.false_expr.as_ref();
                [Some(&choice.test_expr), Some(&choice.true_expr), last]
                    .into_iter()
                    .flatten()
                    .try_for_each(|one| self.expression(one))
            }
            Expr::Filter(filter) => {
                let known = self.environment.empty_state().apply_filter(filter.name, &[]);
                if known.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter) {
                    let hint = near::meant(filter.name, FILTERS.split_ascii_whitespace());
                    let what = format!("unknown filter `{}`{hint}", filter.name);
                    return Err((what, filter.span()));
                }
                takes(filter.name, &filter.args).map_err(|what| (what, filter.span()))?;
                filter.expr.as_ref().map_or(Ok(()), |one| self.expression(one))?;
                self.arguments(&filter.args)
            }
            Expr::Test(test) => {
                let known = self.environment.empty_state().perform_test(test.name, &[]);
                if known.is_err_and(|error| error.kind() == ErrorKind::UnknownTest) {
                    let hint = near::meant(test.name, TESTS.split_ascii_whitespace());
                    return Err((format!("unknown test `{}`{hint}", test.name), test.span()));
                }
                self.expression(&test.expr)?;
                self.arguments(&test.args)
            }
            Expr::GetAttr(get) => self.expression(&get.expr),
            Expr::GetItem(get) => {
                self.expression(&get.expr)?;
                self.expression(&get.subscript_expr)
            }
            Expr::Call(call) => no("there are no functions to call", call.span()),
            Expr::List(list) => constants(&list.items, list.span()),
            Expr::Tuple(tuple) => constants(&tuple.items, tuple.span()),
            Expr::Map(map) => {
                constants(&map.keys, map.span())?;
                constants(&map.values, map.span())
            }
        }
    }

    fn arguments(&self, arguments: &[CallArg<'_>]) -> Checked {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(one)
            | CallArg::Kwarg(_, one)
            | CallArg::PosSplat(one)
            | CallArg::KwargSplat(one) => self.expression(one),
        })
    }

    /// Numbers may be added to a constant; strings may not be joined or repeated.
    fn operator(op: BinOpKind, left: &Expr<'_>, right: &Expr<'_>, span: Span) -> Checked {
        let number =
            |one: &Expr<'_>| matches!(one, Expr::Const(constant) if constant.value.is_number());
        match op {
            BinOpKind::Concat => no("`~` is not understood: write {{ a }}{{ b }}", span),
            BinOpKind::Mul | BinOpKind::Pow => {
                no("`*` and `**` are not understood: state products in the data", span)
            }
            BinOpKind::Add if !number(left) && !number(right) => {
                no("`+` adds a number to a value; state other sums in the data", span)
            }
            BinOpKind::Add
            | BinOpKind::Sub
            | BinOpKind::Div
            | BinOpKind::FloorDiv
            | BinOpKind::Rem
            | BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte
            | BinOpKind::ScAnd
            | BinOpKind::ScOr
            | BinOpKind::In => Ok(()),
        }
    }
}

/// Refuses arguments that a filter of ours does not take.
fn takes(filter: &str, arguments: &[CallArg<'_>]) -> Result<(), String> {
    let Some(known) = own::arguments(filter) else { return Ok(()) };
    if known.is_empty() && !arguments.is_empty() {
        return Err(format!("`{filter}` takes no argument"));
    }
    match arguments {
        [CallArg::Pos(Expr::Const(constant))] => match constant.value.as_str() {
            Some(word) if known.contains(&word) => Ok(()),
            Some(word) => {
                let word = near::quote(word);
                let known: Vec<String> = known.iter().map(|one| format!("\"{one}\"")).collect();
                Err(format!("`{filter}` takes {} or nothing, not {word}", known.join(", ")))
            }
            None => Err(format!("`{filter}` takes a text in quotes, or nothing")),
        },
        [] | [CallArg::Pos(_)] => Ok(()),
        _ => Err(format!("`{filter}` takes one argument without a name, or none")),
    }
}

/// A list holds what is written there, and no values that grow.
fn constants(items: &[Expr<'_>], span: Span) -> Checked {
    if items.iter().all(|item| matches!(item, Expr::Const(_))) {
        Ok(())
    } else {
        no("a list or a map holds constants only", span)
    }
}

#[cfg(test)]
mod tests_of_the_guard {
    use super::*;

    fn refused(source: &str) -> Option<String> {
        let mut environment = environment();
        super::super::filters::install(&mut environment);
        check(source, SyntaxConfig::default(), &environment).err().map(|error| error.to_string())
    }

    #[test]
    fn nothing_that_makes_values_larger_can_be_said() {
        let bombs = [
            "{% set a = 'x' * 1000000000 %}",
            "{{ 2 ** 100000 }}",
            "{% set a = d.x ~ d.x %}",
            "{% set a = d.x + d.x %}",
            "{% set a = [d.x, d.x] %}",
            "{% set a = {'x': d.x} %}",
            "{% set a %}{% for b in d.x %}{{ b }}{% endfor %}{% endset %}",
            "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
            "{% for a in range(1000000) %}x{% endfor %}",
            "{% for a in d.x recursive %}{{ loop(d.x) }}{% endfor %}",
            "{{ d.x|replace('a', d.x) }}",
            "{{ d.x|map('replace', 'a', d.x) }}",
            "{{ d.x|batch(1000000000, 'x') }}",
            "{{ d.x|indent(1000000000) }}",
            "{{ namespace(a=d.x) }}",
            "{% include 'template.html' %}",
            "{% filter upper %}x{% endfilter %}",
            "{% autoescape false %}{{ d.x }}{% endautoescape %}",
            "{{ d.x|safe }}",
            "{{ 'x' is nonsense }}",
        ];
        for bomb in bombs {
            let said = refused(bomb).unwrap_or_else(|| panic!("{bomb} was not refused"));
            assert!(said.contains("template.html:1:"), "{bomb}: {said} names the place");
        }
    }

    #[test]
    fn what_is_misspelt_is_answered_with_what_is_near() {
        for (source, says) in [
            ("{{ d.x|mony }}", "unknown filter `mony`; did you mean `money`?"),
            ("{{ 1 if d.x is defind }}", "unknown test `defind`; did you mean `defined`?"),
            ("{{ d.x|date('long') }}", "`date` takes \"short\" or nothing, not `long`"),
            ("{{ d.x|era('tiny') }}", "`era` takes \"short\" or nothing, not `tiny`"),
            ("{{ d.x|money('YEN') }}", "\"JPY\", \"EUR\", \"USD\" or nothing, not `YEN`"),
            ("{{ d.x|yen('JPY') }}", "`yen` takes no argument"),
            ("{{ d.x|date('short', 'x') }}", "one argument"),
        ] {
            let said = refused(source).unwrap_or_else(|| panic!("{source} was not refused"));
            assert!(said.contains(says), "{source}: {said}");
        }
        let mut environment = environment();
        super::super::filters::install(&mut environment);
        let mut state = environment.empty_state();
        for filter in FILTERS.split_ascii_whitespace() {
            let known = state.apply_filter(filter, &[]);
            assert!(
                !known.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter),
                "{filter}"
            );
        }
        for test in TESTS.split_ascii_whitespace() {
            let known = state.perform_test(test, &[]);
            assert!(!known.is_err_and(|error| error.kind() == ErrorKind::UnknownTest), "{test}");
        }
        let added = |what: &str| -> usize {
            let sources = [include_str!("guard.rs"), include_str!("filters.rs")];
            sources.iter().map(|source| source.matches(what).count()).sum()
        };
        assert_eq!(FILTERS.split_ascii_whitespace().count(), added("add_filter(") - 1);
        assert_eq!(TESTS.split_ascii_whitespace().count(), added("add_test(") - 1);
    }

    #[test]
    fn what_templates_need_can_be_said() {
        let fine = [
            "{% set of = t.lines[loop.index0] %}{{ of.amount|yen }}",
            "{% for line in d.lines or [] if line.name %}{{ loop.index + 1 }}{% else %}–{% endfor %}",
            "{{ d.a if d.a is defined else 'b' }}{% if d.kind in ['a', 'b'] %}{% endif %}",
            "{% with name = d.name|trim|upper %}{{ name|default('x') }}{% endwith %}",
            "{{ d.lines|selectattr('tax_class', 'eq', 'reduced')|length }}",
        ];
        for source in fine {
            assert_eq!(refused(source), None, "{source}");
        }
    }
}
