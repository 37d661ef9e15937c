//! Journeys on S3-compatible storage, and what happens when it, or a disk, is
//! away for a while.

use std::path::PathBuf;

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use kakitome::{
    app::{catcher::Script, gauges::Gauges, operations, web, worker::Service as _},
    blobs::Act,
    clock::Clock as _,
    config::{BlobKind, Config, SecretSource, Span},
    domain::{log::Kind, stage::Stage},
};

use crate::{
    harness::{EMAIL, TestOffice, World, answer, job, journeys},
    s3::{ACCESS_KEY, BUCKET, OwnS3, SECRET_KEY},
};

/// Keeps segments on this server; its keys lie in files beside the others.
fn on_s3(config: &mut Config, server: &OwnS3) {
    let dir = config.office.state_dir.parent().unwrap().to_owned();
    let secret = |name: &str, text: &str| {
        let file = dir.join(name);
        std::fs::write(&file, text).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o400);
        std::fs::set_permissions(&file, mode).unwrap();
        Some(SecretSource::path(file))
    };
    let blobs = &mut config.blobs;
    blobs.kind = BlobKind::S3;
    blobs.bucket = Some(BUCKET.into());
    blobs.endpoint = Some(server.endpoint());
    blobs.allow_http = true;
    blobs.timeout = Span(std::time::Duration::from_secs(5));
    blobs.access_key = secret("s3.id", ACCESS_KEY);
    blobs.secret_key = secret("s3.key", SECRET_KEY);
}

async fn world_on(books: crate::harness::Books, server: &OwnS3) -> World {
    let mut world = World::with(books, Script::default(), |config| on_s3(config, server)).await;
    world.elsewhere.push(server.dir().to_owned());
    world
}

impl TestOffice<'_> {
    /// A part of a document, as a broken download asks for it.
    async fn part(&self, path: &str, range: &str) -> (u16, Vec<u8>) {
        let request = Request::get(path).header("host", "localhost").header("range", range);
        let request = request.body(Body::empty()).unwrap();
        let part = answer(self.gateway.clone(), request).await;
        (part.status, part.body)
    }

    /// What `/readyz` says of a part, and whether all is ready.
    pub(crate) async fn readiness(&self, part: &str) -> (bool, Option<String>) {
        let checks = web::readiness(&self.office);
        let router = operations::router(self.office.metrics.clone(), checks);
        let answer = answer(router, Request::get("/readyz").body(Body::empty()).unwrap()).await;
        let said = answer.json();
        let checks = said["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == part).unwrap();
        (said["ready"] == true, check["why"].as_str().map(str::to_owned))
    }

    /// Whether `/metrics` has this line.
    pub(crate) async fn counts(&self, line: &str) -> bool {
        Gauges::new(self.office.clone()).tick().await.unwrap();
        self.office.metrics.text().lines().any(|found| found == line)
    }

    async fn how_often(&self, id: kakitome::domain::ids::JobId, kind: Kind) -> usize {
        self.log(id).await.into_iter().filter(|one| *one == kind).count()
    }
}

fn objects(server: &OwnS3) -> Vec<PathBuf> {
    let listed = std::fs::read_dir(server.bucket().join("segments")).into_iter().flatten();
    let files = listed.map(|entry| entry.unwrap().path());
    files.filter(|file| file.extension().is_some_and(|end| end == "kks")).collect()
}

journeys! {
    /// Mail, link, ranges, purge, orphan: all of it against a real server.
    async fn a_mail_goes_the_whole_way_over_s3(books: Books) {
        let Some(server) = OwnS3::start() else { return };
        let world = world_on(books, &server).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "s3/1")).await;
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "the relay has it");
        assert_eq!(objects(&server).len(), 1, "a batch is one object");
        assert!(!world.config.blobs.dir.exists(), "and nothing lies on our disk");
        let link = office.newest_link();
        let viewer = office.viewer(&link).await.unwrap();
        let whole = office.get(&format!("{viewer}/file")).await;
        assert!(whole.status == 200 && whole.body.starts_with(b"%PDF-"), "the PDF comes back");
        let (length, path) = (whole.body.len(), format!("{viewer}/download"));
        for (range, wanted) in [
            ("bytes=0-99".to_owned(), 0..100),
            (format!("bytes={}-", length - 7), length - 7..length),
            (format!("bytes={}-{}", length / 2, length / 2 + 999), length / 2..length / 2 + 1_000),
        ] {
            let (status, body) = office.part(&path, &range).await;
            assert_eq!((status, &body[..]), (206, &whole.body[wanted]), "{range}");
        }
        // Put, but its process died before the commit.
        office.office.blobs.append(world.clock.now(), vec![b"unknown".to_vec()]).await.unwrap();
        assert_eq!(objects(&server).len(), 2, "an orphan lies there");
        office.after(TimeDelta::hours(2)).await;
        assert_eq!(objects(&server).len(), 2, "for a while, for its row might come");
        office.inspect().await;
        office.after(TimeDelta::days(3)).await;
        assert_eq!(objects(&server).len(), 1, "and goes");
        assert!(office.counts("kakitome_segments_orphans_total 1").await, "counted");
        assert!(office.counts("kakitome_segments_missing 0").await, "nothing is missing");
        world.clock.set("2026-12-20T15:00:00Z".parse().unwrap());
        office.run().await;
        // Its process has to be gone, or to have begun another segment, for an hour.
        let next = office.enqueue(&job(EMAIL, "s3/2")).await;
        office.run().await;
        office.after(TimeDelta::hours(2)).await;
        office.after(TimeDelta::hours(2)).await;
        assert_eq!(office.stage(id).await, Stage::Purged, "on its day");
        assert_eq!(office.stage(next).await, Stage::Dispatched, "not its neighbour");
        assert_eq!(objects(&server).len(), 1, "its object is destroyed, the other one stands");
        office.inspect().await;
    }

    /// The storage goes away and comes back: nothing is lost or sent twice,
    /// readers are asked to come back, and it is told.
    async fn a_storage_that_is_away_loses_nothing(books: Books) {
        let Some(server) = OwnS3::start() else { return };
        let world = world_on(books, &server).await;
        let mut office = world.start().await;
        let early = office.enqueue(&job(EMAIL, "away/0")).await;
        office.run().await;
        let viewer = office.viewer(&office.newest_link()).await.unwrap();
        assert_eq!(office.readiness("segments-write").await, (true, None), "all is well");

        server.kill();
        let mut waiting = Vec::new();
        for number in 1..=5 {
            waiting.push(office.enqueue(&job(EMAIL, &format!("away/{number}"))).await);
        }
        let faults = office.struggle(4).await;
        let of_commit = |fault: &&String| fault.starts_with("commit: ");
        assert!(faults.iter().any(|fault| of_commit(&fault)), "the commit fails: {faults:?}");
        for fault in &faults {
            assert!(fault.contains("the object storage cannot"), "nothing else does: {fault}");
        }
        for id in &waiting {
            assert_eq!(office.stage(*id).await, Stage::Accepted, "it waits on the books");
        }
        let away = Some("the object storage is away".to_owned());
        assert_eq!(office.readiness("segments-write").await, (true, away.clone()), "told");
        assert!(office.counts("kakitome_segments_failing{act=\"write\"} 1").await, "counted");
        let file = format!("{viewer}/file");
        let page = office.get(&file).await;
        assert_eq!(page.status, 503, "not gone, and not damaged: later");
        assert_eq!(office.readiness("segments-read").await, (true, away), "told");
        assert_eq!(office.how_often(early, Kind::Downloaded).await, 0, "no byte, no access");

        server.up();
        office.after(TimeDelta::minutes(1)).await;
        for id in waiting.iter().chain([&early]) {
            assert!(matches!(office.stage(*id).await, Stage::Dispatched | Stage::Opened), "sent");
            assert_eq!(office.how_often(*id, Kind::Dispatched).await, 1, "once");
        }
        assert_eq!(office.mails().len(), 6, "each mail once");
        assert_eq!(office.get(&file).await.status, 200, "the reader comes back");
        assert_eq!(office.how_often(early, Kind::Downloaded).await, 1, "and is on record");
        for act in Act::ALL {
            assert_eq!(office.office.blobs.fares(act).trouble, None, "{} works", act.word());
        }
        office.inspect().await;
    }

    /// A file that the disk does not give out is no reason to say "gone".
    async fn a_disk_that_cannot_be_read_asks_to_come_back(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "disk/1")).await;
        office.run().await;
        let link = office.newest_link();
        let viewer = office.viewer(&link).await.unwrap();
        let segment = office.row(id).await.segment.unwrap();
        let file = world.config.blobs.dir.join(format!("{segment}.kks"));
        let aside = file.with_extension("aside");
        std::fs::rename(&file, &aside).unwrap();
        // Nobody can open a link to itself, whoever runs the tests.
        std::os::unix::fs::symlink(&file, &file).unwrap();
        for way in ["file", "download"] {
            let page = office.get(&format!("{viewer}/{way}")).await;
            assert_eq!(page.status, 503, "{way}: later");
            assert!(!page.text().contains(&segment.to_string()), "{way}: and no word of ours");
        }
        let told = office.readiness("segments-read").await;
        assert_eq!(told, (true, Some("the disk fails".into())), "told");
        assert!(office.counts("kakitome_segments_failing{act=\"read\"} 1").await, "a gauge");
        assert!(office.counts("kakitome_segments_failures_total{act=\"read\"} 2").await, "a count");
        assert_eq!(office.how_often(id, Kind::Downloaded).await, 0, "no byte, no access");
        assert_eq!(office.stage(id).await, Stage::Opened, "the open is on record all the same");
        std::fs::remove_file(&file).unwrap();
        std::fs::rename(&aside, &file).unwrap();
        assert_eq!(office.get(&format!("{viewer}/file")).await.status, 200, "then it is there");
        assert_eq!(office.how_often(id, Kind::Downloaded).await, 1, "and on record");
        assert_eq!(office.readiness("segments-read").await, (true, None), "over");
        office.run().await;
        assert_eq!(office.how_often(id, Kind::NotServed).await, 1, "as is that it was not, once");
        office.inspect().await;
    }

    /// A segment that is not there is told for as long as it is not.
    async fn a_segment_that_is_missing_is_told_and_parks_nothing(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let id = office.enqueue(&job(EMAIL, "missing/1")).await;
        office.run().await;
        let link = office.newest_link();
        let segment = office.row(id).await.segment.unwrap();
        let file = world.config.blobs.dir.join(format!("{segment}.kks"));
        let aside = world.dir.path().join("aside");
        std::fs::rename(&file, &aside).unwrap();
        office.after(TimeDelta::hours(2)).await;
        assert!(office.counts("kakitome_segments_missing 1").await, "told");
        let viewer = office.viewer(&link).await.unwrap();
        let page = office.get(&format!("{viewer}/file")).await;
        assert_eq!(page.status, 500, "damaged, and not said to be over");
        assert_eq!(office.stage(id).await, Stage::Opened, "the delivery stays what it is");
        std::fs::rename(&aside, &file).unwrap();
        office.after(TimeDelta::hours(2)).await;
        assert!(office.counts("kakitome_segments_missing 0").await, "over");
        assert_eq!(office.open_link(&link).await.status, 200, "it is served");
        office.inspect().await;
    }

    /// A process starts before the volume of its segments is mounted: the
    /// folder is there, and empty. Nothing is written to the disk below.
    async fn a_volume_that_is_not_mounted_is_not_written_below(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let early = office.enqueue(&job(EMAIL, "volume/0")).await;
        office.run().await;
        let link = office.newest_link();
        drop(office);
        let (folder, aside) = (world.config.blobs.dir.clone(), world.dir.path().join("aside"));
        std::fs::rename(&folder, &aside).unwrap();
        std::fs::create_dir(&folder).unwrap();

        let mut office = world.start().await;
        let waiting = office.enqueue(&job(EMAIL, "volume/1")).await;
        let faults = office.struggle(4).await;
        assert!(!faults.is_empty(), "nothing is sealed");
        for fault in &faults {
            assert!(fault.contains("does not carry the mark"), "for this reason only: {fault}");
        }
        world.clock.advance(TimeDelta::hours(2));
        office.struggle(4).await;
        assert_eq!(office.stage(waiting).await, Stage::Accepted, "it waits on the books");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "the disk below is empty");
        let why = Some("the store is not the one that the books know".to_owned());
        assert_eq!(office.readiness("segments-write").await, (true, why), "told");
        assert!(office.counts("kakitome_segments_failing{act=\"write\"} 1").await, "counted");
        let viewer = office.viewer(&link).await.unwrap();
        let page = office.get(&format!("{viewer}/file")).await;
        assert_eq!(page.status, 503, "what lies on the volume is not gone");

        std::fs::remove_dir(&folder).unwrap();
        std::fs::rename(&aside, &folder).unwrap();
        office.after(TimeDelta::hours(2)).await;
        assert_eq!(office.stage(waiting).await, Stage::Dispatched, "mounted: it goes on by itself");
        assert_eq!(office.readiness("segments-write").await, (true, None), "over");
        assert_eq!(office.open_link(&link).await.status, 200, "it is served");
        assert_eq!(office.how_often(early, Kind::Dispatched).await, 1, "nothing went twice");
        assert_eq!(office.mails().len(), 2, "each mail once");
        office.inspect().await;
    }
}
