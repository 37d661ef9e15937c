//! Pages that are generated from tables, or name what stands in them.

use std::fmt::Write as _;

use kakitome::domain::{event::EventKind, job, pdf::PdfFlaw, reason::Reason, refusal::Refusal};

use super::docs;

fn errors_page() -> String {
    let mut page = String::from(
        "# Error codes\n\n\
         Generated from `src/domain/refusal.rs` and `src/domain/reason.rs`; a test keeps it so.\n\
         Codes are part of the public contract: they are never renamed and never change their meaning.\n\n\
         ## Refusals: nothing was accepted\n\n\
         Over AMQP a refused message is published to the dead-letter exchange with the code in the header\n\
         `x-kakitome-error`, and a `rejected` event follows. Over HTTP the answer is an RFC 9457 problem with\n\
         the code. Where one of our own fields is at fault, its path is named. Nothing of the input is repeated.\n\n\
         | Code | HTTP | Meaning | What to do |\n|---|---|---|---|\n",
    );
    let cell = |text: &str| text.replace('|', "\\|");
    for refusal in Refusal::ALL {
        let (code, status) = (refusal.code(), refusal.http_status());
        writeln!(
            page,
            "| `{code}` | {status} | {} | {} |",
            cell(refusal.meaning()),
            cell(refusal.remedy())
        )
        .unwrap();
    }
    page.push_str(
        "\n### `bad_pdf`: what is wrong with it\n\n\
         A finished PDF, in a job or uploaded, is looked into in a process of its own, with limits of\n\
         memory and time that grow with its size. The answer (over AMQP the header `x-kakitome-reason`)\n\
         and the log name the first thing that is wrong, as `reason`. A job whose PDF could not be looked into at once is accepted, and parked as\n\
         `pdf_unusable` with the same words if something is wrong with it.\n\n\
         | Reason | Meaning |\n|---|---|\n",
    );
    for flaw in PdfFlaw::ALL {
        writeln!(page, "| `{flaw}` | {} |", cell(flaw.meaning())).unwrap();
    }
    page.push_str(
        "\n## Reasons: accepted, but not delivered\n\n\
         The job is on our books and rests in the stage named here. The sender learns the code in an event,\n\
         the operator sees it beside the job.\n\n\
         | Code | Stage | Meaning | What to do |\n|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let (code, stage) = (reason.code(), reason.stage().word());
        writeln!(
            page,
            "| `{code}` | {stage} | {} | {} |",
            cell(reason.meaning()),
            cell(reason.remedy())
        )
        .unwrap();
    }
    page
}

#[test]
fn the_error_page_is_the_tables() {
    let path = docs().join("ERRORS.md");
    let page = errors_page();
    if std::env::var_os("KAKITOME_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/ERRORS.md is out of date: run with KAKITOME_BLESS=1");
}

#[test]
fn the_message_page_names_every_event_and_nothing_else() {
    let page = std::fs::read_to_string(docs().join("asyncapi.yaml")).unwrap();
    for kind in EventKind::ALL {
        let line = format!("const: {}", kind.event_type());
        assert!(page.contains(&line), "docs/asyncapi.yaml lacks `{line}`");
        assert!(
            page.contains(kind.meaning()),
            "docs/asyncapi.yaml explains {} otherwise",
            kind.word()
        );
    }
    let named = page.matches("const: kakitome.delivery.").count();
    assert_eq!(
        named,
        EventKind::ALL.len(),
        "docs/asyncapi.yaml names an event that we do not send"
    );
    assert!(page.contains(job::MESSAGE_TYPE), "the type of a job");
    assert!(page.contains("job-v1.schema.json"), "the schema of a job");
}

#[test]
fn sentences_in_the_tables_are_sentences() {
    let texts = Refusal::ALL.iter().flat_map(|r| [r.meaning(), r.remedy()]);
    let texts = texts.chain(Reason::ALL.iter().flat_map(|r| [r.meaning(), r.remedy()]));
    let texts = texts.chain(PdfFlaw::ALL.iter().map(|flaw| flaw.meaning()));
    for text in texts.chain(EventKind::ALL.iter().map(|kind| kind.meaning())) {
        assert!(text.ends_with('.') && text.len() > 20, "{text:?} is no sentence");
    }
}
