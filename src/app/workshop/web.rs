//! The preview's page, its state as JSON, and its documents.

use std::{process::Stdio, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use minijinja::{AutoEscape, Environment, context};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;
use tokio::{io::AsyncWriteExt as _, process::Command};
use tokio_util::sync::CancellationToken;

use super::{
    LOCALES,
    watch::{Board, Good, View},
};
use crate::{app::worker::wait, domain::locale::Locale, entropy::Entropy};

/// How long a question after news waits for some.
const POLL: std::time::Duration = std::time::Duration::from_secs(25);
/// How long drawing a page may take.
const DRAWING: std::time::Duration = std::time::Duration::from_secs(20);
/// Dots per inch of the drawn pages: sharp on a screen with two dots a pixel.
const DPI: &str = "160";

/// What the pages need.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) board: Arc<Board>,
    pub(super) name: Arc<str>,
    /// Whether there are files to edit.
    pub(super) editable: bool,
    pub(super) token: Arc<str>,
    pub(super) port: u16,
    /// What is shown first.
    pub(super) first: (Option<String>, Locale),
    pub(super) entropy: Entropy,
    pub(super) stop: CancellationToken,
}

#[derive(Deserialize)]
struct Which {
    sample: String,
    locale: Locale,
}

#[derive(Deserialize)]
struct Seen {
    seen: u64,
}

/// The pages, behind the check of host and token.
pub(super) fn router(desk: Desk) -> anyhow::Result<Router> {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.add_template("page", include_str!("../../../templates/workshop/preview.html"))?;
    let page = Arc::new(templates);
    let guarded = Router::new()
        .route("/{token}/", get(async move |desk: State<Desk>| show(&desk, &page)))
        .route("/{token}/state", get(state))
        .route("/{token}/document.pdf", get(document))
        .route("/{token}/written.html", get(written))
        .route("/{token}/pages/{number}", get(drawn))
        .layer(middleware::from_fn_with_state(desk.clone(), guard));
    Ok(guarded.with_state(desk))
}

/// Lets only the person through who was told the address.
async fn guard(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let hosts = [format!("127.0.0.1:{}", desk.port), format!("localhost:{}", desk.port)];
    let known = host.is_some_and(|host| hosts.iter().any(|one| one == host));
    let token = request.uri().path().split('/').nth(1).unwrap_or_default();
    let right = bool::from(token.as_bytes().ct_eq(desk.token.as_bytes()));
    let mut answer = if known && right {
        next.run(request).await
    } else {
        (StatusCode::NOT_FOUND, "not here\n").into_response()
    };
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn show(desk: &Desk, page: &Environment<'static>) -> Response {
    let Ok(nonce) = desk.entropy.array::<16>() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let nonce = data_encoding::BASE64URL_NOPAD.encode(&nonce);
    let view = context! {
        name => &*desk.name,
        nonce => &nonce,
        editable => desk.editable,
        sample => desk.first.0.as_deref().unwrap_or("sample.json"),
        locale => desk.first.1.tag(),
        locales => LOCALES.map(Locale::tag),
        style => include_str!("../../../templates/workshop/preview.css"),
        script => include_str!("../../../templates/workshop/preview.js"),
    };
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src \
         'self' blob:; connect-src 'self'; frame-src 'self'; object-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    );
    match page.get_template("page").and_then(|page| page.render(view)) {
        Ok(html) => ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "the page of the preview is broken");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What there is to see, as soon as it is newer than what was seen.
async fn state(State(desk): State<Desk>, Query(Seen { seen }): Query<Seen>) -> Response {
    let mut bell = desk.board.bell();
    tokio::select! {
        rung = bell.wait_for(|revision| *revision > seen) => drop(rung),
        () = wait(POLL) => {}
        () = desk.stop.cancelled() => {}
    }
    Json(told(&desk.board.view())).into_response()
}

fn told(view: &View) -> Value {
    let documents = view.good.iter().map(|((sample, locale), good)| {
        json!({
            "sample": sample,
            "locale": locale,
            "pages": good.pages,
            "bytes": good.pdf.len(),
            "revision": good.revision,
            "version": good.version,
        })
    });
    json!({
        "revision": view.revision,
        "version": view.version,
        "milliseconds": view.milliseconds,
        "samples": view.samples,
        "faults": view.faults,
        "documents": documents.collect::<Vec<_>>(),
    })
}

impl Desk {
    fn good(&self, which: &Which) -> Option<Good> {
        self.board.view().document(&which.sample, which.locale).cloned()
    }
}

async fn document(State(desk): State<Desk>, Query(which): Query<Which>) -> Response {
    let Some(good) = desk.good(&which) else { return StatusCode::NOT_FOUND.into_response() };
    let head = [
        (header::CONTENT_TYPE, "application/pdf"),
        (header::CONTENT_DISPOSITION, "inline; filename=\"preview.pdf\""),
    ];
    (head, good.pdf.to_vec()).into_response()
}

/// The HTML behind a document, to be read: also where it is wrong.
async fn written(State(desk): State<Desk>, Query(which): Query<Which>) -> Response {
    let view = desk.board.view();
    match view.written.get(&(which.sample, which.locale.tag())) {
        Some(html) => ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], html.to_string())
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A page as an image, drawn by poppler where it is installed. The document goes
/// through pipes and touches no file.
async fn drawn(
    State(desk): State<Desk>,
    Path((_, number)): Path<(String, u32)>,
    Query(which): Query<Which>,
) -> Response {
    let Some(good) = desk.good(&which).filter(|good| (1..=good.pages).contains(&number)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let image = tokio::select! {
        image = draw(good.pdf.to_vec(), number) => image,
        () = wait(DRAWING) => None,
    };
    match image {
        Some(image) => ([(header::CONTENT_TYPE, "image/png")], image).into_response(),
        // The page falls back to the browser's own viewer.
        None => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}

async fn draw(pdf: Vec<u8>, number: u32) -> Option<Vec<u8>> {
    let page = number.to_string();
    let mut child = Command::new("pdftoppm")
        .args(["-r", DPI, "-png", "-f", &page, "-l", &page, "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut input = child.stdin.take()?;
    // Its input ends before its output begins: the file's end is read first.
    input.write_all(&pdf).await.ok()?;
    drop(input);
    let output = child.wait_with_output().await.ok()?;
    Some(output.stdout).filter(|image| output.status.success() && !image.is_empty())
}
