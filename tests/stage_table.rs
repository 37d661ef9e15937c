//! The journey, drawn and checked: every stage with every event.
//!
//! `KAKITOME_BLESS=1 cargo test --test stage_table` draws it anew into
//! docs/ARCHITECTURE.md, between its two markers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fmt::Write as _, fs, path::Path};

use kakitome::domain::stage::{Event, IllegalMove, Stage};
use proptest::prelude::*;

const BEGIN: &str = "<!-- stage-drawing -->";
const END: &str = "<!-- /stage-drawing -->";

/// Two views of one table: a diagram of the moves that lead elsewhere, and the
/// whole table, in which a dot is a fact that is written down and moves nothing.
fn drawing() -> String {
    let mut drawing = String::from("\n```mermaid\nstateDiagram-v2\n    [*] --> accepted\n");
    for stage in Stage::ALL {
        for next in Stage::ALL {
            let ways: Vec<String> = Event::ALL
                .into_iter()
                // Every stage but the last can expire; forty arrows are no drawing.
                .filter(|event| *event != Event::Expire)
                .filter(|event| next != stage && stage.after(*event) == Ok(next))
                .map(|event| format!("{event:?}"))
                .collect();
            if !ways.is_empty() {
                writeln!(drawing, "    {} --> {}: {}", stage.word(), next.word(), ways.join(", "))
                    .unwrap();
            }
        }
    }
    drawing.push_str("    note right of purged: Expire leads here from every other stage\n    purged --> [*]\n```\n\n");
    drawing.push_str("| stage |");
    for event in Event::ALL {
        write!(drawing, " {event:?} |").unwrap();
    }
    writeln!(drawing, "\n|---|{}", "---|".repeat(Event::ALL.len())).unwrap();
    for stage in Stage::ALL {
        write!(drawing, "| **{}** |", stage.word()).unwrap();
        for event in Event::ALL {
            match stage.after(event) {
                Ok(next) if next == stage => drawing.push_str(" · |"),
                Ok(next) => write!(drawing, " {} |", next.word()).unwrap(),
                Err(IllegalMove { .. }) => drawing.push_str(" |"),
            }
        }
        drawing.push('\n');
    }
    drawing.push_str("\nA dot is a fact that is written down and moves nothing; an empty field is a bug (`IllegalMove`).\n");
    drawing
}

#[test]
fn the_drawing_in_the_architecture_page_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/ARCHITECTURE.md");
    let drawing = drawing();
    let page =
        fs::read_to_string(&path).unwrap_or_else(|_| format!("# Architecture\n\n{BEGIN}{END}\n"));
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (drawn, after) = rest.split_once(END).unwrap();
    if std::env::var_os("KAKITOME_BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{drawing}{END}{after}")).unwrap();
    } else {
        assert!(drawn == drawing, "docs/ARCHITECTURE.md is out of date: run with KAKITOME_BLESS=1");
    }
}

/// Each pair once, so that no move is allowed or forbidden unseen.
#[test]
fn every_pair_is_a_move_or_a_bug() {
    use Event as E;
    use Stage as S;
    for stage in S::ALL {
        for event in E::ALL {
            let outcome = stage.after(event);
            if let Err(IllegalMove { stage: s, event: e }) = outcome {
                assert_eq!((s, e), (stage, event), "the error names the pair");
            }
            // What comes from outside may come at any time, except to a stage
            // that it cannot have seen.
            let from_outside = matches!(event, E::Open | E::Return | E::Dispatch);
            let cannot_have_seen = matches!(
                (stage, event),
                (S::Accepted, E::Return | E::Dispatch) | (S::Purged, E::Open)
            );
            if from_outside && !cannot_have_seen {
                assert!(outcome.is_ok(), "{} must bear {event:?}", stage.word());
            }
            // Ends stay ends, but for retention.
            let ended = matches!(stage, S::Cancelled | S::Recalled | S::Undeliverable | S::Purged);
            if ended && event != E::Expire {
                assert!(outcome.is_err() || outcome == Ok(stage), "{} moved", stage.word());
            }
        }
    }
    let moves = S::ALL.iter().flat_map(|s| E::ALL.map(|e| s.after(e))).flatten().count();
    // Whoever adds a move changes this number on purpose.
    assert_eq!(moves, MOVES, "moves in the table");
}

const MOVES: usize = 57;

#[test]
fn words_are_stored_and_come_back() {
    for stage in Stage::ALL {
        assert_eq!(Stage::parse(stage.word()), Ok(stage), "{}", stage.word());
    }
    assert!(Stage::parse("Accepted").is_err(), "words are exact");
    assert!(Stage::parse("sent").is_err(), "unknown words are errors");
}

proptest! {
    /// Whatever happens, in whatever order.
    #[test]
    fn no_history_breaks_a_promise(events in prop::collection::vec(prop::sample::select(&Event::ALL[..]), 0..60)) {
        let mut here = Stage::Accepted;
        let mut ended = None;
        for event in events {
            prop_assert_eq!(here.after(Event::Expire).is_ok(), here != Stage::Purged, "retention can always end it");
            let Ok(next) = here.after(event) else { continue };
            let stays_home = matches!(next, Stage::Accepted | Stage::Sealed | Stage::Parked | Stage::Cancelled | Stage::Purged);
            prop_assert!(here != Stage::Accepted || stays_home, "nothing leaves unsealed");
            prop_assert!(next != Stage::Dispatched || event == Event::Dispatch || here == next, "sent is never guessed");
            if let Some(end) = ended {
                prop_assert!(next == end || next == Stage::Purged, "an end is not undone");
            }
            if matches!(next, Stage::Cancelled | Stage::Recalled | Stage::Undeliverable | Stage::Purged) {
                ended = Some(next);
            }
            prop_assert!(here != Stage::Purged || next == Stage::Purged, "what is purged stays purged");
            here = next;
        }
    }

    /// A fact that comes twice is the same fact.
    #[test]
    fn the_second_time_changes_nothing(
        stage in prop::sample::select(&Stage::ALL[..]),
        event in prop::sample::select(&[Event::Open, Event::Return, Event::Dispatch, Event::LoseReply, Event::Cancel, Event::Recall][..]),
    ) {
        if let Ok(next) = stage.after(event) {
            prop_assert_eq!(next.after(event), Ok(next));
        }
    }
}
