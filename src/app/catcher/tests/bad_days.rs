//! Every verb, every way to fail: what the outcome is, and that only a reply
//! lost after the dot is ever ambiguous.

use super::*;
use crate::dispatch::email::{Fate, Trouble, Verb};

/// The words a conversation in clear without login comes to.
fn verbs(chunking: bool) -> Vec<Verb> {
    let mut verbs = vec![Verb::Greeting, Verb::Hello, Verb::Mail, Verb::Rcpt, Verb::Body];
    if !chunking {
        verbs.insert(4, Verb::Data);
    }
    verbs
}

async fn one_bad_day(kind: CatcherSettings, at: Verb, act: Act) -> (Outcome, Post) {
    let script = Script::always(at, act);
    let post = Post::open(CatcherSettings { script, ..kind }).await;
    let mut carrier = post.carrier();
    let outcome = post.carry(&mut carrier, &letter(1)).await;
    (outcome, post)
}

#[tokio::test]
async fn a_4xx_at_any_verb_is_later() {
    for kind in kinds() {
        for at in verbs(kind.chunking) {
            let act = Act::Say("450 4.2.0 greylisted".to_owned());
            let (outcome, post) = one_bad_day(kind.clone(), at, act).await;
            let Outcome::Later { reply: Some(reply), verb } = &outcome else {
                panic!("{at:?}: {outcome:?}")
            };
            assert_eq!((reply.code, *verb), (450, at));
            let fate = if at.concerns_the_mail() { Fate::Retry } else { Fate::RelayAway };
            assert_eq!(outcome.fate(), fate, "{at:?}");
            assert_eq!(post.dots(), usize::from(at == Verb::Body), "{at:?}");
            assert_eq!(post.catcher.caught(), 0, "{at:?}: nothing was taken");
        }
    }
}

#[tokio::test]
async fn a_5xx_at_any_verb_is_a_refusal() {
    for kind in kinds() {
        for at in verbs(kind.chunking) {
            let act = Act::Say("554-5.6.0 no\r\n554 5.6.0 really not".to_owned());
            let (outcome, post) = one_bad_day(kind.clone(), at, act).await;
            let Outcome::Refused { reply, verb } = &outcome else { panic!("{at:?}: {outcome:?}") };
            assert_eq!((reply.code, *verb), (554, at));
            assert_eq!(reply.text, "5.6.0 no 5.6.0 really not", "the words are kept");
            let fate = if at.concerns_the_mail() { Fate::Refused } else { Fate::RelayAway };
            assert_eq!(outcome.fate(), fate, "{at:?}");
            assert_eq!(post.catcher.caught(), 0, "{at:?}: nothing was taken");
        }
    }
}

#[tokio::test]
async fn only_a_connection_lost_after_the_dot_is_ambiguous() {
    for kind in kinds() {
        for at in verbs(kind.chunking) {
            for act in [Act::HangUp, Act::KeepAndHangUp] {
                let (outcome, post) = one_bad_day(kind.clone(), at, act).await;
                if at == Verb::Body {
                    let lost = matches!(outcome, Outcome::LostReply { .. });
                    assert!(lost && outcome.fate() == Fate::Ambiguous, "{at:?}: {outcome:?}");
                    assert_eq!(post.dots(), 1);
                } else {
                    let Outcome::Unreachable { verb, .. } = outcome else {
                        panic!("{at:?}: {outcome:?}")
                    };
                    assert_eq!((verb, post.dots()), (at, 0), "safe to repeat");
                    assert_eq!(post.catcher.caught(), 0);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_its_time_and_no_more() {
    let days = kinds().into_iter().flat_map(|kind| {
        let verbs = verbs(kind.chunking).into_iter();
        verbs.map(move |at| a_silent_day(kind.clone(), at))
    });
    futures::future::join_all(days).await;
}

async fn a_silent_day(kind: CatcherSettings, at: Verb) {
    let script = Script::always(at, Act::Freeze);
    let post = Post::open(CatcherSettings { script, ..kind }).await;
    let settings = RelaySettings { timeouts: short_times(), ..post.settings() };
    let outcome = post.carry(&mut carrier(settings), &letter(1)).await;
    let why = Trouble::TimedOut;
    if at == Verb::Body {
        assert_eq!(outcome, Outcome::LostReply { why }, "{at:?}");
    } else {
        assert_eq!(outcome, Outcome::Unreachable { verb: at, why }, "{at:?}");
    }
}

#[tokio::test]
async fn a_slow_server_is_waited_for() {
    for kind in kinds() {
        for at in verbs(kind.chunking) {
            let late = Act::Late(Duration::from_millis(50));
            let (outcome, _) = one_bad_day(kind.clone(), at, late).await;
            assert!(matches!(outcome, Outcome::Accepted { .. }), "{at:?}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_reply_of_ten_megabytes_is_not_read() {
    for kind in kinds() {
        for at in verbs(kind.chunking) {
            let (outcome, _) = one_bad_day(kind.clone(), at, Act::HugeLine).await;
            let why = Trouble::ReplyTooLong;
            if at == Verb::Body {
                assert_eq!(outcome, Outcome::LostReply { why }, "{at:?}");
            } else {
                assert_eq!(outcome, Outcome::Unreachable { verb: at, why }, "{at:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_no_smtp_is_believed_nowhere() {
    for kind in kinds() {
        for at in verbs(kind.chunking) {
            for (words, why) in [
                ("HTTP/1.1 400 Bad Request", Trouble::NotSmtp),
                ("250-a\r\n354 b", Trouble::NotSmtp),
                ("399 what", Trouble::OutOfTurn),
            ] {
                let act = Act::Say(words.to_owned());
                let (outcome, post) = one_bad_day(kind.clone(), at, act).await;
                if at == Verb::Body {
                    assert_eq!(outcome, Outcome::LostReply { why }, "{at:?} {words}");
                } else {
                    assert_eq!(outcome, Outcome::Unreachable { verb: at, why }, "{at:?} {words}");
                }
                assert_ne!(outcome.fate(), Fate::Sent, "{at:?} {words}");
                assert_eq!(post.catcher.caught() > 0, at == Verb::Body && words.starts_with('2'));
            }
        }
    }
}

#[tokio::test]
async fn a_surplus_250_is_never_taken_for_the_next_mails_reply() {
    for kind in kinds() {
        for at in verbs(kind.chunking) {
            // The second mail is refused by the server: an answer shifted by
            // one would make it "sent".
            let refuse = Rule {
                at: Verb::Body,
                recipient: Some("second@example.jp".to_owned()),
                act: Act::Say("554 5.6.0 no".to_owned()),
                times: u32::MAX,
            };
            let surplus = Rule { at, recipient: None, act: Act::Surplus, times: u32::MAX };
            let script = Script::new(vec![refuse, surplus]);
            let post = Post::open(CatcherSettings { script, ..kind.clone() }).await;
            let mut carrier = post.carrier();
            let first = post.carry(&mut carrier, &letter_to(1, "first@example.jp")).await;
            let second = post.carry(&mut carrier, &letter_to(2, "second@example.jp")).await;
            assert_ne!(second.fate(), Fate::Sent, "{at:?}: {second:?}");
            if first.fate() == Fate::Sent {
                assert!(post.catcher.caught() >= 1, "{at:?}: sent is never said of what was not");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_up_after_its_duty_is_believed() {
    for kind in kinds() {
        for at in verbs(kind.chunking) {
            let (outcome, post) = one_bad_day(kind.clone(), at, Act::DutyThenHangUp).await;
            match at {
                Verb::Body => {
                    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
                }
                // Between the 354 and the dot, or between RCPT and BDAT: the
                // mail may have left us whole before the server's end of
                // stream arrived, so ambiguous is allowed, sent is not.
                Verb::Data | Verb::Rcpt => {
                    assert_ne!(outcome.fate(), Fate::Sent, "{at:?}: {outcome:?}");
                    assert_eq!(post.catcher.caught(), 0);
                }
                Verb::Connect
                | Verb::Greeting
                | Verb::Hello
                | Verb::StartTls
                | Verb::Tls
                | Verb::Auth
                | Verb::Mail => {
                    assert!(matches!(outcome, Outcome::Unreachable { .. }), "{at:?}: {outcome:?}");
                    assert_eq!(post.dots(), 0);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_lost_reply_renews_the_connection_and_repeats_nothing() {
    for kind in kinds() {
        let lost = Rule { at: Verb::Body, recipient: None, act: Act::KeepAndHangUp, times: 1 };
        let script = Script::new(vec![lost]);
        let post = Post::open(CatcherSettings { script, ..kind }).await;
        let mut carrier = post.carrier();
        let first = post.carry(&mut carrier, &letter(1)).await;
        assert!(matches!(first, Outcome::LostReply { .. }), "{first:?}");
        let second = post.carry(&mut carrier, &letter(2)).await;
        assert!(matches!(second, Outcome::Accepted { .. }), "{second:?}");
        assert_eq!(post.catcher.caught(), 2, "the first arrived once, whoever knows it");
    }
}

#[tokio::test]
async fn a_farewell_ends_the_connection_and_the_next_mail_opens_another() {
    for kind in kinds() {
        for at in [Verb::Mail, Verb::Rcpt, Verb::Body] {
            let act = Act::Say("421 4.3.0 shutting down".to_owned());
            let rule = Rule { at, recipient: None, act, times: 1 };
            let settings = CatcherSettings { script: Script::new(vec![rule]), ..kind.clone() };
            let post = Post::open(settings).await;
            let mut carrier = post.carrier();
            let first = post.carry(&mut carrier, &letter(1)).await;
            assert_eq!(first.fate(), Fate::RelayAway, "{at:?}: {first:?}");
            let second = post.carry(&mut carrier, &letter(2)).await;
            assert!(matches!(second, Outcome::Accepted { .. }), "{at:?}: {second:?}");
            assert_eq!(post.catcher.connections(), 2, "{at:?}");
        }
    }
}
