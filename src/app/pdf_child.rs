//! Looks into finished PDFs in a process that can be lost.
//!
//! A PDF from outside can be made to exhaust whoever reads it. So the program
//! starts itself once more for each PDF, gives it the file in sealed memory (it
//! has no name and touches no disk), and reads one line of JSON back. The child
//! limits itself before it reads a byte: memory, processor time, no file or
//! socket but the three it was given, no process, no core dump; it has no
//! environment. The parent waits for a bounded time and then kills it.
//!
//! Whatever a child does, its parent lives and has a verdict: a word of
//! [`PdfFlaw`], or that there is none because no child could be started.
//!
//! What one PDF may cost follows from its size: [`Allowance`].

use std::{
    ffi::OsString,
    io::{Read as _, Write as _},
    os::{fd::OwnedFd, unix::process::ExitStatusExt as _},
    path::PathBuf,
    process::{ExitCode, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use rustix::{
    fs::{MemfdFlags, SealFlags},
    process::{Resource, Rlimit, Signal},
};
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncReadExt as _, process::Command, sync::Semaphore};
use zeroize::Zeroizing;

use crate::{
    domain::pdf::{PdfFacts, PdfFlaw},
    intake::inside::{PdfCheck, Unchecked},
    render::{self, PdfLimits},
};

/// The first argument of a child.
const CHILD: &str = "look-into-pdf";
/// Bytes of a child's answer, at the most.
const ANSWER_MAX: u64 = 512;
/// The exit code of a panic.
const PANICKED: i32 = 101;
/// Where this program is found, even after its file was replaced.
const OURSELVES: &str = "/proc/self/exe";

/// What the check of one PDF may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes of memory, the program itself included.
    pub memory: u64,
    /// Seconds of processor time.
    pub cpu_seconds: u64,
    /// Time from start to answer.
    pub patience: Duration,
}

impl Allowance {
    /// 384 MiB and 3 s for the smallest, 24 bytes and some 0.2 µs more for each
    /// byte: 864 MiB and 8 s for 20 MiB.
    pub fn of(bytes: usize) -> Self {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let cpu_seconds = (bytes >> 22).saturating_add(3);
        Self {
            memory: bytes.saturating_mul(24).saturating_add(384 << 20),
            cpu_seconds,
            // Others may be using the processors too.
            patience: Duration::from_secs(cpu_seconds.saturating_mul(3)),
        }
    }
}

/// What a child answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<PdfFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flaw: Option<String>,
}

/// Looks into PDFs, each in a process of its own.
#[derive(Clone, Debug)]
pub struct ChildCheck {
    program: PathBuf,
    limits: PdfLimits,
    seats: Arc<Semaphore>,
    allowance: fn(usize) -> Allowance,
}

impl ChildCheck {
    /// Children of this program, as many at once as there are processors.
    pub fn new(limits: PdfLimits) -> Self {
        Self::of(PathBuf::from(OURSELVES), limits)
    }

    /// Children of another program that calls [`run_if_child`] first; for tests.
    pub fn of(program: PathBuf, limits: PdfLimits) -> Self {
        let seats = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { program, limits, seats: Arc::new(Semaphore::new(seats)), allowance: Allowance::of }
    }

    /// Another rule for what a check may cost; for tests.
    #[must_use]
    pub fn with_allowance(mut self, allowance: fn(usize) -> Allowance) -> Self {
        self.allowance = allowance;
        self
    }

    async fn look(&self, pdf: &[u8]) -> Result<PdfFacts, Unchecked> {
        if pdf.len() > self.limits.max_bytes {
            return Err(Unchecked::Flawed(PdfFlaw::TooLarge));
        }
        let allowance = (self.allowance)(pdf.len());
        match self.ask(pdf, allowance).await {
            Ok(Some((status, answer))) => verdict(status, &answer),
            Ok(None) => Err(Unchecked::Flawed(PdfFlaw::TooSlow)),
            Err(error) => {
                tracing::warn!("a PDF could not be looked into: {error}");
                Err(Unchecked::NotNow)
            }
        }
    }

    /// How a child ended and what it said; nothing when its time was up.
    async fn ask(
        &self,
        pdf: &[u8],
        allowance: Allowance,
    ) -> std::io::Result<Option<(ExitStatus, Vec<u8>)>> {
        let mut child = Command::new(&self.program)
            .arg(CHILD)
            .arg(allowance.memory.to_string())
            .arg(allowance.cpu_seconds.to_string())
            .arg(self.limits.max_bytes.to_string())
            .arg(self.limits.max_pages.to_string())
            .env_clear()
            .stdin(Stdio::from(in_memory(pdf)?))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take();
        let answered = tokio::time::timeout(allowance.patience, async {
            let mut answer = Vec::new();
            if let Some(stdout) = stdout {
                stdout.take(ANSWER_MAX).read_to_end(&mut answer).await?;
            }
            std::io::Result::Ok((child.wait().await?, answer))
        });
        if let Ok(answered) = answered.await {
            return answered.map(Some);
        }
        child.kill().await?;
        Ok(None)
    }
}

impl PdfCheck for ChildCheck {
    fn check<'a>(
        &'a self,
        pdf: &'a [u8],
        patience: Duration,
    ) -> BoxFuture<'a, Result<PdfFacts, Unchecked>> {
        Box::pin(async move {
            let seat = tokio::time::timeout(patience, self.seats.acquire()).await;
            let Ok(Ok(_seat)) = seat else { return Err(Unchecked::NotNow) };
            self.look(pdf).await
        })
    }
}

/// What a child's end means.
fn verdict(status: ExitStatus, answer: &[u8]) -> Result<PdfFacts, Unchecked> {
    if status.success() {
        let answer: Result<Answer, _> = serde_json::from_slice(answer);
        return match answer {
            Ok(Answer { facts: Some(facts), flaw: None }) => Ok(facts),
            Ok(Answer { facts: None, flaw: Some(word) }) => {
                Err(PdfFlaw::parse(&word).map_or(Unchecked::NotNow, Unchecked::Flawed))
            }
            Ok(_) | Err(_) => Err(Unchecked::NotNow),
        };
    }
    let signal = status.signal().and_then(Signal::from_named_raw);
    if signal == Some(Signal::XCPU) {
        Err(Unchecked::Flawed(PdfFlaw::TooSlow))
    } else if signal.is_some() {
        // No memory: the allocator aborts, the stack faults, the kernel kills.
        Err(Unchecked::Flawed(PdfFlaw::TooHeavy))
    } else if status.code() == Some(PANICKED) {
        Err(Unchecked::Flawed(PdfFlaw::Damaged))
    } else {
        Err(Unchecked::NotNow)
    }
}

/// The bytes in memory that has no name and can no more be changed, at their
/// beginning.
fn in_memory(pdf: &[u8]) -> std::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know that memory can refuse to be a program.
    let memory = rustix::fs::memfd_create("pdf", flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| rustix::fs::memfd_create("pdf", flags))?;
    let mut file = std::fs::File::from(memory);
    file.write_all(pdf)?;
    std::io::Seek::rewind(&mut file)?;
    let memory = OwnedFd::from(file);
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&memory, seals)?;
    Ok(memory)
}

/// The child's whole life, if this process is one: to be called before anything
/// else. Reads the PDF from standard input and answers on standard output.
pub fn run_if_child(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter().skip(1);
    if arguments.next()? != *CHILD {
        return None;
    }
    let mut number = || arguments.next()?.to_str()?.parse::<u64>().ok();
    let numbers = (number(), number(), number(), number());
    let (Some(memory), Some(cpu), Some(bytes), Some(pages)) = numbers else {
        return Some(ExitCode::from(2));
    };
    let limits = PdfLimits {
        max_bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        max_pages: u32::try_from(pages).unwrap_or(u32::MAX),
    };
    Some(match shut_in(memory, cpu).and_then(|()| answer(limits)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(2),
    })
}

/// Gives up whatever the check does not need.
fn shut_in(memory: u64, cpu_seconds: u64) -> std::io::Result<()> {
    let limits = [
        (Resource::As, memory),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 3),
        (Resource::Nproc, 0),
    ];
    for (resource, most) in limits {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(resource, limit)?;
    }
    // The second limit is the end, whatever the first one's signal does.
    let cpu = Rlimit { current: Some(cpu_seconds), maximum: cpu_seconds.checked_add(1) };
    rustix::process::setrlimit(Resource::Cpu, cpu)?;
    Ok(())
}

fn answer(limits: PdfLimits) -> std::io::Result<()> {
    let mut pdf = Zeroizing::new(Vec::new());
    let most = u64::try_from(limits.max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    std::io::stdin().lock().take(most).read_to_end(&mut pdf)?;
    let answer = match render::check_pdf(&pdf, limits) {
        Ok(facts) => Answer { facts: Some(facts), flaw: None },
        Err(flaw) => Answer { facts: None, flaw: Some(flaw.word().to_owned()) },
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    std::io::stdout().write_all(&line)
}
