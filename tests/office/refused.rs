//! What is refused: each with its code, its event, and nothing else.

use kakitome::{
    domain::ids::TenantId,
    intake::desk::{Incoming, Verdict},
    store::ledger::{self, Search},
};

use crate::harness::{Books, World, journeys};

journeys! {
    /// Every refused example gets exactly its code and one event in the log;
    /// nothing of it is kept, and nothing of it is sent.
    async fn every_bad_job_has_its_code(books: Books) {
        let world = World::new(books).await;
        let mut office = world.start().await;
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/refused");
        let tenant = TenantId::parse("acme").unwrap();
        let mut tried = 0;
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let code = name.split("--").next().unwrap();
            let incoming = Incoming {
                tenant: Ok(tenant.clone()),
                body: std::fs::read(&path).unwrap(),
                sealed: false,
                flaw: None,
                trace: None,
            };
            let verdict = office.desk.take(vec![incoming]).await.unwrap().pop().unwrap();
            match verdict {
                Verdict::Refused { refused } => {
                    assert_eq!(refused.refusal.code(), code, "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
            tried += 1;
        }
        assert!(tried >= 20, "there are examples: {tried}");
        let mut tx = office.office.db.read().await.unwrap();
        let search = Search { tenant: Some(tenant), limit: 1000, ..Search::default() };
        let found = ledger::search(&mut tx, &search).await.unwrap();
        assert_eq!(found.len(), tried, "one event for each");
        drop(tx);
        assert_eq!(office.mails().len(), 0, "and no mail");
        office.inspect().await;
    }
}
