//! The partner's good and bad days.

use chrono::TimeDelta;

use super::{Day, Post, purge_of};
use crate::{
    dispatch::postal::{CsvEncoding, Silent, Tick},
    domain::{log::Kind, stage::Stage},
    trial::{Office as Trial, on_both},
};

on_both! { "2026-11-20T01:00:00Z" =>
    a_refused_letter_is_parked_and_the_others_go
    a_silent_partner_starts_the_clock_at_the_hand_over
    a_mute_partner_finds_nothing_after_a_week
    words_said_twice_or_in_the_wrong_order_count_once
    half_written_answers_lose_nothing
    a_returned_letter_has_a_clock_of_its_own
}

async fn a_refused_letter_is_parked_and_the_others_go(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::RejectsOne]);
    let order = post.order();
    let letters = [post.letter(&order).await, post.letter(&order).await];
    post.after_cut_off().await;
    post.hand_over().await;
    post.hear().await;
    let first = post.office.job(letters[0]).await;
    assert_eq!(first.stage, Stage::Parked, "the refused one needs a person");
    assert_eq!(first.reason.as_deref(), Some("partner_rejected"), "with the reason");
    assert_eq!(post.count(letters[0], Kind::PartnerRejected).await, 1, "on record");
    assert_eq!(post.stage(letters[1]).await, Stage::Dispatched, "the other one goes");
    assert!(!post.documents_lie_about(), "an answer for each: the folder is emptied");
}

async fn a_silent_partner_starts_the_clock_at_the_hand_over(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::Silent]);
    let id = post.letter(&post.order()).await;
    post.after_cut_off().await;
    post.hand_over().await;
    post.hear().await;
    let silent = Silent(post.room());
    post.office.wait(TimeDelta::days(7) - TimeDelta::microseconds(1)).await;
    assert_eq!(silent.tick().await.unwrap(), Tick::Idle, "a week is a week");
    post.office.wait(TimeDelta::microseconds(1)).await;
    assert_eq!(silent.tick().await.unwrap(), Tick::Worked(1), "now it is silent");
    assert_eq!(silent.tick().await.unwrap(), Tick::Idle, "noticed once");
    let row = post.office.job(id).await;
    assert_eq!(row.purge_at, Some(purge_of("2026-11-20")), "from the hand-over");
    assert_eq!(row.stage, Stage::Dispatched, "the partner has taken it, after all");
    assert_eq!(post.count(id, Kind::Parked).await, 1, "a person is told");
    assert!(post.office.document(&row).await.is_some(), "it can be read until then");
}

async fn a_mute_partner_finds_nothing_after_a_week(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::Mute]);
    let id = post.letter(&post.order()).await;
    post.after_cut_off().await;
    post.hand_over().await;
    post.hear().await;
    assert!(post.documents_lie_about(), "not taken yet");
    post.office.wait(TimeDelta::days(7)).await;
    assert_eq!(Silent(post.room()).tick().await.unwrap(), Tick::Worked(1), "noticed");
    let row = post.office.job(id).await;
    assert_eq!(
        (row.stage, row.reason.as_deref()),
        (Stage::Parked, Some("partner_silent")),
        "parked"
    );
    assert_eq!(row.purge_at, Some(purge_of("2026-11-20")), "the clock runs all the same");
    assert!(!post.documents_lie_about(), "no plain document outlives the week");
}

async fn words_said_twice_or_in_the_wrong_order_count_once(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::Twice, Day::OutOfOrder]);
    for _ in 0..2 {
        let run_at = post.office.now();
        let id = post.letter_for(&post.order(), run_at).await;
        post.office.wait(TimeDelta::seconds(1)).await;
        post.hand_over().await;
        post.hear().await;
        assert_eq!(post.stage(id).await, Stage::Dispatched, "dispatched by the first word");
        post.wait_hours(18).await;
        post.hear().await;
        assert_eq!(post.stage(id).await, Stage::Dispatched, "moved by nothing that follows");
        assert_eq!(post.count(id, Kind::Posted).await, 1, "posted once");
        assert!(post.count(id, Kind::Dispatched).await <= 1, "accepted at most once");
        assert!(post.office.job(id).await.purge_at.is_some(), "the clock runs");
        assert_eq!(post.times_printed(id), 1, "printed once");
    }
    assert!(post.rejected().is_empty(), "late words are no errors");
}

async fn half_written_answers_lose_nothing(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::HalfWritten, Day::Broken]);
    for day in [Day::HalfWritten, Day::Broken] {
        let run_at = post.office.now();
        let id = post.letter_for(&post.order(), run_at).await;
        post.office.wait(TimeDelta::seconds(1)).await;
        post.hand_over().await;
        post.hear().await;
        assert_eq!(post.stage(id).await, Stage::Sealed, "{day:?}: half a word is none");
        post.hear().await;
        assert_eq!(post.stage(id).await, Stage::Dispatched, "{day:?}: the whole one counts");
        post.wait_hours(18).await;
        post.hear().await;
        post.hear().await;
        assert_eq!(post.count(id, Kind::Posted).await, 1, "{day:?}: posted");
    }
    assert!(!post.rejected().is_empty(), "what was broken is kept for a person");
}

async fn a_returned_letter_has_a_clock_of_its_own(office: Trial) {
    let post = Post::open(office, CsvEncoding::Utf8, &[Day::Returns]);
    let id = post.letter(&post.order()).await;
    post.after_cut_off().await;
    post.hand_over().await;
    post.hear().await;
    post.wait_hours(18).await;
    post.hear().await;
    assert_eq!(post.office.job(id).await.purge_at, Some(purge_of("2026-11-21")), "posted");
    post.office.wait(TimeDelta::days(10)).await;
    post.hear().await;
    let row = post.office.job(id).await;
    assert_eq!(row.stage, Stage::Undeliverable, "it came back");
    assert_eq!(row.reason.as_deref(), Some("letter_returned"), "with the reason");
    assert_eq!(row.purge_at, Some(purge_of("2026-12-01")), "a month from its processing");
    assert_eq!(post.count(id, Kind::Returned).await, 1, "on record");
    assert!(post.office.document(&row).await.is_some(), "its key moved with its clock");
    assert_eq!(post.times_printed(id), 1, "never resent by itself");
}
