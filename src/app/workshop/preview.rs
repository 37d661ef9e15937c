//! The preview of a template: a page on this machine that renders again on every
//! save, with the errors beside the document.
//!
//! It listens on 127.0.0.1 only, behind a random token in the path, and answers
//! only requests whose `Host` is this address: a page of the web that guesses
//! the port, or a name that resolves to 127.0.0.1, gets nothing.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context as _;
use tokio::net::TcpListener;

use super::{
    Source, is_sample,
    watch::{self, Board, Subject},
    web,
};
use crate::{
    app::{http, worker::Loops},
    domain::locale::Locale,
    entropy::Entropy,
    render::Renderer,
};

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The template.
    pub source: Source,
    /// 0 takes any free port.
    pub port: u16,
    /// The sample that is shown first: one of the template's, or a file of data.
    pub sample: Option<String>,
    /// The language that is shown first.
    pub locale: Locale,
}

/// A preview that runs.
#[derive(Debug)]
pub struct Preview {
    /// Where its page is, token and all.
    pub url: String,
    loops: Loops,
}

/// Opens the page and starts to watch.
pub async fn open(
    settings: Settings,
    renderer: Renderer,
    entropy: &Entropy,
) -> anyhow::Result<Preview> {
    let asked = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
    let listener = TcpListener::bind(asked)
        .await
        .with_context(|| format!("{asked} cannot be listened on (`--port` takes another)"))?;
    let port = listener.local_addr()?.port();
    let token = data_encoding::HEXLOWER.encode(&entropy.array::<16>()?);
    // A name of the template's own sample, or data from elsewhere.
    let extra = settings.sample.as_ref().filter(|sample| !is_own(&settings.source, sample));
    let extra = extra.map(PathBuf::from);
    if let Some(file) = &extra {
        anyhow::ensure!(file.is_file(), "{} is not a file of data", file.display());
    }
    let board = Arc::new(Board::new());
    let loops = Loops::new();
    let router = web::router(web::Desk {
        board: Arc::clone(&board),
        name: settings.source.shown().into(),
        editable: matches!(settings.source, Source::Folder(_)),
        token: token.clone().into(),
        port,
        first: (settings.sample.clone(), settings.locale),
        entropy: entropy.clone(),
        stop: loops.closing(),
    })?;
    let subject = Subject { source: settings.source, extra };
    loops.spawn(watch::keep(subject, Arc::new(renderer), board, loops.closing()));
    loops.spawn(http::serve(
        listener,
        router,
        http::Serving::default(),
        loops.clone(),
        loops.closing(),
    ));
    Ok(Preview { url: format!("http://127.0.0.1:{port}/{token}/"), loops })
}

impl Preview {
    /// Closes the page.
    pub async fn stop(self) {
        self.loops.stop().await;
    }
}

fn is_own(source: &Source, sample: &str) -> bool {
    let files = source.read().map(|bundle| bundle.files).unwrap_or_default();
    is_sample(sample) && files.iter().any(|(file, _)| file == sample)
}
