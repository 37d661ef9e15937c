//! The inspection that ends every load: what the books, the log, the relay and
//! the disks say agrees.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    process::Command,
};

use kakitome::domain::log::Leaf;

use crate::{client::CANARY, place::Place, services::postgres::ask, until};

/// What became of the jobs.
#[derive(Debug)]
pub(crate) struct Told {
    /// Jobs by stage.
    pub(crate) stages: BTreeMap<String, usize>,
    /// Jobs of which nobody knows whether their mail was taken, each by name.
    pub(crate) ambiguous: Vec<String>,
}

impl Told {
    pub(crate) fn at(&self, stage: &str) -> usize {
        self.stages.get(stage).copied().unwrap_or_default()
    }
}

impl Place {
    fn ask(&self, sql: &str) -> String {
        ask(&self.config.database.url, sql)
    }

    fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let text = self.ask(sql);
        text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
    }

    /// Waits until nothing is under way, and inspects `jobs` jobs.
    pub(crate) fn inspect(&self, jobs: usize) -> Told {
        until("the end of all work", || {
            let left = self.ask(
                "SELECT (SELECT count(*) FROM work) + (SELECT count(*) FROM outbox) \
                 + (SELECT $1 - count(*) FROM jobs)"
                    .replace("$1", &jobs.to_string())
                    .as_str(),
            );
            (left.trim() == "0").then_some(())
        });
        let told = self.inspect_mails();
        assert_eq!(told.stages.values().sum::<usize>(), jobs, "each job once: {told:?}");
        self.inspect_log(jobs, &told);
        self.inspect_disks();
        told
    }

    fn inspect_mails(&self) -> Told {
        let mut taken: HashMap<String, usize> = HashMap::new();
        for mail in self.taken() {
            let job = mail.id.trim_start_matches('<').split('.').next().unwrap().to_owned();
            let count = taken.entry(job).or_default();
            *count = count.saturating_add(1);
        }
        let mut told = Told { stages: BTreeMap::new(), ambiguous: Vec::new() };
        for row in self.rows("SELECT replace(id::text, '-', ''), stage, reason, channel FROM jobs")
        {
            let [job, stage, reason, channel] = &row[..] else { panic!("four columns: {row:?}") };
            let count = told.stages.entry(stage.clone()).or_default();
            *count = count.saturating_add(1);
            if channel == "post" {
                continue;
            }
            let mails = taken.remove(job).unwrap_or_default();
            match stage.as_str() {
                "dispatched" | "opened" => assert_eq!(mails, 1, "{job} says it went out"),
                "ambiguous" => {
                    assert!(mails <= 1, "{job} went out {mails} times");
                    told.ambiguous.push(format!("{job} ({reason}, {mails} taken)"));
                }
                other => panic!("{job} rests in {other} ({reason}) after {mails} mails"),
            }
        }
        assert!(taken.is_empty(), "mails of jobs that are on no book: {taken:?}");
        told
    }

    fn inspect_log(&self, jobs: usize, told: &Told) {
        let counts = "SELECT kind, count(*), count(DISTINCT job_id) FROM audit_events GROUP BY 1";
        let mut events = BTreeMap::new();
        for row in self.rows(counts) {
            let [kind, count, jobs] = &row[..] else { panic!("three columns: {row:?}") };
            events.insert(kind.clone(), (count.parse().unwrap(), jobs.parse().unwrap()));
        }
        let of = |kind: &str| events.get(kind).copied().unwrap_or((0_usize, 0_usize));
        assert_eq!(of("accepted"), (jobs, jobs), "every job was accepted once: {events:?}");
        assert_eq!(of("sealed"), (jobs, jobs), "and sealed once: {events:?}");
        let gone = told.at("dispatched").saturating_add(told.at("opened"));
        assert_eq!(of("dispatched"), (gone, gone), "and sent once: {events:?}");
        let unknown = told.at("ambiguous");
        assert_eq!(of("ambiguous"), (unknown, unknown), "or it is known: {events:?}");
        for row in self.rows("SELECT encode(leaf, 'hex'), id, kind FROM audit_events") {
            let bytes = data_encoding::HEXLOWER.decode(row[0].as_bytes()).unwrap();
            let leaf = Leaf::decode(&bytes).expect("every leaf decodes");
            assert_eq!(leaf.encode().unwrap(), bytes, "and encodes to the same bytes");
            assert_eq!(leaf.event.to_string(), row[1], "leaf and row agree on which");
            assert_eq!(leaf.kind.word(), row[2], "leaf and row agree on what");
        }
    }

    /// Nothing of ours holds an address, a token or a document in clear. The
    /// broker's files are the broker's: there a job waits as its sender wrote it.
    fn inspect_disks(&self) {
        let mut needles = vec![CANARY.to_owned(), "%PDF-".to_owned()];
        needles.extend(self.taken().iter().rev().take(4).map(|mail| {
            let (_, token) = mail.link.split_once("/d/").unwrap();
            token.to_owned()
        }));
        for folder in [self.dir.path(), self.postgres.dir()] {
            let found = holding(folder, &needles);
            assert_eq!(found, "", "something readable rests in these");
        }
    }
}

/// The files below a folder that hold one of the needles, but for the relay's.
pub(crate) fn holding(folder: &Path, needles: &[String]) -> String {
    let mut grep = Command::new("grep");
    grep.args(["-rlaF", "--exclude=taken", "--exclude-dir=post"]);
    for needle in needles {
        grep.args(["-e", needle]);
    }
    let done = grep.arg(folder).output().unwrap();
    let words = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.code().is_some_and(|code| code < 2),
        "grep reads {}: {words}",
        folder.display()
    );
    String::from_utf8(done.stdout).unwrap()
}
