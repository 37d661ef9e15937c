use chrono::{TimeDelta, Utc};
use mail_parser::{MessageParser, MimeHeaders};
use proptest::prelude::*;

use super::*;

const LINK_URL: &str =
    "https://send.example.co.jp/d/AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdEfGhIj";

fn order() -> MailOrder<'static> {
    let date = DateTime::from_timestamp(1_795_248_000, 0).unwrap();
    MailOrder {
        locale: Locale::Ja,
        from_name: "株式会社髙﨑商事",
        from_address: "noreply@send.example.co.jp",
        reply_to: None,
        to_name: Some("山田 太郎"),
        to_address: "taro@example.jp",
        salutation: Some("山田 太郎 様"),
        subject: None,
        tenant_name: "株式会社髙﨑商事",
        title: "請求書",
        document_number: Some("INV-2026-0001"),
        contact: Some("03-1234-5678"),
        support: "KT-4F7Q-29XM-8C3V-E".parse().unwrap(),
        link_url: LINK_URL,
        expires_at: date
            .checked_add_signed(TimeDelta::days(30))
            .unwrap()
            .with_timezone(&Tz::Asia__Tokyo),
        message_id: "<0190a1b2-c3d4-7abc-8def-0123456789ab.1@send.example.co.jp>",
        date,
        return_path: "b+aaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb@bounce.example.co.jp",
    }
}

fn english() -> MailOrder<'static> {
    MailOrder {
        locale: Locale::En,
        from_name: "Takasaki Trading",
        to_name: Some("Jane O'Neil, Ltd."),
        salutation: Some("Dear Ms O'Neil,"),
        tenant_name: "Takasaki Trading",
        title: "Invoice",
        reply_to: Some("billing@example.co.jp"),
        ..order()
    }
}

fn compose(order: &MailOrder<'_>) -> Result<Composed, Fault> {
    Composer::new().unwrap().compose(order)
}

#[test]
fn both_parts_say_everything_in_both_languages() {
    for order in [order(), english()] {
        let mail = compose(&order).unwrap();
        let read = MessageParser::default().parse(mail.bytes.as_slice()).unwrap();
        let text = read.body_text(0).unwrap();
        let html = read.html_part(0).unwrap().text_contents().unwrap().to_owned();
        let until = match order.locale {
            Locale::Ja => "2026年12月21日 17:00（日本時間）",
            Locale::En => "21 December 2026, 17:00 (Japan time, UTC+09:00)",
        };
        for word in [
            LINK_URL,
            order.tenant_name,
            order.title,
            "INV-2026-0001",
            until,
            "03-1234-5678",
            "KT-4F7Q-29XM-8C3V-E",
            "send.example.co.jp",
        ] {
            assert!(text.contains(word), "the text must say {word}: {text}");
            assert!(html.contains(word), "the HTML must say {word}");
        }
        assert_eq!(html.matches(LINK_URL).count(), 3, "button, address and its text");
        assert!(!text.contains('\0') && !html.contains('\0'), "the placeholder is gone");
        let silent = text.contains("送信専用") || text.contains("cannot receive replies");
        assert_eq!(silent, order.reply_to.is_none(), "who may answer is told the truth");
    }
}

#[test]
fn the_plain_text_is_the_html_without_its_marks() {
    for order in [order(), english()] {
        let mail = compose(&order).unwrap();
        let read = MessageParser::default().parse(mail.bytes.as_slice()).unwrap();
        let html = read.html_part(0).unwrap().text_contents().unwrap();
        let body = html.split_once("<body").unwrap().1;
        let bare: String = body
            .split('<')
            .filter_map(|piece| piece.split_once('>'))
            .map(|(_, text)| text)
            .collect::<String>()
            .replace("&#x27;", "'");
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        let (bare, text) = (squeeze(&bare), read.body_text(0).unwrap().into_owned());
        for line in text.lines().map(|line| line.trim_start_matches(['・', '-'])) {
            assert!(bare.contains(&squeeze(line)), "the HTML lacks {line:?}");
        }
    }
}

#[test]
fn the_headers_are_what_relays_and_programs_expect() {
    let mail = compose(&order()).unwrap();
    let text = std::str::from_utf8(&mail.bytes).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    for line in [
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
        "Content-Language: ja",
        "Message-ID: <0190a1b2-c3d4-7abc-8def-0123456789ab.1@send.example.co.jp>",
        "Date: Sat, 21 Nov 2026 08:00:00 +0000",
    ] {
        assert!(head.lines().any(|found| found == line), "missing {line}: {head}");
    }
    assert!(!head.contains("Precedence") && !head.contains("List-Unsubscribe"), "no bulk marks");
    assert!(mail.bytes.is_ascii(), "a relay without 8BITMIME must take it");
    assert!(text.lines().all(|line| line.len() <= 998), "no line is too long");
    let words = head.lines().filter(|line| line.contains("=?"));
    assert!(words.clone().all(|line| line.len() <= 78), "header lines are folded: {head}");
    assert!(words.count() >= 4, "names and subject are encoded");
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "every line ends in CRLF");
    assert!(text.ends_with("\r\n"), "so does the last");
    let read = MessageParser::default().parse(mail.bytes.as_slice()).unwrap();
    assert_eq!(read.from().unwrap().first().unwrap().name(), Some("株式会社髙﨑商事"));
    assert_eq!(read.to().unwrap().first().unwrap().address(), Some("taro@example.jp"));
    assert_eq!(read.to().unwrap().first().unwrap().name(), Some("山田 太郎"));
    assert_eq!(read.subject(), Some("【株式会社髙﨑商事】請求書のお届け（INV-2026-0001）"));
    assert_eq!(mail.envelope_from, order().return_path);
    assert_eq!(mail.envelope_to, "taro@example.jp");
    let first = read.text_part(0).unwrap().content_transfer_encoding();
    assert_eq!(first, Some("base64"), "Japanese travels in base64");
}

#[test]
fn an_english_mail_is_readable_as_it_travels() {
    let mail = compose(&english()).unwrap();
    let text = std::str::from_utf8(&mail.bytes).unwrap();
    assert!(text.contains("Takasaki Trading has a document for you."), "7bit: {text}");
    let read = MessageParser::default().parse(mail.bytes.as_slice()).unwrap();
    assert_eq!(read.to().unwrap().first().unwrap().name(), Some("Jane O'Neil, Ltd."));
    assert_eq!(read.reply_to().unwrap().first().unwrap().address(), Some("billing@example.co.jp"));
    assert_eq!(read.subject(), Some("Invoice (INV-2026-0001) from Takasaki Trading"));
}

#[test]
fn the_buffer_with_the_link_never_grows() {
    let long = "長".repeat(200);
    for order in [
        order(),
        english(),
        MailOrder { title: &long, tenant_name: &long, document_number: Some(&long), ..order() },
    ] {
        let mail = compose(&order).unwrap();
        let room = mail.bytes.capacity();
        // It would have doubled.
        assert!(room < mail.bytes.len() * 5 / 3 + 1_024, "{room} for {}", mail.bytes.len());
    }
}

#[test]
fn the_same_order_gives_the_same_bytes() {
    let (once, twice) = (compose(&order()).unwrap(), compose(&order()).unwrap());
    assert_eq!(once.bytes, twice.bytes, "no chance and no clock in a mail");
}

#[test]
fn the_table_of_subjects_survives_rfc_2047() {
    let vectors = include_str!("../../../../tests/vectors/rfc2047_subjects.tsv");
    let mut rows = 0;
    for row in vectors.lines().skip(1) {
        rows += 1;
        let subject = row.split('\t').next().unwrap();
        let mail = compose(&MailOrder { subject: Some(subject), ..order() }).unwrap();
        let read = MessageParser::default().parse(mail.bytes.as_slice()).unwrap();
        assert_eq!(read.subject(), Some(subject), "the subject is read as it was written");
        let text = std::str::from_utf8(&mail.bytes).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        for word in head.split_ascii_whitespace().filter(|word| word.starts_with("=?")) {
            assert!(word.len() <= 75, "an encoded word has at most 75 characters: {word}");
            let inner = word.split('?').nth(3).unwrap();
            let bytes = data_encoding::BASE64.decode(inner.as_bytes()).unwrap();
            assert!(String::from_utf8(bytes).is_ok(), "no character is split between words");
        }
    }
    assert_eq!(rows, 6, "the whole table was read");
}

#[test]
fn html_in_data_stays_text() {
    let mail = compose(&MailOrder { title: "<script>\"&'", ..order() }).unwrap();
    let read = MessageParser::default().parse(mail.bytes.as_slice()).unwrap();
    let html = read.html_part(0).unwrap().text_contents().unwrap();
    assert!(!html.contains("<script"), "data is escaped in HTML");
    assert!(read.body_text(0).unwrap().contains("<script>\"&'"), "and untouched in text");
}

#[test]
fn template_code_in_data_stays_text() {
    let mail = compose(&MailOrder { title: "{{ 7*7 }}{% x %}", ..order() }).unwrap();
    let read = MessageParser::default().parse(mail.bytes.as_slice()).unwrap();
    assert!(read.body_text(0).unwrap().contains("{{ 7*7 }}{% x %}"), "data is not a template");
}

#[test]
fn a_body_that_imitates_the_boundary_cannot_end_a_part() {
    let order = english();
    let boundary = format!("--{}", boundary(order.message_id));
    let mail = compose(&MailOrder { salutation: Some(&boundary), ..order }).unwrap();
    let read = MessageParser::default().parse(mail.bytes.as_slice()).unwrap();
    assert!(read.body_text(0).unwrap().starts_with(&boundary), "it is text and nothing else");
    assert!(read.body_text(0).unwrap().contains(LINK_URL), "and the part goes on");
}

#[test]
fn bad_input_gets_its_code() {
    let cases: [(MailOrder<'_>, &str); 12] = [
        (MailOrder { to_name: Some("a\r\nBcc: x@y.z"), ..order() }, "bad_text"),
        (MailOrder { from_name: "a\0", ..order() }, "bad_text"),
        (MailOrder { subject: Some("=?UTF-8?B?5bGx?="), ..order() }, "bad_text"),
        (MailOrder { title: "a\u{202e}gpj.exe", ..order() }, "bad_text"),
        (MailOrder { contact: Some("\u{2028}"), ..order() }, "bad_text"),
        (MailOrder { document_number: Some("1\u{9f}"), ..order() }, "bad_text"),
        (MailOrder { to_address: "a@b.jp\r\n", ..order() }, "bad_address"),
        (MailOrder { reply_to: Some("a@localhost"), ..order() }, "bad_address"),
        (MailOrder { from_address: "x", ..order() }, "bad_address"),
        (MailOrder { link_url: "javascript:alert(1)", ..order() }, "mail_failed"),
        (MailOrder { message_id: "<a b@c>", ..order() }, "mail_failed"),
        (MailOrder { date: DateTime::<Utc>::MAX_UTC, ..order() }, "mail_failed"),
    ];
    for (nth, (order, code)) in cases.iter().enumerate() {
        assert_eq!(compose(order).unwrap_err().code(), *code, "case {nth}");
    }
}

#[test]
fn a_carrier_address_is_quoted_on_the_wire() {
    let mail = compose(&MailOrder { to_address: "foo..bar@docomo.ne.jp", ..order() }).unwrap();
    assert_eq!(mail.envelope_to, "\"foo..bar\"@docomo.ne.jp");
    let text = std::str::from_utf8(&mail.bytes).unwrap();
    assert!(text.contains("<\"foo..bar\"@docomo.ne.jp>"), "quoted in the header too");
    let mail = compose(&MailOrder { to_address: "user@日本語.jp", ..order() }).unwrap();
    assert_eq!(mail.envelope_to, "user@xn--wgv71a119e.jp");
}

#[test]
fn nothing_of_a_mail_is_shown_by_debug() {
    let shown = format!("{:?} {:?}", order(), compose(&order()).unwrap());
    assert!(!shown.contains("AbCd") && !shown.contains("taro"), "mute: {shown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_input_panics_and_names_come_out_as_they_went_in(
        name in "\\PC{1,40}|.{1,20}|[ -~]{1,120}",
        subject in "\\PC{1,80}|.{1,20}|[ -~]{1,120}",
        address in "[a-z用]{1,10}@[a-z]{1,8}\\.jp|.{0,30}",
    ) {
        let order = MailOrder {
            to_name: Some(&name), from_name: &name, subject: Some(&subject), to_address: &address, ..order()
        };
        if let Ok(mail) = compose(&order) {
            let text = std::str::from_utf8(&mail.bytes).unwrap();
            let (head, _) = text.split_once("\r\n\r\n").unwrap();
            let names = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
            for line in names {
                let (field, _) = line.split_once(": ").unwrap_or(("(no field)", ""));
                let known = [
                    "Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted",
                    "Content-Language", "MIME-Version", "Content-Type",
                ];
                prop_assert!(known.contains(&field), "no header of the sender's making: {}", line);
            }
        }
    }
}

/// Not a benchmark, but a ceiling that a slow machine keeps too: composing
/// must stay far cheaper than everything around it.
#[test]
fn composing_is_cheap() {
    let composer = Composer::new().unwrap();
    let order = order();
    let started = std::time::Instant::now();
    for _ in 0..2_000 {
        composer.compose(&order).unwrap();
    }
    let each = started.elapsed() / 2_000;
    assert!(each < std::time::Duration::from_millis(1), "composing took {each:?}");
}

#[test]
fn a_reminder_says_what_it_reminds_of() {
    for order in [order(), english()] {
        let sent_at = order.date.with_timezone(&Tz::Asia__Tokyo);
        let first_id = "<0190a1b2-c3d4-7abc-8def-0123456789ab.1@send.example.co.jp>";
        let order = MailOrder {
            message_id: "<0190a1b2-c3d4-7abc-8def-0123456789ab.r@send.example.co.jp>",
            date: order.date + TimeDelta::days(3),
            ..order
        };
        let composer = Composer::new().unwrap();
        let first = FirstMail { sent_at, message_id: first_id };
        let mail = composer.compose_reminder(&order, &first).unwrap();
        let read = MessageParser::default().parse(mail.bytes.as_slice()).unwrap();
        let text = read.body_text(0).unwrap();
        let html = read.html_part(0).unwrap().text_contents().unwrap().to_owned();
        let (sent, until, unopened, subject) = match order.locale {
            Locale::Ja => ("2026年11月21日", "2026年12月21日", "まだ開かれていません", "未開封"),
            Locale::En => ("21 November 2026", "21 December 2026", "not been opened", "Not opened"),
        };
        for word in [LINK_URL, order.tenant_name, order.title, sent, until, unopened, "KT-4F7Q"] {
            assert!(text.contains(word), "the text must say {word}: {text}");
            assert!(html.contains(word), "the HTML must say {word}");
        }
        assert!(read.subject().unwrap().contains(subject), "the subject says what it is");
        let id = first_id.trim_matches(['<', '>']);
        assert_eq!(read.in_reply_to().as_text(), Some(id), "it stands below the first mail");
        assert_eq!(read.references().as_text(), Some(id), "in every program");
        let wrong = FirstMail { message_id: "<a b@c>", ..first };
        let refused = composer.compose_reminder(&order, &wrong);
        assert!(matches!(refused, Err(Fault::BadMessageId)), "no other header gets in");
    }
}
