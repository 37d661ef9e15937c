//! The inspection of the whole office that ends every journey.

use std::collections::HashSet;

use kakitome::{
    domain::{
        ids::SegmentId,
        log::{Kind, Leaf},
        stage::Stage,
    },
    store::{jobs, ledger, retention, work},
};

use crate::harness::{Books, CANARY_ADDRESS, CANARY_NAME, TestOffice, files_below};

impl TestOffice<'_> {
    /// Nothing leased, nothing orphaned, every leaf sound, nothing readable.
    pub(crate) async fn inspect(&mut self) {
        self.run().await;
        let now = self.office.clock.now();
        let mut tx = self.office.db.read().await.unwrap();
        let depth = work::depth(&mut tx, now).await.unwrap();
        assert_eq!(depth.leased, 0, "nothing may stay leased");
        assert_eq!(depth.ready, 0, "nothing due may stay undone");
        drop(tx);
        assert!(self.office.queues.in_flight.is_empty(), "memory is empty");
        assert_eq!(self.office.journal.unbooked(), 0, "the journal holds nothing unsettled");
        self.inspect_log().await;
        self.inspect_segments().await;
        self.inspect_canaries().await;
    }

    async fn inspect_log(&self) {
        let jobs = self.world.jobs.lock().unwrap().clone();
        for job in jobs {
            let mut tx = self.office.db.read().await.unwrap();
            let row = jobs::get(&mut tx, None, job).await.unwrap();
            let events = ledger::of_job(&mut tx, None, job).await.unwrap();
            assert!(!events.is_empty(), "a job without a log");
            let ended = |kind| matches!(kind, Kind::Purged | Kind::NeverDispatched);
            let ended = events.iter().any(|event| ended(event.row.kind));
            assert!(row.is_some() || ended, "a job is never lost");
            for event in &events {
                let leaf = Leaf::decode(&event.row.leaf).expect("every leaf decodes");
                assert_eq!(leaf.encode().unwrap(), event.row.leaf, "and encodes to the same bytes");
                assert_eq!(leaf.kind, event.row.kind, "leaf and row agree on what happened");
                assert_eq!(leaf.at, event.row.at, "leaf and row agree on when");
                assert_eq!(leaf.event, event.row.id, "leaf and row agree on which");
                assert_eq!(leaf.tenant, event.row.tenant, "leaf and row agree on whose");
            }
            let Some(row) = row else { continue };
            if row.stage == Stage::Purged {
                let left = row.wrapped_key.is_some()
                    || row.personal.is_some()
                    || row.payload.is_some()
                    || row.segment.is_some();
                assert!(!left, "what is purged leaves nothing sealed behind");
            } else {
                assert!(row.wrapped_key.is_some(), "what is kept can be opened");
            }
        }
    }

    async fn inspect_segments(&self) {
        let mut tx = self.office.db.read().await.unwrap();
        let known = retention::known_segments(&mut tx, None).await.unwrap();
        drop(tx);
        let on_disk: HashSet<SegmentId> =
            self.office.blobs.list().await.unwrap().into_iter().collect();
        for segment in known {
            if segment.live > 0 {
                assert!(on_disk.contains(&segment.id), "a segment with documents is missing");
            }
        }
    }

    /// No file of ours holds a canary in clear: database, write-ahead log,
    /// keys, segments, journals. The partner's folder is the partner's.
    async fn inspect_canaries(&self) {
        let mut canaries = vec![
            CANARY_ADDRESS.as_bytes().to_vec(),
            CANARY_NAME.as_bytes().to_vec(),
            b"%PDF-".to_vec(),
        ];
        // A handful of tokens stands for all: each is looked for in every byte.
        for mail in self.mails().iter().rev().take(4) {
            for link in kakitome::app::catcher::Catcher::links_of(mail) {
                if let Some((_, token)) = link.split_once("/d/") {
                    canaries.push(token.as_bytes().to_vec());
                    canaries.push(data_encoding::BASE64URL_NOPAD.decode(token.as_bytes()).unwrap());
                }
            }
        }
        let post = self.world.dir.path().join("post");
        let elsewhere = self.world.elsewhere.iter().flat_map(|dir| files_below(dir));
        for file in files_below(self.world.dir.path()).into_iter().chain(elsewhere) {
            if file.starts_with(&post) || file.components().any(|c| c.as_os_str() == "test-post") {
                continue;
            }
            let bytes = std::fs::read(&file).unwrap_or_default();
            for canary in &canaries {
                let found = bytes.windows(canary.len()).any(|window| window == canary);
                assert!(!found, "{} holds something readable", file.display());
            }
        }
        if self.world.books == Books::Postgres {
            self.inspect_dump(&canaries).await;
        }
    }

    /// The same for everything that PostgreSQL would give away in a dump.
    async fn inspect_dump(&self, canaries: &[Vec<u8>]) {
        let dump = tokio::process::Command::new("pg_dump")
            .arg(&self.world.config.database.url)
            .output()
            .await
            .unwrap();
        assert!(dump.status.success(), "pg_dump answers");
        for canary in canaries {
            let hex = data_encoding::HEXLOWER.encode(canary);
            for needle in [canary.as_slice(), hex.as_bytes()] {
                let found = dump.stdout.windows(needle.len()).any(|window| window == needle);
                assert!(!found, "the database holds something readable");
            }
        }
    }
}
