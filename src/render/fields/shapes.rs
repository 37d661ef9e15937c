//! What a value is made of according to a schema, and what the statements and filters of
//! minijinja are made of.

use minijinja::machinery::ast::{CallArg, Expr, Filter, Stmt};

use crate::render::{near, schema::Schema};

pub(super) fn field<'s>(shape: &'s Schema, name: &str) -> Option<&'s Schema> {
    let Schema::Object { fields } = shape else { return None };
    fields.iter().find(|field| field.name == name).map(|field| &field.schema)
}

/// Why a value has no field of a name.
pub(super) fn lacks(shape: &Schema, name: &str, data: &Schema) -> String {
    let is = match shape {
        Schema::Object { fields } if fields.is_empty() && !shape.is_in(data) => {
            "rules compute it for kinds of documents that have some"
        }
        Schema::Object { fields } => {
            let file = if shape.is_in(data) { " in data.schema.json" } else { "" };
            let hint = near::meant(name, fields.iter().map(|field| field.name.as_str()));
            return format!("has no field {}{file}{hint}", near::quote(name));
        }
        Schema::List { .. } => "it is a list; its items are gone through by `for`",
        Schema::Text { .. } => "it is a text",
        Schema::Integer => "it is a number",
        Schema::Boolean => "it is true or false",
    };
    format!("has no field {}: {is}", near::quote(name))
}

/// An item of a list.
pub(super) fn item(shape: &Schema) -> Option<&Schema> {
    match shape {
        Schema::List { items, .. } => Some(items),
        Schema::Object { .. } | Schema::Text { .. } | Schema::Integer | Schema::Boolean => None,
    }
}

/// The fields of its items that a filter is told by name.
pub(super) fn attributes<'f>(filter: &'f Filter<'_>) -> Vec<&'f str> {
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

pub(super) fn value<'a, 't>(argument: &'a CallArg<'t>) -> &'a Expr<'t> {
    let (CallArg::Pos(one)
    | CallArg::Kwarg(_, one)
    | CallArg::PosSplat(one)
    | CallArg::KwargSplat(one)) = argument;
    one
}

/// The statements that stand in another.
pub(super) fn bodies<'a, 't>(statement: &'a Stmt<'t>) -> (&'a [Stmt<'t>], &'a [Stmt<'t>]) {
    match statement {
        Stmt::Template(template) => (&template.children, &[]),
        Stmt::ForLoop(each) => (&each.body, &each.else_body),
        Stmt::IfCond(cond) => (&cond.true_body, &cond.false_body),
        Stmt::WithBlock(with) => (&with.body, &[]),
        // The guard lets no other with a body through.
        _ => (&[], &[]),
    }
}
