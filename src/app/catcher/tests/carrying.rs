use std::{fs::Permissions, os::unix::fs::PermissionsExt};

use super::*;

#[tokio::test]
async fn every_kind_of_server_gets_the_same_bytes() {
    for kind in kinds() {
        let what = (kind.pipelining, kind.chunking);
        let post = Post::open(kind).await;
        let mut carrier = post.carrier();
        for number in 1..=20 {
            let outcome = post.carry(&mut carrier, &letter(number)).await;
            assert!(matches!(outcome, Outcome::Accepted { .. }), "{what:?}: {outcome:?}");
        }
        let mails = post.catcher.mails();
        assert_eq!((mails.len(), post.dots()), (20, 20), "{what:?}");
        for (mail, number) in mails.iter().rev().zip(1..) {
            assert_eq!(mail.bytes, *letter(number).bytes, "byte for byte, {what:?}");
            assert_eq!(mail.envelope_to, ["taro@example.jp"]);
            assert_eq!(mail.envelope_from, "b+x@bounce.example.jp");
        }
        assert_eq!(post.catcher.connections(), 1, "one connection carries them all");
        assert_eq!(post.catcher.heard().contains(&"BDAT"), what.1, "{what:?}");
        carrier.close().await;
        assert_eq!(post.catcher.heard().last(), Some(&"QUIT"), "it takes leave");
    }
}

#[tokio::test]
async fn what_is_withheld_is_not_sent() {
    for kind in kinds() {
        let chunking = kind.chunking;
        let post = Post::open(kind).await;
        let mut carrier = post.carrier();
        for number in 1..=3 {
            let outcome = carrier.carry(&letter(number), &mut || false).await;
            assert_eq!(outcome, Outcome::Withheld);
        }
        assert_eq!(post.catcher.caught(), 0, "nothing was sent");
        let heard = post.catcher.heard();
        assert!(!heard.contains(&".") && !heard.contains(&"BDAT"), "{heard:?}");
        assert_eq!(heard.contains(&"RSET"), chunking, "taken back where that is possible");
        let outcome = post.carry(&mut carrier, &letter(4)).await;
        assert!(matches!(outcome, Outcome::Accepted { .. }), "the next mail goes: {outcome:?}");
        assert_eq!(post.catcher.connections(), if chunking { 1 } else { 4 });
    }
}

#[tokio::test]
async fn the_dot_is_announced_after_the_recipient_is_known_to_be_taken() {
    for kind in kinds() {
        let post = Post::open(kind).await;
        let mut carrier = post.carrier();
        let catcher = post.catcher.clone();
        let mut heard_before = Vec::new();
        let mut before_dot = || {
            heard_before = catcher.heard();
            true
        };
        carrier.carry(&letter(1), &mut before_dot).await;
        assert!(heard_before.contains(&"RCPT"), "{heard_before:?}");
        assert!(!heard_before.contains(&".") && !heard_before.contains(&"BDAT"), "and no content");
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_costs_nothing() {
    for kind in kinds() {
        let settings = CatcherSettings { idle_max: Duration::from_millis(40), ..kind };
        let post = Post::open(settings).await;
        let mut carrier = post.carrier();
        for number in 1..=3 {
            let outcome = post.carry(&mut carrier, &letter(number)).await;
            assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
            // The server gives up on us meanwhile: 421, then end of stream.
            let mut silence = tokio::time::interval(Duration::from_millis(150));
            silence.tick().await;
            silence.tick().await;
        }
        assert_eq!((post.catcher.caught(), post.catcher.connections()), (3, 3));
        assert_eq!(post.dots(), 3, "no mail came to its dot twice");
    }
}

#[tokio::test]
async fn a_connection_is_renewed_after_its_share_of_mails_and_of_silence() {
    let post = Post::open(CatcherSettings::default()).await;
    let settings = RelaySettings { mails_per_connection: 2, ..post.settings() };
    let mut short = carrier(settings);
    for number in 1..=5 {
        post.carry(&mut short, &letter(number)).await;
    }
    assert_eq!(post.catcher.connections(), 3, "two mails each");
    assert_eq!(post.catcher.heard().iter().filter(|word| **word == "QUIT").count(), 2);

    let post = Post::open(CatcherSettings::default()).await;
    let mut idle = carrier(RelaySettings { idle_max: Duration::ZERO, ..post.settings() });
    for number in 1..=3 {
        post.carry(&mut idle, &letter(number)).await;
    }
    assert_eq!(post.catcher.connections(), 3, "none is used after its idle time");
    assert_eq!(post.catcher.caught(), 3);
}

#[tokio::test]
async fn a_refused_recipient_does_not_trouble_the_next_one() {
    for kind in kinds() {
        let script = Script::new(vec![Rule {
            at: crate::dispatch::email::Verb::Rcpt,
            recipient: Some("gone@example.jp".to_owned()),
            act: Act::Say("550 5.1.1 gone".to_owned()),
            times: u32::MAX,
        }]);
        let post = Post::open(CatcherSettings { script, ..kind }).await;
        let mut carrier = post.carrier();
        for number in 0..6 {
            let gone = number % 2 == 0;
            let to = if gone { "gone@example.jp" } else { "here@example.jp" };
            let outcome = post.carry(&mut carrier, &letter_to(number, to)).await;
            assert_eq!(matches!(outcome, Outcome::Refused { .. }), gone, "{outcome:?}");
            assert_eq!(matches!(outcome, Outcome::Accepted { .. }), !gone, "{outcome:?}");
        }
        assert_eq!((post.catcher.caught(), post.dots()), (3, 3));
        assert_eq!(post.catcher.connections(), 1, "RSET keeps the connection");
    }
}

#[tokio::test]
async fn what_the_server_cannot_take_is_refused_before_it_is_asked() {
    let small = CatcherSettings { mail_bytes_max: 50, ..Default::default() };
    let post = Post::open(small).await;
    let outcome = post.carry(&mut post.carrier(), &letter(1)).await;
    assert_eq!(outcome.word(), "mail_too_big", "{outcome:?}");
    assert_eq!((post.dots(), post.catcher.heard()), (0, vec!["EHLO"]));

    let post = Post::open(CatcherSettings { smtputf8: false, ..Default::default() }).await;
    let mut carrier = post.carrier();
    let outcome = post.carry(&mut carrier, &letter_to(2, "用戶@example.jp")).await;
    assert_eq!(outcome.word(), "address_requires_smtputf8", "{outcome:?}");
    assert_eq!((post.dots(), post.catcher.heard()), (0, vec!["EHLO"]));

    let post = Post::open(CatcherSettings { dsn: true, ..Default::default() }).await;
    let mut carrier = post.carrier();
    for to in ["用戶@example.jp", "\"foo..bar\"@docomo.ne.jp"] {
        let outcome = post.carry(&mut carrier, &letter_to(3, to)).await;
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
        assert_eq!(post.catcher.mails()[0].envelope_to, [to], "as it is written");
    }
}

#[tokio::test]
async fn a_future_that_is_dropped_leaves_no_half_conversation() {
    use crate::dispatch::email::Verb;
    let late = Act::Late(Duration::from_millis(300));
    let script = Script::new(vec![Rule { at: Verb::Rcpt, recipient: None, act: late, times: 1 }]);
    let post = Post::open(CatcherSettings { script, ..Default::default() }).await;
    let mut carrier = post.carrier();
    let (first, second) = (letter(1), letter(2));
    let mut never = || panic!("the first mail must not come to its dot");
    let half_way =
        tokio::time::timeout(Duration::from_millis(60), carrier.carry(&first, &mut never));
    assert!(half_way.await.is_err(), "it was dropped half way");
    let outcome = post.carry(&mut carrier, &second).await;
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    assert_eq!(post.catcher.mails().len(), 1, "the first mail never arrives");
    assert_eq!(post.catcher.mails()[0].bytes, *second.bytes);
}

#[tokio::test]
async fn a_password_opens_the_relay_by_either_mechanism() {
    use crate::dispatch::email::relay::Login;
    for mechanisms in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        let login = CatcherLogin {
            user: "worker".to_owned(),
            password: "right p\u{e4}ss".to_owned(),
            mechanisms: mechanisms.to_owned(),
        };
        let settings = CatcherSettings { login: Some(login), ..Default::default() };
        let post = Post::open(settings).await;
        let with = |password: &str| {
            let password = password.to_owned().into();
            let login = Login { user: "worker".to_owned(), password };
            carrier(RelaySettings { login: Some(login), ..post.settings() })
        };
        let right = post.carry(&mut with("right p\u{e4}ss"), &letter(1)).await;
        let wrong = post.carry(&mut with("wrong"), &letter(2)).await;
        let none = post.carry(&mut post.carrier(), &letter(3)).await;
        if mechanisms == "CRAM-MD5" {
            assert_eq!((right.word(), wrong.word()), ("no_auth", "no_auth"));
        } else {
            assert!(matches!(right, Outcome::Accepted { .. }), "{mechanisms}: {right:?}");
            assert_eq!(wrong.word(), "relay_refused", "{mechanisms}: {wrong:?}");
        }
        assert_eq!(none.word(), "sender_refused", "{none:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_told_from_everything_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let settings = RelaySettings { tls: TlsMode::None, ..RelaySettings::new("127.0.0.1", port) };
    let outcome = carrier(settings).carry(&letter(1), &mut || panic!("no dot")).await;
    assert_eq!(outcome.word(), "no_connection", "{outcome:?}");
}

/// A stranger's server. The test run names Postfix's `smtp-sink`; without it
/// our own catcher stands in and only the counting differs.
#[tokio::test]
async fn postfix_takes_our_mail() {
    #[expect(clippy::disallowed_methods, reason = "the test run says where smtp-sink is")]
    let sink = std::env::var("KAKITOME_TEST_SMTP_SINK");
    let Ok(sink) = sink else { return every_mail_arrives(None).await };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let dir = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(sink);
    if rustix::process::geteuid().is_root() {
        // smtp-sink does not run as root.
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        command.args(["-u", "nobody"]);
    }
    let mut server = command
        .args(["-d", "mail.", &format!("127.0.0.1:{port}"), "64"])
        .current_dir(dir.path())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    every_mail_arrives(Some(port)).await;
    let files = std::fs::read_dir(dir.path()).unwrap().count();
    server.kill().await.unwrap();
    assert_eq!(files, 200, "smtp-sink wrote every mail");
}

async fn every_mail_arrives(server: Option<u16>) {
    let office = Post::open(CatcherSettings::default()).await;
    let port = server.unwrap_or(office.port);
    let mut carrier = carrier(RelaySettings { port, ..office.settings() });
    for number in 0..200 {
        let mut outcome = office.carry(&mut carrier, &letter(number)).await;
        for _ in 0..100 {
            // The sink may still be starting.
            if outcome.word() != "no_connection" {
                break;
            }
            let mut pause = tokio::time::interval(Duration::from_millis(20));
            pause.tick().await;
            pause.tick().await;
            outcome = office.carry(&mut carrier, &letter(number)).await;
        }
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    }
    carrier.close().await;
}
