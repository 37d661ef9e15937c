//! The mail catcher's pages and its JSON interface.
//!
//! A mail's HTML is shown in a sandboxed frame that runs no script and loads
//! nothing; its links open in a window of their own, which is the step from
//! the mail to the link page that the demo is about.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderName, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use minijinja::{AutoEscape, Environment, Value, context, value::Serde};
use serde::{Deserialize, Serialize};

use super::{
    Catcher,
    view::{Page, Row, pieces},
};

/// Rows of one page of the list.
const ROWS: usize = 50;

#[derive(Clone)]
struct Desk {
    catcher: Catcher,
    base: Arc<str>,
    templates: Arc<Environment<'static>>,
}

#[derive(Deserialize)]
struct Paging {
    before: Option<u64>,
}

#[derive(Serialize)]
struct List {
    caught: u64,
    mails: Vec<Row>,
    older: Option<u64>,
}

pub(super) fn router(catcher: Catcher, base: &str) -> Router {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    for (name, source) in [
        ("list", include_str!("../../../templates/mail/catcher_list.html")),
        ("mail", include_str!("../../../templates/mail/catcher_mail.html")),
        ("style", include_str!("../../../templates/mail/catcher_style.css")),
    ] {
        if let Err(error) = templates.add_template(name, source) {
            // A test renders every page, so this is met long before a user is.
            tracing::error!(template = name, %error, "a page of the mail catcher is broken");
        }
    }
    let desk = Desk { catcher, base: base.into(), templates: Arc::new(templates) };
    Router::new()
        .route("/", get(list_page))
        .route("/mails/{number}", get(mail_page))
        .route("/mails/{number}/html", get(mail_html))
        .route("/api/mails", get(list_json))
        .route("/api/mails/{number}", get(mail_json))
        .route("/api/mails/{number}/raw", get(mail_raw))
        .with_state(desk)
}

async fn list_page(State(desk): State<Desk>, Query(paging): Query<Paging>) -> Response {
    let list = desk.list(&paging);
    desk.page("list", context! { base => desk.base(), list => Value::from(Serde(list)) })
}

async fn mail_page(State(desk): State<Desk>, Path(number): Path<u64>) -> Response {
    let Some(page) = desk.open(number) else { return gone() };
    let pieces = Value::from(Serde(pieces(&page.text)));
    let mail = Value::from(Serde(&page));
    desk.page("mail", context! { base => desk.base(), mail => mail, pieces => pieces })
}

async fn mail_html(State(desk): State<Desk>, Path(number): Path<u64>) -> Response {
    let Some(page) = desk.open(number) else { return gone() };
    // `sandbox` here too, for a reader who opens the frame by itself.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
                  sandbox allow-popups allow-popups-to-escape-sandbox";
    let base = "<base target=\"_blank\">";
    let html = match page.html.split_once("<head>") {
        Some((before, after)) => format!("{before}<head>{base}{after}"),
        None => format!("{base}{}", page.html),
    };
    (head(policy), Html(html)).into_response()
}

async fn list_json(State(desk): State<Desk>, Query(paging): Query<Paging>) -> Response {
    (head("default-src 'none'"), Json(desk.list(&paging))).into_response()
}

async fn mail_json(State(desk): State<Desk>, Path(number): Path<u64>) -> Response {
    let Some(page) = desk.open(number) else { return gone() };
    (head("default-src 'none'"), Json(page)).into_response()
}

async fn mail_raw(State(desk): State<Desk>, Path(number): Path<u64>) -> Response {
    let Some(mail) = desk.catcher.mail(number) else { return gone() };
    let kind = [
        (header::CONTENT_TYPE, "message/rfc822"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"mail.eml\""),
    ];
    (head("default-src 'none'"), kind, mail.bytes.to_vec()).into_response()
}

fn gone() -> Response {
    (StatusCode::NOT_FOUND, head("default-src 'none'"), "no such mail\n").into_response()
}

/// Headers of every answer: the pages hold live links.
fn head(policy: &'static str) -> [(HeaderName, &'static str); 5] {
    [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ]
}

impl Desk {
    fn list(&self, paging: &Paging) -> List {
        let before = paging.before.unwrap_or(u64::MAX);
        let mails = self.catcher.mails();
        let mut fitting = mails.iter().filter(|mail| mail.number < before);
        let rows: Vec<Row> = fitting.by_ref().take(ROWS).map(|mail| Row::of(mail)).collect();
        let more = fitting.next().is_some();
        let older = rows.last().filter(|_| more).map(|row| row.number);
        List { caught: self.catcher.caught(), mails: rows, older }
    }

    /// The base as the operator wrote it, slashes and all.
    fn base(&self) -> Value {
        Value::from_safe_string(self.base.to_string())
    }

    fn open(&self, number: u64) -> Option<Page> {
        self.catcher.mail(number).map(|mail| Page::of(&mail))
    }

    fn page(&self, name: &str, view: Value) -> Response {
        let rendered = self.templates.get_template(name).and_then(|page| page.render(view));
        let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
        match rendered {
            Ok(html) => (head(policy), Html(html)).into_response(),
            Err(error) => {
                tracing::error!(template = name, %error, "a page of the mail catcher is broken");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
