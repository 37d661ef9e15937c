//! What a template's author and a sender try before there is an office.

use std::fs;

use super::{example, kakitome, mode, root};

#[test]
fn a_template_becomes_a_pdf_and_the_same_one_again() {
    let dir = tempfile::tempdir().unwrap();
    let sample = root().join("templates/documents/invoice/sample.json").display().to_string();
    let mut files = Vec::new();
    for name in ["one.pdf", "two.pdf"] {
        let file = dir.path().join(name);
        let out = file.display().to_string();
        let run = kakitome(&["render", "-t", "invoice", "-d", &sample, "-o", &out]).ends(0);
        assert!(run.out.contains("sha256"), "it says what was made: {}", run.out);
        assert_eq!(mode(&file), 0o600, "a document belongs to its owner");
        files.push(fs::read(&file).unwrap());
    }
    assert!(files[0].starts_with(b"%PDF-"), "a PDF");
    assert_eq!(files[0], files[1], "the same bytes");
}

#[test]
fn a_document_that_would_be_wrong_is_refused_with_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.pdf");
    let data = dir.path().join("data.json");
    fs::write(&data, r#"{"number": "CANARY"}"#).unwrap();
    let (out_name, data) = (out.display().to_string(), data.display().to_string());
    let arguments = ["render", "--template", "invoice", "--data", &data, "--output", &out_name];
    let run = kakitome(&arguments).ends(3);
    assert!(run.err.contains("bad_document_data"), "the code: {}", run.err);
    assert!(!run.err.contains("CANARY"), "and nothing of the data");
    assert!(!out.exists(), "nothing is written");
    let run = kakitome(&["render", "-t", "none", "-d", &data, "-o", &out_name, "--json"]).ends(3);
    assert_eq!(run.lines()[0]["code"], "no_template", "{}", run.out);
}

#[test]
fn a_pdf_is_judged_as_the_office_would_judge_it() {
    let dir = tempfile::tempdir().unwrap();
    let sample = root().join("templates/documents/invoice/sample.json").display().to_string();
    let file = dir.path().join("invoice.pdf").display().to_string();
    kakitome(&["render", "-t", "invoice", "-d", &sample, "-o", &file]).ends(0);
    let run = kakitome(&["check-pdf", &file]).ends(0);
    assert_eq!(run.out, "1 pages; it can go by mail and by post\n", "our own");
    let torn = dir.path().join("torn.pdf");
    let whole = fs::read(&file).unwrap();
    fs::write(&torn, &whole[..whole.len() / 2]).unwrap();
    let torn = torn.display().to_string();
    let run = kakitome(&["check-pdf", "--json", &torn]).ends(3);
    assert_eq!(run.lines()[0]["reason"], "damaged", "{}", run.out);
}

#[test]
fn a_job_is_judged_as_the_office_would_judge_it() {
    for name in ["minimal.json", "email-invoice.json", "post-invoice.json", "email-upload.json"] {
        let run = kakitome(&["check-job", "--tenant", "acme", &example(name)]).ends(0);
        assert_eq!(run.out, "line 1: ok\n", "{name}");
    }
    for entry in fs::read_dir(root().join("docs/examples/refused")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let code = stem.split_once("--").unwrap().0;
        let name = path.display().to_string();
        let run = kakitome(&["check-job", "--tenant", "acme", "--json", &name]).ends(3);
        assert_eq!(run.lines()[0]["code"], code, "{stem}: {}", run.out);
    }
}
