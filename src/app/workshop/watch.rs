//! Watches a template and keeps the last good document of every sample.
//!
//! Files are looked at eight times a second: names, sizes and times of change. A
//! change counts once two looks agree, so that a file that is still being
//! written is not taken for a broken one; if it is taken all the same, the next
//! look corrects it, and the last good document stays beside the error.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Fault, Findings, Source, beside, check};
use crate::{
    app::worker::wait,
    domain::{locale::Locale, plain::Plain},
    render::Renderer,
};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(125);

/// What is rendered.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) source: Source,
    /// Data that are not among the template's samples.
    pub(super) extra: Option<PathBuf>,
}

/// A document that was made.
#[derive(Clone, Debug)]
pub(super) struct Good {
    pub(super) pdf: Plain,
    pub(super) pages: u32,
    /// The change it was made after.
    pub(super) revision: u64,
    /// What its template was.
    pub(super) version: String,
}

/// A sample in a language.
pub(super) type Key = (String, &'static str);

/// What there is to see.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// Counts the changes, from 1.
    pub(super) revision: u64,
    pub(super) version: Option<String>,
    pub(super) faults: Vec<Fault>,
    /// The samples that there are now.
    pub(super) samples: Vec<String>,
    /// What the template writes for each now.
    pub(super) written: BTreeMap<Key, Arc<str>>,
    /// The last good document of each.
    pub(super) good: BTreeMap<Key, Good>,
    /// How long checking and rendering everything took.
    pub(super) milliseconds: u128,
}

/// The view, shared with the pages, and the bell that rings when it changes.
#[derive(Debug)]
pub(super) struct Board {
    view: Mutex<View>,
    bell: watch::Sender<u64>,
}

impl Board {
    pub(super) fn new() -> Self {
        Self { view: Mutex::default(), bell: watch::Sender::new(0) }
    }

    /// What there is to see now.
    pub(super) fn view(&self) -> View {
        self.view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of the newest change, and word of the next ones.
    pub(super) fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }

    /// Puts new findings up; documents that could not be made again stay.
    pub(super) fn put(&self, findings: Result<Findings, Fault>, milliseconds: u128) {
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.revision = view.revision.saturating_add(1);
        view.milliseconds = milliseconds;
        match findings {
            Ok(findings) => {
                view.faults = findings.faults().into_iter().cloned().collect();
                if findings.broken.is_none() {
                    view.take(findings);
                }
            }
            Err(fault) => view.faults = vec![fault],
        }
        self.bell.send_replace(view.revision);
    }
}

impl View {
    fn take(&mut self, findings: Findings) {
        let mut samples: Vec<String> = Vec::new();
        self.written.clear();
        for proof in findings.proofs {
            let key = (proof.sample.clone(), proof.locale.tag());
            self.written.extend(proof.html.map(|html| (key.clone(), html)));
            if !samples.contains(&proof.sample) {
                samples.push(proof.sample);
            }
            if let Ok(made) = proof.result {
                let Self { revision, .. } = *self;
                let good =
                    Good { pdf: made.pdf, pages: made.pages, revision, version: made.template };
                self.good.insert(key, good);
            }
        }
        self.good.retain(|(sample, _), _| samples.contains(sample));
        self.samples = samples;
        self.version = findings.version;
    }

    /// The last good document of a sample.
    pub(super) fn document(&self, sample: &str, locale: Locale) -> Option<&Good> {
        self.good.get(&(sample.to_owned(), locale.tag()))
    }
}

/// Names, sizes and times of change.
type Prints = Vec<(PathBuf, u64, Option<SystemTime>)>;

impl Subject {
    fn prints(&self) -> Prints {
        let mut paths: Vec<PathBuf> = self.extra.clone().into_iter().collect();
        if let Source::Folder(folder) = &self.source {
            let folders = [folder.clone(), beside(folder)];
            let entries = folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
            paths.extend(entries.flatten().filter_map(Result::ok).map(|entry| entry.path()));
        }
        paths.sort();
        paths.into_iter().map(|path| print(&path)).collect()
    }

    fn check(&self, renderer: &Renderer) -> Result<Findings, Fault> {
        let bundle = self.source.read().map_err(|error| Fault::unreadable(&error))?;
        let extra = match &self.extra {
            None => None,
            Some(file) => Some(read_extra(file).map_err(|error| Fault::unreadable(&error))?),
        };
        Ok(check(renderer, &bundle, extra.as_ref()))
    }
}

fn print(path: &Path) -> (PathBuf, u64, Option<SystemTime>) {
    match path.metadata() {
        Ok(about) => (path.to_owned(), about.len(), about.modified().ok()),
        Err(_) => (path.to_owned(), 0, None),
    }
}

fn read_extra(file: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let bytes = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    Ok((file.display().to_string(), bytes))
}

/// Checks now, and again after every change, until `stop`.
pub(super) async fn keep(
    subject: Subject,
    renderer: Arc<Renderer>,
    board: Arc<Board>,
    stop: CancellationToken,
) {
    let mut last = subject.prints();
    let mut shown: Option<Prints> = None;
    loop {
        let now = subject.prints();
        let settled = now == last;
        last = now;
        if settled && shown.as_ref() != Some(&last) {
            let (subject, renderer) = (subject.clone(), Arc::clone(&renderer));
            let started = Instant::now();
            let found = tokio::task::spawn_blocking(move || subject.check(&renderer)).await;
            let found = found.unwrap_or_else(|_| {
                Err(Fault::unreadable(&anyhow::anyhow!("the renderer stumbled; save again")))
            });
            board.put(found, started.elapsed().as_millis());
            shown = Some(last.clone());
        }
        tokio::select! {
            () = wait(LOOK) => {}
            () = stop.cancelled() => return,
        }
    }
}
