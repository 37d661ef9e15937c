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
use shapes::{attributes, bodies, field, item, lacks, value};

mod shapes;

/// The shape of what the rules of a kind compute, `t` of a template.
pub(super) const COMPUTED: &str = include_str!("../computed.schema.json");

/// What a loop says of itself.
const LOOP: [&str; 11] = [
    "index",
    "index0",
    "revindex",
    "revindex0",
    "first",
    "last",
    "length",
    "depth",
    "depth0",
    "previtem",
    "nextitem",
];

/// Refuses what asks for fields that there are not; `ruled` says that the template's kind
/// has rules.
pub(super) fn check(source: &Whole, schema: &Schema, ruled: bool) -> Result<(), RenderError> {
    let none = || Ok(Schema::Object { fields: Vec::new() });
    let computed = if ruled { Schema::compile(COMPUTED.as_bytes()) } else { none() }?;
    let language = Schema::words(&["ja", "en"]);
    let parsed = parse(&source.text, "template.html", template::syntax()?);
    let parsed = parsed.map_err(|error| source.relocate(template::failed(&error)))?;
    let mut walk = Walk {
        source,
        data: schema,
        names: HashMap::from([
            ("d", vec![Some(schema)]),
            ("t", vec![Some(&computed)]),
            ("locale", vec![Some(&language)]),
            ("ja", vec![Some(&Schema::Boolean)]),
        ]),
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
                self.shape(&slice.expr).filter(|whole| item(whole).is_some())
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
                let shape = self.shape(&test.expr);
                self.arguments(&test.args);
                if let ("eq" | "equalto" | "ne", [with]) = (test.name, &*test.args) {
                    self.word((&test.expr, shape), value(with));
                }
                None
            }
            // Constants only; there are no functions.
            Expr::Const(_) | Expr::Call(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => None,
        }
    }

    /// One or the other: certain where both are of the same shape.
    fn or(&mut self, one: Shape<'s>, other: &Expr<'t>) -> Shape<'s> {
        let second = self.shape(other);
        one.filter(|one| match (other, one) {
            (Expr::Const(constant), Schema::Text { words, .. }) => {
                let word = constant.value.as_str();
                words.is_empty() || word.is_some_and(|word| words.iter().any(|one| one == word))
            }
            (Expr::Const(_), _) => true,
            (Expr::List(list), _) => list.items.is_empty(),
            (Expr::Map(map), _) => map.keys.is_empty(),
            _ => second.is_some_and(|second| *one == second),
        })
    }

    fn operator(&mut self, binary: &BinOp<'t>) -> Shape<'s> {
        let left = self.shape(&binary.left);
        if matches!(binary.op, BinOpKind::ScOr) {
            return self.or(left, &binary.right);
        }
        let right = self.shape(&binary.right);
        if matches!(binary.op, BinOpKind::Eq | BinOpKind::Ne | BinOpKind::In) {
            self.word((&binary.left, left), &binary.right);
        }
        if matches!(binary.op, BinOpKind::Eq | BinOpKind::Ne) {
            self.word((&binary.right, right), &binary.left);
        }
        None
    }

    fn compare(&mut self, compare: &Compare<'t>) {
        let mut left = (&compare.expr, self.shape(&compare.expr));
        for one in &compare.ops {
            let right = (&one.expr, self.shape(&one.expr));
            match one.op {
                CompareOpKind::Eq | CompareOpKind::Ne => {
                    self.word(left, right.0);
                    self.word(right, left.0);
                }
                CompareOpKind::In | CompareOpKind::NotIn => self.word(left, right.0),
                _ => {}
            }
            left = right;
        }
    }

    /// A field that holds one of some words is compared with one of them, or with some.
    fn word(&mut self, (field, shape): (&Expr<'t>, Shape<'s>), with: &Expr<'t>) {
        let Some(Schema::Text { words, .. }) = shape else { return };
        let with = match with {
            Expr::List(list) => &*list.items,
            Expr::Tuple(list) => &*list.items,
            one => std::slice::from_ref(one),
        };
        let strange = |one: &str| !words.is_empty() && words.iter().all(|word| word != one);
        for one in with {
            let Expr::Const(constant) = one else { continue };
            if let Some(one) = constant.value.as_str().filter(|one| strange(one)) {
                self.note(field, |of| {
                    let known: Vec<&str> = words.iter().map(String::as_str).collect();
                    format!("{of} is never {}{}", near::quote(one), near::expected(one, &known))
                });
            }
        }
    }

    fn attribute(&mut self, get: &GetAttr<'t>) -> Shape<'s> {
        let shape = self.shape(&get.expr);
        if matches!(&get.expr, Expr::Var(name) if name.id == "loop") && !LOOP.contains(&get.name) {
            self.note(&get.expr, |of| {
                let hint = near::meant(get.name, LOOP);
                format!("{of} has no field {}{hint}", near::quote(get.name))
            });
        }
        self.field(shape?, get.name, &get.expr)
    }

    fn element(&mut self, get: &GetItem<'t>) -> Shape<'s> {
        let shape = self.shape(&get.expr);
        self.shape(&get.subscript_expr);
        match &get.subscript_expr {
            Expr::Const(name) if name.value.as_str().is_some() => {
                self.field(shape?, name.value.as_str()?, &get.expr)
            }
            _ => item(shape?),
        }
    }

    /// The field of a value; a fault where it has none of that name.
    fn field(&mut self, shape: &'s Schema, name: &str, of: &Expr<'t>) -> Shape<'s> {
        let found = field(shape, name);
        if found.is_none() {
            let data = self.data;
            self.note(of, |of| format!("{of} {}", lacks(shape, name, data)));
        }
        found
    }

    fn filter(&mut self, filter: &Filter<'t>) -> Shape<'s> {
        let shape = filter.expr.as_ref().and_then(|of| self.shape(of));
        self.arguments(&filter.args);
        if let (Some(items), Some(of)) = (shape.and_then(item), &filter.expr) {
            for path in attributes(filter) {
                let lost = path.trim().split('.').try_fold(items, |shape, step| match shape {
                    Schema::List { items, .. } if step.parse::<usize>().is_ok() => Ok(&**items),
                    _ => field(shape, step).ok_or((shape, step)),
                });
                if let Err((shape, step)) = lost {
                    let (data, filter) = (self.data, filter.name);
                    self.note(of, |of| {
                        let lacks = lacks(shape, step, data);
                        format!("an item of {of} {lacks} (`{filter}`)")
                    });
                }
            }
        }
        match filter.name {
            "reverse" | "sort" | "select" | "reject" | "selectattr" | "rejectattr" => {
                shape.filter(|whole| item(whole).is_some())
            }
            "first" | "last" | "min" | "max" => shape.and_then(item),
            "default" | "d" => match filter.args.first() {
                Some(CallArg::Pos(other)) => self.or(shape, other),
                Some(_) => None,
                None => shape,
            },
            _ => None,
        }
    }

    fn arguments(&mut self, arguments: &[CallArg<'t>]) {
        for argument in arguments {
            self.shape(value(argument));
        }
    }

    /// Keeps what is wrong with an expression, if it is the first and no shared part says it.
    fn note(&mut self, expression: &Expr<'_>, what: impl FnOnce(String) -> String) {
        let offset = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX);
        let (from, to) = (offset(begins(expression)), offset(expression.span().end_offset));
        if self.fault.is_none() && !self.source.file_at(from).starts_with(FROM_SHARED) {
            let of = near::quote(self.source.text.get(from..to).unwrap_or_default());
            self.fault = Some((from, what(of)));
        }
    }
}
