//! What stops one letter stops no other; what a partner cannot know is not
//! believed; what is in a batch is not cancelled.

use std::{fs, sync::Arc};

use chrono::TimeDelta;

use super::{CUT_OFF, Day, Post, crashes::to_the_end};
use crate::{
    dispatch::postal::{CsvEncoding, HandOver, PieceId, Tick},
    domain::{ids::Epoch, log::Kind, stage::Stage},
    store::{
        work::CancelAnswer,
        workers::{self, WorkerRow},
    },
    trial::{FailsAt, Office as Trial, Order, at, on_both},
};

on_both! { "2026-11-20T01:00:00Z" =>
    one_bad_address_holds_up_no_other_letter
    a_letter_that_does_not_open_holds_up_no_other
    what_a_partner_cannot_know_is_not_believed
    a_flood_of_letters_goes_in_several_batches
    a_letter_can_be_cancelled_until_it_is_in_a_batch
    a_batch_of_a_living_worker_is_left_alone_and_that_of_a_dead_one_adopted
}

async fn one_bad_address_holds_up_no_other_letter(office: Trial) {
    let post = Post::open(office, CsvEncoding::Cp932, &[]);
    let good = post.letter(&post.order()).await;
    let bad = Order { address: "東京都港区𠮷野1".to_owned(), ..post.order() };
    let bad = post.letter(&bad).await;
    post.after_cut_off().await;
    assert_eq!(post.hand_over().await, Tick::Worked(1), "one goes");
    post.hear().await;
    assert_eq!(post.stage(good).await, Stage::Dispatched, "the good one");
    let row = post.office.job(bad).await;
    assert_eq!(
        (row.stage, row.reason.as_deref()),
        (Stage::Parked, Some("cp932_unmappable")),
        "bad"
    );
    assert_eq!(post.count(bad, Kind::Parked).await, 1, "on record");
    assert_eq!(post.times_printed(bad), 0, "and never with a question mark");
}

async fn a_letter_that_does_not_open_holds_up_no_other(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    let good = post.letter(&post.order()).await;
    // Its pages were counted, but its bytes are not what was sealed.
    let order = post.order();
    let broken = post.letter(&order).await;
    let row = post.office.job(broken).await;
    let mut tx = post.office.db.begin().await.unwrap();
    let day = row.purge_day;
    let rewrap = crate::store::retention::rewrap(&mut tx, broken, day, day + 1, b"nonsense");
    assert!(rewrap.await.unwrap(), "a broken wrap on the books");
    tx.commit().await.unwrap();
    post.after_cut_off().await;
    assert_eq!(post.hand_over().await, Tick::Worked(1), "one goes");
    let row = post.office.job(broken).await;
    let parked = (Stage::Parked, Some("payload_unreadable"));
    assert_eq!((row.stage, row.reason.as_deref()), parked, "the other needs a person");
    post.hear().await;
    assert_eq!(post.stage(good).await, Stage::Dispatched, "and holds up nobody");
}

async fn what_a_partner_cannot_know_is_not_believed(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::Mute]);
    let id = post.letter(&post.order()).await;
    post.after_cut_off().await;
    post.hand_over().await;
    let marker = fs::read_dir(post.root.join("sent")).unwrap().next().unwrap().unwrap();
    let batch = marker.file_name().into_string().unwrap();
    let piece = PieceId::of(id);
    let stranger = PieceId::of(crate::trial::nobody());
    let other = "01982a2e-7c00-7000-8000-0000000000ff";
    let csv = format!(
        "batch,piece,answer,date\n\
         {batch},{piece},posted,2099-01-01\n\
         {batch},{piece},posted,2020-01-01\n\
         {batch},{piece},returned,2031-01-01\n\
         {batch},{stranger},accepted,\n\
         {other},{piece},accepted,\n"
    );
    fs::write(post.root.join("in/lies.csv"), csv).unwrap();
    fs::write(post.root.join("in/lies.csv.done"), b"").unwrap();
    assert_eq!(post.hear().await, Tick::Idle, "nothing moves");
    let row = post.office.job(id).await;
    assert_eq!((row.stage, row.purge_at), (Stage::Sealed, None), "not a bit");
    let rejected = post.rejected();
    assert_eq!(rejected.len(), 1, "kept for a person");
    for (row, code) in [
        (1, "implausible_date"),
        (2, "implausible_date"),
        (3, "implausible_date"),
        (4, "unknown_piece"),
        (5, "unknown_piece"),
    ] {
        let fault = format!(r#"{{"row":{row},"code":"{code}"}}"#);
        assert!(rejected[0].contains(&fault), "{fault} in {}", rejected[0]);
    }
    assert!(post.documents_lie_about(), "lies empty no folder");
}

async fn a_flood_of_letters_goes_in_several_batches(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    let order = post.order();
    let mut letters = Vec::new();
    for _ in 0..7 {
        letters.push(post.letter(&order).await);
    }
    let late = post.letter_for(&order, at(CUT_OFF) + TimeDelta::days(3)).await;
    post.after_cut_off().await;
    let mut room = Arc::into_inner(post.room()).unwrap();
    room.settings.batch_pieces_max = 5;
    room.settings.batch_bytes_max = u64::try_from(order.pdf.len()).unwrap() * 3;
    let hand_over = HandOver(Arc::new(room));
    let mut sizes = Vec::new();
    while let Tick::Worked(size) = hand_over.tick().await.unwrap() {
        sizes.push(size);
    }
    assert_eq!(sizes, [3, 3, 1], "by bytes and by count");
    post.hear().await;
    for id in &letters {
        assert_eq!(post.times_printed(*id), 1, "each letter once");
        assert_eq!(post.stage(*id).await, Stage::Dispatched, "each letter");
    }
    assert_eq!(post.stage(late).await, Stage::Sealed, "the one for Monday waits");
    assert_eq!(fs::read_dir(post.root.join("sent")).unwrap().count(), 3, "three batches");
}

async fn a_letter_can_be_cancelled_until_it_is_in_a_batch(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    let order = post.order();
    let (stays, goes) = (post.letter(&order).await, post.letter(&order).await);
    assert_eq!(post.office.cancel(stays).await, CancelAnswer::Cancelled, "before the cut-off");
    post.after_cut_off().await;
    // The batch is on the books, and then the power fails.
    let fuse = FailsAt::the(3);
    let room = post.room_with(post.office.db_with(fuse), post.drop.clone(), post.office.epoch);
    assert!(HandOver(room).tick().await.is_err(), "dies before the receipt");
    assert_eq!(post.office.cancel(goes).await, CancelAnswer::Sending, "it may be leaving");
    to_the_end(&post).await;
    assert_eq!(post.times_printed(stays), 0, "the cancelled one is not printed");
    assert_eq!(post.times_printed(goes), 1, "the other one is");
}

async fn a_batch_of_a_living_worker_is_left_alone_and_that_of_a_dead_one_adopted(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    let id = post.letter(&post.order()).await;
    post.after_cut_off().await;
    let now = post.office.now();
    let worker = WorkerRow {
        epoch: post.office.epoch,
        host: "here".to_owned(),
        boot_id: "boot".to_owned(),
        roles: "work".to_owned(),
        started_at: now,
        alive_until: now + TimeDelta::minutes(1),
        stopped_at: None,
        masters: String::new(),
    };
    let mut tx = post.office.db.begin().await.unwrap();
    workers::register(&mut tx, &worker).await.unwrap();
    tx.commit().await.unwrap();
    let fuse = FailsAt::the(3);
    let room = post.room_with(post.office.db_with(fuse), post.drop.clone(), post.office.epoch);
    assert!(HandOver(room).tick().await.is_err(), "dies before the receipt");

    let epoch = Epoch(post.office.entropy.id(now).unwrap());
    let other = HandOver(post.room_with(post.office.db.clone(), post.drop.clone(), epoch));
    assert_eq!(other.tick().await.unwrap(), Tick::Idle, "its maker may be at it");
    post.office.wait(TimeDelta::minutes(2)).await;
    assert_eq!(other.tick().await.unwrap(), Tick::Worked(1), "its maker is dead");
    post.hear().await;
    assert_eq!(post.times_printed(id), 1, "printed once");
    assert_eq!(post.stage(id).await, Stage::Dispatched, "by the other worker");
}
