//! Files of jobs: one JSON object, or one object a line.
//!
//! Which of the two it is shows in the first line that is not blank: when it
//! holds a whole JSON value by itself, every line is a job. Lines are read one
//! by one, so a file of a million jobs costs no more memory than one of ten;
//! standard input is kept in memory only when it is to be read twice.

use std::{
    fs::File,
    io::{BufRead, BufReader, Cursor, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::intake::parse::ParseLimits;

/// The most of standard input that is kept in memory.
const STDIN_BYTES_MAX: u64 = 256 << 20;
/// A line that is longer is not read on; whoever checks it finds it too large.
const LINE_BYTES_MAX: u64 = (1 << 20) + 1;

/// One job of a file, as its sender wrote it.
pub(super) struct Entry {
    /// The line it begins in, counted from 1.
    pub(super) line: u64,
    /// The job, without the line end.
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// A file that can be read more than once.
pub(super) enum JobFile {
    /// A file by name.
    Named(PathBuf),
    /// What came through standard input.
    Kept(Zeroizing<Vec<u8>>),
    /// Standard input, read once.
    Stream,
}

impl JobFile {
    /// `-` is standard input; `twice` says whether it must be kept to be read
    /// again.
    pub(super) fn open(path: &Path, twice: bool) -> anyhow::Result<Self> {
        if path.as_os_str() != "-" {
            return Ok(Self::Named(path.to_owned()));
        }
        if !twice {
            return Ok(Self::Stream);
        }
        let mut kept = Zeroizing::new(Vec::new());
        let limit = STDIN_BYTES_MAX.saturating_add(1);
        std::io::stdin().lock().take(limit).read_to_end(&mut kept)?;
        let fits = u64::try_from(kept.len()).is_ok_and(|len| len <= STDIN_BYTES_MAX);
        ensure!(fits, "that is more than is kept in memory; name a file, or use --no-check");
        Ok(Self::Kept(kept))
    }

    /// The jobs from the first.
    pub(super) fn entries(&self) -> anyhow::Result<Entries<'_>> {
        let reader: Box<dyn BufRead + '_> = match self {
            Self::Named(path) => {
                let file =
                    File::open(path).with_context(|| format!("reading {}", path.display()))?;
                Box::new(BufReader::with_capacity(1 << 16, file))
            }
            Self::Kept(bytes) => Box::new(Cursor::new(bytes.as_slice())),
            Self::Stream => Box::new(BufReader::with_capacity(1 << 16, std::io::stdin())),
        };
        Ok(Entries { reader, line: 0, begun: false, done: false })
    }
}

/// The jobs of a file, one after the other.
pub(super) struct Entries<'a> {
    reader: Box<dyn BufRead + 'a>,
    line: u64,
    begun: bool,
    done: bool,
}

impl Entries<'_> {
    fn read(&mut self) -> anyhow::Result<Option<Entry>> {
        while !self.done {
            let line = self.read_line()?;
            let Some(line) = line else {
                self.done = true;
                return Ok(None);
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let number = self.line;
            let first = !std::mem::replace(&mut self.begun, true);
            // Only the first line is asked: a bad line later on is a bad job.
            if !first || serde_json::from_slice::<IgnoredAny>(&line).is_ok() {
                return Ok(Some(Entry { line: number, body: line }));
            }
            self.done = true;
            return self.rest(line).map(|body| Some(Entry { line: number, body }));
        }
        Ok(None)
    }

    /// The next line without its end; an overlong one is cut, and its rest
    /// skipped.
    fn read_line(&mut self) -> anyhow::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut line = Zeroizing::new(Vec::new());
        let limit = LINE_BYTES_MAX.saturating_add(1);
        if self.reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        self.line = self.line.saturating_add(1);
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if u64::try_from(line.len()).is_ok_and(|len| len >= limit) {
            self.reader.skip_until(b'\n')?;
        }
        Ok(Some(line))
    }

    /// The whole file as one job: what was read, and everything behind it, up
    /// to the size at which it is too large anyway.
    fn rest(&mut self, mut body: Zeroizing<Vec<u8>>) -> anyhow::Result<Zeroizing<Vec<u8>>> {
        body.push(b'\n');
        self.reader.by_ref().take(LINE_BYTES_MAX).read_to_end(&mut body)?;
        Ok(body)
    }
}

impl Iterator for Entries<'_> {
    type Item = anyhow::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// A whole file, or standard input for `-`, up to the size of a job.
pub(super) fn read_whole(path: &Path) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    if path.as_os_str() == "-" {
        std::io::stdin().lock().take(LINE_BYTES_MAX).read_to_end(&mut bytes)?;
    } else {
        let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
        file.take(LINE_BYTES_MAX).read_to_end(&mut bytes)?;
    }
    let most = ParseLimits::default().body_bytes_max;
    ensure!(bytes.len() <= most, "{} is larger than {most} bytes", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let file = JobFile::Kept(Zeroizing::new(text.to_vec()));
        let entries: anyhow::Result<Vec<_>> = file.entries().unwrap().collect();
        entries.unwrap().into_iter().map(|entry| (entry.line, entry.body.to_vec())).collect()
    }

    #[test]
    fn a_file_of_lines_is_many_jobs_and_bad_lines_keep_their_number() {
        let jobs = read(b"\n{\"a\":1}\n\n{broken\n{\"b\":2}");
        let lines: Vec<_> = jobs.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 4, 5], "blank lines are skipped, and counted");
        assert_eq!(jobs[1].1, b"{broken", "a bad line is one bad job");
    }

    #[test]
    fn a_file_over_many_lines_is_one_job() {
        let jobs = read(b"{\n  \"a\": 1\n}\n");
        assert_eq!(jobs.len(), 1, "one object");
        assert_eq!(jobs[0].0, 1, "from the first line");
        assert!(serde_json::from_slice::<IgnoredAny>(&jobs[0].1).is_ok(), "and whole");
    }

    #[test]
    fn an_overlong_line_is_cut_and_the_next_one_is_whole() {
        let mut text = b"{}\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 3 << 20));
        text.extend(b"\n{\"b\":2}\n");
        let jobs = read(&text);
        assert_eq!(jobs.len(), 3, "three lines are three jobs");
        assert!(jobs[1].1.len() > 1 << 20, "long enough to be refused");
        assert!(jobs[1].1.len() < 2 << 20, "and no longer");
        assert_eq!((jobs[2].0, jobs[2].1.as_slice()), (3, b"{\"b\":2}".as_slice()), "the next");
    }

    #[test]
    fn an_empty_file_holds_no_job() {
        assert!(read(b"").is_empty(), "nothing");
        assert!(read(b"\n \n").is_empty(), "nothing but blanks");
    }
}
