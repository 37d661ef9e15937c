//! Fields that a template asks for and its schema does not have.
//!
//! What is printed must be there, and minijinja says so. But what is only tested, gone
//! through or summed up may be missing, and of a misspelt `{% if d.discont %}` nothing
//! would ever be seen. So every way into the data is held against the schema, through
//! loops and names, and so are the words that a field is compared with; for what the rules
//! of a kind compute there is a schema of ours. Where it is not certain what a name stands
//! for, nothing is said.
//!
//! A part that several templates share may ask for what only some of them have.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "statements and expressions of minijinja, of which the guard lets only some through"
)]

use std::collections::HashMap;

use minijinja::machinery::{
    ast::{
        BinOp, BinOpKind, CallArg, Compare, CompareOpKind, Expr, Filter, GetAttr, GetItem, Stmt,
    },
    parse,
};

use super::{
    blame::begins,
    error::{At, RenderError},
    near,
    parts::{FROM_SHARED, Whole},
    schema::Schema,
    template,
};

/// The shape of what the rules of a kind compute, `t` of a template.
pub(super) const COMPUTED: &str = include_str!("computed.schema.json");

/// Refuses what asks for fields that there are not; `ruled` says that the template's kind
/// has rules.
pub(super) fn check(source: &Whole, schema: &Schema, ruled: bool) -> Result<(), RenderError> {
    let computed = ruled.then(|| Schema::compile(COMPUTED.as_bytes())).transpose()?;
    let parsed = parse(&source.text, "template.html", template::syntax()?);
    let parsed = parsed.map_err(|error| source.relocate(template::failed(&error)))?;
    let mut walk = Walk {
        source,
        data: schema,
        names: HashMap::from([("d", vec![Some(schema)]), ("t", vec![computed.as_ref()])]),
        bound: Vec::new(),
        set: HashMap::new(),
        fault: None,
    };
    walk.count(std::slice::from_ref(&parsed));
    walk.one(&parsed);
    match walk.fault {
        Some((offset, what)) => {
            let at = Some(At::offset(&source.text, offset));
            Err(source.relocate(RenderError::template("template.html", what, at)))
        }
        None => Ok(()),
    }
}

/// What a value is according to the schema, where that is certain.
type Shape<'s> = Option<&'s Schema>;

struct Walk<'t, 's> {
    source: &'t Whole,
    /// The data from end to end.
    data: &'s Schema,
    /// What a name stands for here; the innermost last.
    names: HashMap<&'t str, Vec<Shape<'s>>>,
    /// The names in the order in which they were given.
    bound: Vec<&'t str>,
    /// How often `set` gives a name its value.
    set: HashMap<&'t str, usize>,
    /// The first fault: its offset, and what is wrong there.
    fault: Option<(usize, String)>,
}

impl<'t, 's> Walk<'t, 's> {
    /// Counts what is set: a name with several values is none that is certain.
    fn count(&mut self, statements: &[Stmt<'t>]) {
        for statement in statements {
            let (one, other) = bodies(statement);
            self.count(one);
            self.count(other);
            if let Stmt::Set(set) = statement
                && let Expr::Var(name) = &set.target
            {
                let times = self.set.entry(name.id).or_default();
                *times = times.saturating_add(1);
            }
        }
    }

    fn all(&mut self, statements: &[Stmt<'t>]) {
        for statement in statements {
            self.one(statement);
        }
    }

    fn one(&mut self, statement: &Stmt<'t>) {
        let outside = self.bound.len();
        let (body, other) = bodies(statement);
        match statement {
            Stmt::EmitExpr(emit) => drop(self.shape(&emit.expr)),
            Stmt::IfCond(cond) => drop(self.shape(&cond.expr)),
            Stmt::Set(set) => {
                let shape = self.shape(&set.expr);
                // In a branch that is not taken it still stands for what it did.
                let before = |name: &str| self.names.get(name).is_some_and(|is| !is.is_empty());
                let again = matches!(&set.target, Expr::Var(name) if before(name.id));
                self.bind(&set.target, shape.filter(|_| !again));
            }
            Stmt::ForLoop(each) => {
                let list = self.shape(&each.iter);
                self.name("loop", None);
                self.bind(&each.target, list.and_then(item));
                if let Some(filter) = &each.filter_expr {
                    self.shape(filter);
                }
                self.all(body);
                self.leave(outside);
                self.all(other);
                self.leave(outside);
                return;
            }
            Stmt::WithBlock(with) => {
                for (name, value) in &with.assignments {
                    let shape = self.shape(value);
                    self.bind(name, shape);
                }
                self.all(body);
                self.leave(outside);
                return;
            }
            // The guard lets no other through.
            _ => {}
        }
        self.all(body);
        self.all(other);
    }

    fn name(&mut self, name: &'t str, shape: Shape<'s>) {
        self.names.entry(name).or_default().push(shape);
        self.bound.push(name);
    }

    /// Forgets the names that were given since there were so many.
    fn leave(&mut self, outside: usize) {
        for name in self.bound.drain(outside..) {
            self.names.entry(name).or_default().pop();
        }
    }

    /// From here on the name stands for this.
    fn bind(&mut self, target: &Expr<'t>, shape: Shape<'s>) {
        match target {
            Expr::Var(name) => {
                let certain = self.set.get(name.id).is_none_or(|times| *times < 2);
                self.name(name.id, shape.filter(|_| certain));
            }
            Expr::Tuple(names) => names.items.iter().for_each(|name| self.bind(name, None)),
            Expr::List(names) => names.items.iter().for_each(|name| self.bind(name, None)),
            _ => {}
        }
    }

    /// What an expression comes to; all that it is made of is looked at.
    fn shape(&mut self, expression: &Expr<'t>) -> Shape<'s> {
        match expression {
            Expr::Var(name) => *self.names.get(name.id)?.last()?,
            Expr::GetAttr(get) => self.attribute(get),
            Expr::GetItem(get) => self.element(get),
            Expr::Filter(filter) => self.filter(filter),
            Expr::BinOp(binary) => self.operator(binary),
            Expr::Compare(compare) => {
                self.compare(compare);
                None
            }
            Expr::Slice(slice) => {
                for bound in [&slice.start, &slice.stop, &slice.step].into_iter().flatten() {
                    self.shape(bound);
                }
                self.shape(&slice.expr)
            }
            Expr::UnaryOp(unary) => {
                self.shape(&unary.expr);
                None
            }
            Expr::IfExpr(choice) => {
                self.shape(&choice.test_expr);
                let one = self.shape(&choice.true_expr);
                let other = choice.false_expr.as_ref().map(|other| self.or(one, other));
                other.unwrap_or(one)
            }
            Expr::Test(test) => {
                self.shape(&test.expr);
                self.arguments(&test.args);
                None
            }
            // Constants only; there are no functions.
            Expr::Const(_) | Expr::Call(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => None,
        }
    }

    /// One or the other: certain where the other is written out, or the same.
    fn or(&mut self, one: Shape<'s>, other: &Expr<'t>) -> Shape<'s> {
        let second = self.shape(other);
        let written = matches!(other, Expr::Const(_) | Expr::List(_) | Expr::Map(_));
        one.filter(|one| written || second.is_some_and(|second| std::ptr::eq(*one, second)))
    }

    fn operator(&mut self, binary: &BinOp<'t>) -> Shape<'s> {
        let left = self.shape(&binary.left);
        if matches!(binary.op, BinOpKind::ScOr) {
            return self.or(left, &binary.right);
        }
        let right = self.shape(&binary.right);
        if matches!(binary.op, BinOpKind::Eq | BinOpKind::Ne) {
            self.word((&binary.left, left), &binary.right);
            self.word((&binary.right, right), &binary.left);
        }
        None
    }

    fn compare(&mut self, compare: &Compare<'t>) {
        let mut left = (&compare.expr, self.shape(&compare.expr));
        for one in &compare.ops {
            let right = (&one.expr, self.shape(&one.expr));
            if matches!(one.op, CompareOpKind::Eq | CompareOpKind::Ne) {
                self.word(left, right.0);
                self.word(right, left.0);
            }
            left = right;
        }
    }

    /// A field that holds one of some words is compared with one of them.
    fn word(&mut self, (field, shape): (&Expr<'t>, Shape<'s>), with: &Expr<'t>) {
        let (Some(Schema::Text { words, .. }), Expr::Const(constant)) = (shape, with) else {
            return;
        };
        let Some(word) = constant.value.as_str() else { return };
        if words.is_empty() || words.iter().any(|known| known == word) {
            return;
        }
        let known: Vec<&str> = words.iter().map(String::as_str).collect();
        let why = format!("is never {}{}", near::quote(word), near::expected(word, &known));
        self.note("", field, &why);
    }

    fn attribute(&mut self, get: &GetAttr<'t>) -> Shape<'s> {
        let shape = self.shape(&get.expr)?;
        self.field(shape, get.name, &get.expr)
    }

    fn element(&mut self, get: &GetItem<'t>) -> Shape<'s> {
        let shape = self.shape(&get.expr);
        self.shape(&get.subscript_expr);
        match (shape?, &get.subscript_expr) {
            (shape @ Schema::Object { .. }, Expr::Const(name)) => {
                self.field(shape, name.value.as_str()?, &get.expr)
            }
            (shape, _) => item(shape),
        }
    }

    /// The field of a value; a fault where it has none of that name.
    fn field(&mut self, shape: &'s Schema, name: &str, of: &Expr<'t>) -> Shape<'s> {
        match self.named(shape, name) {
            Ok(field) => Some(field),
            Err(why) => {
                self.note("", of, &why);
                None
            }
        }
    }

    fn filter(&mut self, filter: &Filter<'t>) -> Shape<'s> {
        let shape = filter.expr.as_ref().and_then(|of| self.shape(of));
        self.arguments(&filter.args);
        if let (Some(items), Some(of)) = (shape.and_then(item), &filter.expr) {
            for path in attributes(filter) {
                let mut steps = path.trim().split('.');
                let end = steps.try_fold(items, |shape, step| self.named(shape, step));
                if let Err(why) = end {
                    self.note("an item of ", of, &format!("{why} (`{}`)", filter.name));
                }
            }
        }
        match filter.name {
            "reverse" | "sort" | "select" | "reject" | "selectattr" | "rejectattr" => shape,
            "first" | "last" | "min" | "max" => shape.and_then(item),
            "default" | "d" => match filter.args.first() {
                Some(CallArg::Pos(other)) => self.or(shape, other),
                Some(_) => None,
                None => shape,
            },
            _ => None,
        }
    }

    /// The field of a value, or why there is none of that name.
    fn named(&self, shape: &'s Schema, name: &str) -> Result<&'s Schema, String> {
        let is = match shape {
            Schema::Object { fields } => {
                let found = fields.iter().find(|field| field.name == name);
                return found.map(|field| &field.schema).ok_or_else(|| {
                    let file = if shape.is_in(self.data) { " in data.schema.json" } else { "" };
                    let hint = near::meant(name, fields.iter().map(|field| field.name.as_str()));
                    format!("has no field {}{file}{hint}", near::quote(name))
                });
            }
            Schema::List { .. } => "a list; its items are gone through by `for`",
            Schema::Text { .. } => "a text",
            Schema::Integer => "a number",
            Schema::Boolean => "true or false",
        };
        Err(format!("has no field {}: it is {is}", near::quote(name)))
    }

    fn arguments(&mut self, arguments: &[CallArg<'t>]) {
        for argument in arguments {
            self.shape(value(argument));
        }
    }

    /// Keeps what is wrong with an expression, if it is the first and no shared part says it.
    fn note(&mut self, before: &str, expression: &Expr<'_>, why: &str) {
        let offset = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
        let (from, to) = (offset(begins(expression)), offset(expression.span().end_offset));
        if self.fault.is_none() && !self.source.place(from).0.starts_with(FROM_SHARED) {
            let of = near::quote(self.source.text.get(from..to).unwrap_or_default());
            self.fault = Some((from, format!("{before}{of} {why}")));
        }
    }
}

/// An item of a list.
fn item(shape: &Schema) -> Option<&Schema> {
    match shape {
        Schema::List { items, .. } => Some(items),
        Schema::Object { .. } | Schema::Text { .. } | Schema::Integer | Schema::Boolean => None,
    }
}

/// The fields of its items that a filter is told by name.
fn attributes<'f>(filter: &'f Filter<'_>) -> Vec<&'f str> {
    let first = matches!(filter.name, "selectattr" | "rejectattr" | "sum");
    let takes = first || matches!(filter.name, "sort" | "min" | "max");
    let text = |expression: &'f Expr<'_>| match expression {
        Expr::Const(constant) => constant.value.as_str(),
        _ => None,
    };
    let named = filter.args.iter().enumerate().filter_map(|(index, argument)| match argument {
        CallArg::Pos(one) if first && index == 0 => text(one),
        CallArg::Kwarg("attribute", one) if takes => text(one),
        _ => None,
    });
    named.flat_map(|paths| paths.split(',')).collect()
}

fn value<'a, 't>(argument: &'a CallArg<'t>) -> &'a Expr<'t> {
    let (CallArg::Pos(one)
    | CallArg::Kwarg(_, one)
    | CallArg::PosSplat(one)
    | CallArg::KwargSplat(one)) = argument;
    one
}

/// The statements that stand in another.
fn bodies<'a, 't>(statement: &'a Stmt<'t>) -> (&'a [Stmt<'t>], &'a [Stmt<'t>]) {
    match statement {
        Stmt::Template(template) => (&template.children, &[]),
        Stmt::ForLoop(each) => (&each.body, &each.else_body),
        Stmt::IfCond(cond) => (&cond.true_body, &cond.false_body),
        Stmt::WithBlock(with) => (&with.body, &[]),
        // The guard lets no other with a body through.
        _ => (&[], &[]),
    }
}
