//! Finished PDFs that are refused, each with its reason, and the bounds of
//! uploads.

use axum::{body::Body, http::Request};
use kakitome::{
    app::catcher::Script,
    domain::{ids::TenantId, log::Kind, stage::Stage},
    intake::desk::Verdict,
    store::ledger::{self, Search},
};
use lopdf::{Object, dictionary};
use serde_json::json;

use crate::{
    harness::{EMAIL, LETTER, World, answer, job, journeys},
    uploads::{large, naming, page_of, saved},
};

/// A page and something in the catalogue that should not be there.
fn with(key: &'static str, value: impl Into<Object>) -> Vec<u8> {
    let mut document = page_of(595, 842);
    document.catalog_mut().unwrap().set(key, value.into());
    saved(document)
}

fn with_font() -> Vec<u8> {
    let mut document = page_of(595, 842);
    let page = document.page_iter().next().unwrap();
    let font = dictionary! { "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica" };
    let resources = dictionary! { "Font" => dictionary! { "F1" => font } };
    document.get_dictionary_mut(page).unwrap().set("Resources", resources);
    saved(document)
}

fn flawed() -> Vec<(&'static str, Vec<u8>)> {
    let whole = saved(page_of(595, 842));
    let mut torn = whole[..whole.len() / 2].to_vec();
    torn.extend(b"\nstartxref\n17\n%%EOF\n");
    vec![
        ("not_pdf", b"an essay".to_vec()),
        ("damaged", torn),
        ("damaged", whole[..whole.len() / 2].to_vec()),
        ("javascript", with("OpenAction", dictionary! { "S" => "JavaScript" })),
        ("action", with("OpenAction", dictionary! { "S" => "Launch" })),
        ("embedded_file", with("Names", dictionary! { "EmbeddedFiles" => dictionary! {} })),
        ("xfa", with("AcroForm", dictionary! { "XFA" => Vec::<Object>::new() })),
        ("font_not_embedded", with_font()),
        ("page_size", saved(page_of(10, 10))),
    ]
}

journeys! {
    /// What cannot be delivered is refused with its reason, uploaded or in a
    /// job's body, and nothing of it is kept but a line in the log.
    async fn a_bad_pdf_is_refused_with_its_reason(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let segments = office.office.blobs.list().await.unwrap();
        let mut refused_count = 0;
        for (reason, pdf) in flawed() {
            let answer = office.ask("acme", "POST", "/v1/uploads", Some(pdf.clone())).await;
            assert_eq!(answer.status, 422, "{reason}: {}", answer.text());
            let told = answer.json();
            assert_eq!(told["code"], "bad_pdf", "{reason}");
            assert_eq!(told["reason"], reason, "uploaded");
            let mut inline = job(EMAIL, &format!("bad/{reason}"));
            inline["document"] = json!({ "pdf": { "base64": data_encoding::BASE64.encode(&pdf) } });
            match office.offer("acme", &inline).await {
                Verdict::Refused { refused } => {
                    assert_eq!(refused.refusal.code(), "bad_pdf", "{reason}");
                    assert_eq!(refused.flaw.map(|flaw| flaw.word()), Some(reason), "in the body");
                    assert_eq!(refused.path, Some("document.pdf"), "{reason}");
                }
                other => panic!("{reason}: {other:?}"),
            }
            refused_count += 2;
        }
        let zip = office.ask("acme", "POST", "/v1/uploads", Some(b"PK\x03\x04".to_vec())).await;
        assert_eq!(zip.json()["code"], "type_not_allowed", "an archive");
        refused_count += 1;
        let search = Search {
            tenant: Some(TenantId::parse("acme").unwrap()),
            kind: Some(Kind::Rejected),
            limit: 1000,
            ..Search::default()
        };
        let mut tx = office.office.db.read().await.unwrap();
        let found = ledger::search(&mut tx, &search).await.unwrap();
        drop(tx);
        assert_eq!(found.len(), refused_count, "an event for each");
        assert_eq!(office.office.blobs.list().await.unwrap(), segments, "and nothing is kept");
        office.inspect().await;
    }

    /// A sound PDF in a body is looked into once and delivered as it is.
    async fn a_pdf_in_the_body_is_delivered(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let pdf = saved(page_of(612, 792));
        let mut mail = job(EMAIL, "inline/1");
        mail["document"] = json!({ "pdf": { "base64": data_encoding::BASE64.encode(&pdf) } });
        let id = office.enqueue(&mail).await;
        office.run().await;
        assert_eq!(office.stage(id).await, Stage::Dispatched, "sent");
        let file = office.open_link(&office.newest_link()).await;
        assert!(file.body == pdf, "the sender's own bytes");
        let mut letter = job(LETTER, "inline/2");
        letter["document"] = mail["document"].clone();
        let verdict = office.offer("acme", &letter).await;
        let Verdict::Refused { refused } = verdict else { panic!("US Letter is no A4") };
        assert_eq!(refused.flaw.map(|flaw| flaw.word()), Some("page_size"), "letters are A4");
        let upload = office.upload(&pdf).await;
        let verdict = office.offer("acme", &naming(LETTER, "inline/3", &upload)).await;
        let Verdict::Refused { refused } = verdict else { panic!("nor uploaded") };
        assert_eq!(refused.flaw.map(|flaw| flaw.word()), Some("page_size"), "nor uploaded");
        office.inspect().await;
    }

    /// No process can be started at intake: the job waits on the books, and the
    /// press looks into its PDF before it touches it.
    async fn what_intake_did_not_look_into_the_press_does(books: Books) {
        let world = World::new(books).await;
        let good = saved(page_of(595, 842));
        let bad = with("OpenAction", dictionary! { "S" => "JavaScript" });
        let mut ids = Vec::new();
        {
            let office = world.start_blind().await;
            for (key, pdf) in [("blind/1", &good), ("blind/2", &bad)] {
                let mut one = job(EMAIL, key);
                one["document"] = json!({ "pdf": { "base64": data_encoding::BASE64.encode(pdf) } });
                ids.push(office.enqueue(&one).await);
            }
            let refused = office.ask("acme", "POST", "/v1/uploads", Some(good.clone())).await;
            assert_eq!(refused.status, 503, "an upload is asked to come again");
        }
        world.clock.advance(chrono::TimeDelta::minutes(20));
        let mut office = world.start().await;
        office.run().await;
        office.after(chrono::TimeDelta::minutes(20)).await;
        assert_eq!(office.stage(ids[0]).await, Stage::Dispatched, "the good one goes");
        let row = office.row(ids[1]).await;
        assert_eq!(row.stage, Stage::Parked, "the bad one does not");
        assert_eq!(row.reason.as_deref(), Some("pdf_unusable"), "and a person learns why");
        office.inspect().await;
    }

    /// Every bound of an upload has its code.
    async fn uploads_have_bounds(books: Books) {
        let world = World::with(books, Script::default(), |config| {
            config.uploads.bytes_max = 64 << 10;
            config.uploads.per_tenant = 2;
        })
        .await;
        let mut office = world.start().await;
        let answer_to = office.ask("acme", "POST", "/v1/uploads", Some(large())).await;
        assert_eq!((answer_to.status, &answer_to.json()["code"]), (413, &json!("too_large")), "size");
        let small = saved(page_of(595, 842));
        for _ in 0..2 {
            office.upload(&small).await;
        }
        let third = office.ask("acme", "POST", "/v1/uploads", Some(small.clone())).await;
        assert_eq!((third.status, &third.json()["code"]), (429, &json!("too_many_uploads")), "count");
        let other = office.ask("other", "POST", "/v1/uploads", Some(small.clone())).await;
        assert_eq!(other.status, 201, "another tenant has its own");
        let request = Request::post("/v1/uploads").body(Body::from(small.clone())).unwrap();
        assert_eq!(answer(office.api.clone(), request).await.status, 401, "nobody");
        let token = "Bearer acme-token-0123456789-0123456789-0123456789";
        for media in ["application/json", "application/pdfx", ""] {
            let request = Request::post("/v1/uploads")
                .header("authorization", token)
                .header("content-type", media)
                .body(Body::from(small.clone()))
                .unwrap();
            assert_eq!(answer(office.api.clone(), request).await.status, 415, "{media:?}");
        }
        for path in ["/v1/uploads/x", "/v1/uploads/01980000-0000-7000-8000-00000000000A"] {
            assert_eq!(office.ask("acme", "GET", path, None).await.status, 404, "{path}");
        }
        office.inspect().await;
    }
}
