//! Journeys of documents with a second factor: the code goes the way of every
//! mail, and neither code nor passcode is found anywhere afterwards.

use std::time::Duration;

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use kakitome::{
    app::catcher::{Act, Rule, Script},
    dispatch::email::Verb,
    domain::{log::Kind, stage::Stage},
};
use serde_json::json;

use crate::harness::{Answer, EMAIL, TestOffice, World, answer, files_below, job, journeys};

impl TestOffice<'_> {
    async fn post(&self, path: &str, form: String) -> Answer {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("origin", "http://localhost")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form))
            .unwrap();
        answer(self.gateway.clone(), request).await
    }

    /// Presses the button of the newest link and gives the question's ticket.
    async fn ticket(&self, link: &str) -> String {
        let page = self.get(link.strip_prefix("http://localhost").unwrap()).await;
        let form = format!("token={}&nonce={}", page.field("token"), page.field("nonce"));
        let place = self.post("/o", form).await.location.expect("to the question");
        let ticket = place.strip_prefix("/c/").expect("the question");
        ticket.split('?').next().unwrap().to_owned()
    }

    /// Answers, and fetches the document.
    async fn say(&self, ticket: &str, text: &str) -> Answer {
        let opened = self.post("/c", format!("ticket={ticket}&answer={text}")).await;
        match &opened.location {
            Some(place) => self.get(&format!("{}/file", place.split('?').next().unwrap())).await,
            None => opened,
        }
    }

    /// No file of ours holds this in clear.
    fn holds_nowhere(&self, secret: &str) {
        for file in files_below(self.world.dir.path()) {
            let bytes = std::fs::read(&file).unwrap();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret", file.display());
        }
    }
}

/// Eight digits on a line of their own.
fn code_in(text: &str) -> Option<String> {
    let is_code = |line: &&str| line.len() == 8 && line.bytes().all(|b| b.is_ascii_digit());
    text.lines().map(str::trim).find(is_code).map(str::to_owned)
}

/// The code in the newest mail.
fn newest_code(office: &TestOffice<'_>) -> String {
    let mail = office.mails().pop().expect("a mail has arrived");
    let parsed = mail_parser::MessageParser::default().parse(mail.bytes.as_slice()).unwrap();
    let text = parsed.body_text(0).unwrap().into_owned();
    let code = code_in(&text).expect("the mail holds a code");
    let subject = parsed.subject().unwrap();
    assert!(!subject.contains(&code), "not on the lock screen");
    assert!(text.contains("localhost") && text.contains("青葉商事"), "for which page, from whom");
    let html = parsed.body_html(0).unwrap();
    assert!(html.contains(&code), "in both parts");
    code
}

journeys! {
    /// The button, the mail with the code, the code, the document.
    async fn a_code_is_mailed_to_the_address_on_record(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        for (number, tenant) in ["acme", "trial"].into_iter().enumerate() {
            let mut wanted = job(EMAIL, &format!("code/{number}"));
            wanted["link"] = json!({"second_factor": {"kind": "email_code"}});
            let id = office.enqueue_for(tenant, &wanted).await;
            office.run().await;
            let link = office.newest_link();
            let before = office.mails().len();
            let ticket = office.ticket(&link).await;
            office.run().await;
            assert_eq!(office.mails().len(), before + 1, "one more mail");
            let code = newest_code(&office);
            let mail = office.mails().pop().unwrap();
            assert_eq!(mail.envelope_to, [crate::harness::CANARY_ADDRESS], "to the recipient");
            assert_eq!(office.stage(id).await, Stage::Dispatched, "nothing is open yet");
            let file = office.say(&ticket, &code).await;
            assert!(file.body.starts_with(b"%PDF-"), "the code opens");
            let log = office.log(id).await;
            for kind in [Kind::CodeDrawn, Kind::CodeMailed, Kind::FactorTried, Kind::OpenedVerified] {
                assert_eq!(log.iter().filter(|one| **one == kind).count(), 1, "{kind}: {log:?}");
            }
            office.holds_nowhere(&code);
            office.run().await;
            assert_eq!(office.mails().len(), before + 1, "and is mailed once");
        }
        office.inspect().await;
    }

    /// A code that nobody could mail in its ten minutes is not lost silently.
    async fn a_code_that_is_over_is_not_mailed_and_the_log_says_so(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let mut wanted = job(EMAIL, "code/late");
        wanted["link"] = json!({"second_factor": {"kind": "email_code"}});
        let id = office.enqueue(&wanted).await;
        office.run().await;
        let ticket = office.ticket(&office.newest_link()).await;
        drop(office);
        world.clock.advance(TimeDelta::minutes(11));
        let mut office = world.start().await;
        office.run().await;
        assert_eq!(office.mails().len(), 1, "only the link's mail");
        assert!(office.log(id).await.contains(&Kind::CodeNotMailed), "the log says so");
        // The person asks for another one, and a worker that starts later mails it.
        office.post("/c/new", format!("ticket={ticket}")).await;
        drop(office);
        let mut office = world.start().await;
        office.run().await;
        let code = newest_code(&office);
        assert!(office.say(&ticket, &code).await.body.starts_with(b"%PDF-"), "the new one opens");
        office.inspect().await;
    }

    /// A relay that says "later" is asked again while the person waits.
    async fn a_code_that_was_put_off_is_mailed_a_moment_later(books: Books) {
        let duty = Act::Late(Duration::ZERO);
        let later = Act::Say("451 4.7.1 later".into());
        let script = Script::new(vec![
            Rule { at: Verb::Body, recipient: None, act: duty, times: 1 },
            Rule { at: Verb::Body, recipient: None, act: later, times: 2 },
        ]);
        let world = World::with(books, script, |_| {}).await;
        let mut office = world.start().await;
        let mut wanted = job(EMAIL, "code/put-off");
        wanted["link"] = json!({"second_factor": {"kind": "email_code"}});
        let id = office.enqueue(&wanted).await;
        office.run().await;
        let ticket = office.ticket(&office.newest_link()).await;
        office.run().await;
        assert_eq!(office.mails().len(), 1, "put off");
        office.after(TimeDelta::seconds(4)).await;
        assert_eq!(office.mails().len(), 1, "not at once");
        office.after(TimeDelta::seconds(1)).await;
        assert_eq!(office.mails().len(), 1, "put off again");
        office.after(TimeDelta::seconds(5)).await;
        assert_eq!(office.mails().len(), 2, "and then taken");
        let log = office.log(id).await;
        assert_eq!(log.iter().filter(|kind| **kind == Kind::CodeMailed).count(), 1, "{log:?}");
        assert!(!log.contains(&Kind::CodeNotMailed), "it was only late");
        let code = newest_code(&office);
        assert!(office.say(&ticket, &code).await.body.starts_with(b"%PDF-"), "it opens");
        office.inspect().await;
    }

    /// The passcode is forgotten at the desk.
    async fn a_passcode_opens_and_rests_nowhere(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let mut wanted = job(EMAIL, "passcode/1");
        let secret = "kingfisher-8841";
        wanted["link"] = json!({"second_factor": {"kind": "passcode", "passcode": secret}});
        let id = office.enqueue(&wanted).await;
        office.holds_nowhere(secret);
        office.run().await;
        let mail = office.mails().pop().unwrap();
        let holds = mail.bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!holds, "it is in no mail");
        let ticket = office.ticket(&office.newest_link()).await;
        office.run().await;
        assert_eq!(office.mails().len(), 1, "and nothing is sent for it");
        assert_eq!(office.say(&ticket, "another-word").await.status, 403, "another");
        assert!(office.say(&ticket, secret).await.body.starts_with(b"%PDF-"), "the right one");
        assert!(office.log(id).await.contains(&Kind::OpenedVerified), "verified");
        office.holds_nowhere(secret);
        office.inspect().await;
        // And with the document everything that was tried is destroyed.
        world.clock.set("2026-12-20T15:00:00Z".parse().unwrap());
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Purged, "on its day");
        office.inspect().await;
    }
}
