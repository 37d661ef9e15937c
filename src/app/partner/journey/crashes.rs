//! The power fails at every step, and every letter is printed once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chrono::TimeDelta;

use super::Post;
use crate::{
    dispatch::postal::{Answers, CsvEncoding, HandOver, PostalError},
    domain::{log::Kind, stage::Stage},
    trial::{FailsAt, Office as Trial, on_both},
};

on_both! { "2026-11-20T01:00:00Z" =>
    a_hand_over_that_dies_anywhere_prints_every_letter_once
    a_folder_that_dies_anywhere_prints_every_letter_once
    an_answer_that_dies_anywhere_is_put_on_the_books_once
}

/// The rest of the way after a crash: hand over, hear, post, hear.
pub(super) async fn to_the_end(post: &Post) {
    // The database may hold the rows of what died for a moment longer, and a
    // hand-over passes by what is held.
    for _ in 0..3 {
        post.hand_over().await;
    }
    post.hear().await;
    post.wait_hours(18).await;
    post.hear().await;
}

async fn a_hand_over_that_dies_anywhere_prints_every_letter_once(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    for step in 0.. {
        let run_at = post.office.now();
        let order = post.order();
        let letters =
            [post.letter_for(&order, run_at).await, post.letter_for(&order, run_at).await];
        post.office.wait(TimeDelta::seconds(1)).await;
        let fuse = FailsAt::the(step);
        let db = post.office.db_with(fuse.clone());
        let room = post.room_with(db, post.drop.clone(), post.office.epoch);
        let died = HandOver(room).tick().await.is_err();
        assert_eq!(died, fuse.blew(), "step {step}: the tick reports its failure");
        // The partner may look at any time, also in the middle.
        if step % 2 == 0 {
            post.hear().await;
        }
        to_the_end(&post).await;
        for id in letters {
            assert_eq!(post.times_printed(id), 1, "step {step}: printed once");
            assert_eq!(post.stage(id).await, Stage::Dispatched, "step {step}: dispatched");
            assert!(post.office.job(id).await.purge_at.is_some(), "step {step}: its clock runs");
            assert!(post.count(id, Kind::HandedOver).await <= 1, "step {step}: on record once");
            assert_eq!(post.count(id, Kind::Posted).await, 1, "step {step}: posted once");
        }
        assert!(!post.documents_lie_about(), "step {step}: the folder is empty");
        if !died {
            assert!(step >= 6, "every commit was rehearsed, not only {step}");
            return;
        }
    }
}

async fn a_folder_that_dies_anywhere_prints_every_letter_once(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    for step in 0.. {
        let run_at = post.office.now();
        let id = post.letter_for(&post.order(), run_at).await;
        post.office.wait(TimeDelta::seconds(1)).await;
        let left = AtomicUsize::new(step);
        let drop = post.drop.rehearsing(move |name| {
            let left = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            left.map(|_| ()).map_err(|_| PostalError::Rehearsed(name))
        });
        let room = post.room_with(post.office.db.clone(), drop, post.office.epoch);
        let died = HandOver(Arc::clone(&room)).tick().await.is_err();
        post.theirs.tick().await.unwrap();
        let deaf = Answers(room).tick().await.is_err();
        to_the_end(&post).await;
        assert_eq!(post.times_printed(id), 1, "step {step}: printed once");
        assert_eq!(post.stage(id).await, Stage::Dispatched, "step {step}: dispatched");
        assert_eq!(post.count(id, Kind::Dispatched).await, 1, "step {step}: on record once");
        assert_eq!(post.count(id, Kind::Posted).await, 1, "step {step}: posted once");
        assert!(!post.documents_lie_about(), "step {step}: the folder is empty");
        if !died && !deaf {
            assert!(step >= 12, "every step of the folder was rehearsed, not only {step}");
            return;
        }
    }
}

async fn an_answer_that_dies_anywhere_is_put_on_the_books_once(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[]);
    for step in 0.. {
        let run_at = post.office.now();
        let order = post.order();
        let letters =
            [post.letter_for(&order, run_at).await, post.letter_for(&order, run_at).await];
        post.office.wait(TimeDelta::seconds(1)).await;
        post.hand_over().await;
        post.theirs.tick().await.unwrap();
        let fuse = FailsAt::the(step);
        let db = post.office.db_with(fuse.clone());
        let room = post.room_with(db, post.drop.clone(), post.office.epoch);
        let died = Answers(room).tick().await.is_err();
        assert_eq!(died, fuse.blew(), "step {step}: the tick reports its failure");
        to_the_end(&post).await;
        for id in letters {
            assert_eq!(post.stage(id).await, Stage::Dispatched, "step {step}: dispatched");
            assert_eq!(post.count(id, Kind::Dispatched).await, 1, "step {step}: on record once");
            assert_eq!(post.count(id, Kind::Posted).await, 1, "step {step}: posted once");
        }
        if !died {
            assert!(step >= 4, "every commit was rehearsed, not only {step}");
            return;
        }
    }
}
