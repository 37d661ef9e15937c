use super::{
    super::{Reply, Trouble, Verb},
    *,
};

const BOOT: BootId = BootId(Uuid::from_u128(7));

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000_i64.saturating_add(second), 0).unwrap()
}

fn job(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

fn epoch(number: u128) -> Epoch {
    Epoch(Uuid::from_u128(number))
}

fn reply(code: u16) -> Reply {
    Reply { code, enhanced: None, text: String::new() }
}

fn accepted() -> Outcome {
    Outcome::Accepted { reply: reply(250) }
}

/// A journal with one mail of each kind: 1 taken, 2 in the air, 3 deferred,
/// 4 deferred and in the air again, 5 lost, 6 withheld, 7 on the books.
fn lived(dir: &Path, number: u128) -> Journal {
    let journal = Journal::open(dir, epoch(number), BOOT).unwrap();
    let later = Outcome::Later { reply: Some(reply(451)), verb: Verb::Body };
    for n in [1, 2, 3, 4, 5, 7] {
        journal.before_dot(job(n), 1, at(0)).unwrap();
    }
    journal.settled(job(1), &accepted(), at(1)).unwrap();
    journal.settled(job(3), &later, at(1)).unwrap();
    journal.settled(job(4), &later, at(1)).unwrap();
    journal.before_dot(job(4), 2, at(300)).unwrap();
    journal.settled(job(5), &Outcome::LostReply { why: Trouble::Closed }, at(1)).unwrap();
    journal.settled(job(6), &Outcome::Withheld, at(1)).unwrap();
    journal.settled(job(7), &accepted(), at(2)).unwrap();
    journal.booked(&[job(7)]).unwrap();
    journal
}

#[test]
fn a_dead_process_tells_what_it_sent() {
    let dir = tempfile::tempdir().unwrap();
    drop(lived(dir.path(), 1));
    let mut found = Abandoned::find(dir.path(), BOOT).unwrap();
    assert_eq!(found.len(), 1, "one journal is abandoned");
    let journal = found.remove(0);
    assert_eq!(journal.epoch, epoch(1));
    assert!(journal.same_boot && journal.intact, "{journal:?}");
    assert_eq!(journal.accepted, [(job(1), at(1)), (job(7), at(2))]);
    assert_eq!(journal.open_dots, [job(2), job(4), job(5)]);
    journal.finish().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "finishing leaves nothing");
}

/// Found by a reminder that was marked and had not left when its process died.
#[test]
fn the_answer_to_an_earlier_mail_is_not_that_of_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let journal = lived(dir.path(), 1);
    journal.anew(&[job(7)], at(400)).unwrap();
    assert!(!journal.under_way().contains(&job(7)), "nothing of it is in the air");
    drop(journal);
    let journal = Abandoned::find(dir.path(), BOOT).unwrap().remove(0);
    assert_eq!(journal.accepted, [(job(1), at(1))], "of the other mail nothing is known");
    assert_eq!(journal.open_dots, [job(2), job(4), job(5)], "and nothing is open");
}

#[test]
fn a_live_process_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = lived(dir.path(), 1);
    assert!(Abandoned::find(dir.path(), BOOT).unwrap().is_empty(), "its lock is held");
    // Whoever settles a journal holds it too.
    drop(journal);
    let held = Abandoned::find(dir.path(), BOOT).unwrap();
    assert_eq!(held.len(), 1, "its lock is free");
    assert!(Abandoned::find(dir.path(), BOOT).unwrap().is_empty(), "one settles, not two");
    drop(held);
    assert_eq!(Abandoned::find(dir.path(), BOOT).unwrap().len(), 1, "dropped is not finished");
}

#[test]
fn another_boot_and_a_foreign_header_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    drop(lived(dir.path(), 1));
    let other = BootId(Uuid::from_u128(8));
    let found = Abandoned::find(dir.path(), other).unwrap();
    assert!(!found[0].same_boot && found[0].intact, "the machine was restarted");
    drop(found);
    fs::rename(journal_path(dir.path(), epoch(1)), journal_path(dir.path(), epoch(2))).unwrap();
    let found = Abandoned::find(dir.path(), BOOT).unwrap();
    assert!(!found[0].intact, "the header belongs to another epoch");
    drop(found);
    fs::write(journal_path(dir.path(), epoch(2)), b"short").unwrap();
    let found = Abandoned::find(dir.path(), BOOT).unwrap();
    assert!(!found[0].intact && found[0].accepted.is_empty(), "an unreadable header");
    fs::write(dir.path().join("notes.journal"), b"x").unwrap();
    drop(found);
    assert_eq!(Abandoned::find(dir.path(), BOOT).unwrap().len(), 1, "other names are not ours");
}

#[test]
fn a_kill_at_any_byte_loses_no_dot_whose_line_was_written() {
    let dir = tempfile::tempdir().unwrap();
    drop(lived(dir.path(), 1));
    let whole = fs::read(journal_path(dir.path(), epoch(1))).unwrap();
    let copy_dir = tempfile::tempdir().unwrap();
    for cut in HEADER_BYTES..=whole.len() {
        fs::write(journal_path(copy_dir.path(), epoch(1)), &whole[..cut]).unwrap();
        let found = Abandoned::find(copy_dir.path(), BOOT).unwrap();
        let journal = &found[0];
        assert!(journal.intact, "a torn tail is no damage (cut at {cut})");
        let lines = (cut - HEADER_BYTES) / record::RECORD_BYTES;
        // Six dots first, then the answers in the order of `lived`.
        assert_eq!(journal.accepted.len(), usize::from(lines >= 7) + usize::from(lines >= 11));
        let open = match lines {
            0..=6 => lines,
            7 => 5,
            8 | 10 => 4,
            _ => 3,
        };
        assert_eq!(journal.open_dots.len(), open, "after {lines} lines");
    }
}

#[test]
fn a_torn_tail_of_full_length_is_ignored_and_damage_inside_is_told() {
    let dir = tempfile::tempdir().unwrap();
    drop(lived(dir.path(), 1));
    let path = journal_path(dir.path(), epoch(1));
    let whole = fs::read(&path).unwrap();
    let mut torn = whole.clone();
    *torn.last_mut().unwrap() ^= 1;
    fs::write(&path, &torn).unwrap();
    let found = Abandoned::find(dir.path(), BOOT).unwrap();
    assert!(found[0].intact, "only the last line is bad");
    assert_eq!(found[0].open_dots.len(), 4, "the mail of the torn line stays open");
    drop(found);
    let mut damaged = whole;
    damaged[HEADER_BYTES + 5] ^= 1;
    fs::write(&path, &damaged).unwrap();
    assert!(!Abandoned::find(dir.path(), BOOT).unwrap()[0].intact, "a line inside is bad");
}

#[test]
fn the_file_does_not_grow_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), epoch(1), BOOT).unwrap();
    journal.before_dot(job(u128::MAX), 1, at(0)).unwrap();
    for n in 0..40_000 {
        journal.before_dot(job(n), 1, at(0)).unwrap();
        journal.settled(job(n), &accepted(), at(1)).unwrap();
        if n >= 8 {
            journal.booked(&[job(n - 8)]).unwrap();
        }
    }
    let len = fs::metadata(journal_path(dir.path(), epoch(1))).unwrap().len();
    assert!(len <= REWRITE_AT_BYTES, "{len} bytes after 40,000 mails");
    assert_eq!(journal.unbooked(), 9, "eight taken and one in the air");
    assert!(Abandoned::find(dir.path(), BOOT).unwrap().is_empty(), "rewriting keeps the lock");
    drop(journal);
    let found = Abandoned::find(dir.path(), BOOT).unwrap();
    assert_eq!(found[0].open_dots, [job(u128::MAX)], "what was in the air is still known");
    let last: Vec<_> = (39_992..40_000).map(|n| (job(n), at(1))).collect();
    assert!(last.iter().all(|taken| found[0].accepted.contains(taken)), "so is what was taken");
}

#[test]
fn an_orderly_end_leaves_a_file_only_if_something_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), epoch(1), BOOT).unwrap();
    journal.before_dot(job(1), 1, at(0)).unwrap();
    journal.settled(job(1), &accepted(), at(0)).unwrap();
    journal.booked(&[job(1)]).unwrap();
    journal.close().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is open");
    lived(dir.path(), 2).close().unwrap();
    assert_eq!(Abandoned::find(dir.path(), BOOT).unwrap().len(), 1, "mails are open");
}

#[test]
fn an_epoch_is_not_used_twice() {
    let dir = tempfile::tempdir().unwrap();
    let first = Journal::open(dir.path(), epoch(1), BOOT).unwrap();
    assert!(matches!(Journal::open(dir.path(), epoch(1), BOOT), Err(JournalFault::Open(_))));
    first.before_dot(job(1), 1, at(0)).unwrap();
}

#[test]
fn a_full_disk_stops_the_dot() {
    // A file size limit would kill the test; a read-only handle fails alike.
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), epoch(1), BOOT).unwrap();
    let path = journal_path(dir.path(), epoch(1));
    journal.lock().file = File::open(&path).unwrap();
    assert!(matches!(journal.before_dot(job(1), 1, at(0)), Err(JournalFault::Write(_))));
    assert!(matches!(journal.before_dot(job(1), 1, at(0)), Err(JournalFault::Damaged)));
    assert_eq!(journal.unbooked(), 0, "a mail without a line is not in the air");
}

#[test]
fn the_kernel_names_its_run() {
    assert_eq!(BootId::read().unwrap(), BootId::read().unwrap(), "the same run, the same name");
}
