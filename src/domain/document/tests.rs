//! The claims of the rules, kind by kind.

use serde_json::{Map, Value, json};

use super::{DocumentError, Kind, View, facts, needs_stamp, read};

fn base(lines: &Value) -> Value {
    json!({
        "number": "1", "issue_date": "2026-11-21", "recipient": {"name": "甲"},
        "issuer": {"name": "乙"}, "lines": lines,
    })
}

fn map(data: &Value) -> Map<String, Value> {
    data.as_object().unwrap().clone()
}

fn view(kind: Kind, data: &Value) -> Result<View, DocumentError> {
    Ok(read(kind, &map(data))?.unwrap().view)
}

fn invoice(data: &Value) -> Result<View, DocumentError> {
    view(Kind::Invoice, data)
}

/// The field that is named when the data are refused.
fn refused(kind: Kind, data: &Value) -> String {
    match view(kind, data).unwrap_err() {
        DocumentError::Field { field, .. } => field,
        DocumentError::Total { field } => format!("total:{field}"),
    }
}

fn with(data: &Value, field: &str, value: Value) -> Value {
    let mut data = data.clone();
    data[field] = value;
    data
}

fn registered(lines: &Value) -> Value {
    let data = base(lines);
    let data =
        with(&data, "issuer", json!({"name": "乙", "registration_number": "T7000012050002"}));
    with(&data, "supply_date", json!("2026-11-20"))
}

fn hundred() -> Value {
    json!([{"amount": "100", "tax_rate": "10"}])
}

#[test]
fn tax_is_rounded_once_for_each_rate() {
    for row in include_str!("../../../tests/vectors/tax_per_line_is_wrong.tsv").lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let amounts: Vec<i64> = serde_json::from_str(columns[0]).unwrap();
        let class = if columns[1] == "8" { "reduced" } else { "standard" };
        let lines: Vec<_> = amounts
            .iter()
            .map(|amount| {
                json!({"amount": amount.to_string(), "tax_rate": columns[1], "tax_class": class})
            })
            .collect();
        let view = invoice(&base(&json!(lines))).unwrap();
        assert_eq!(view.tax.to_string(), columns[3], "{row}");
    }
}

#[test]
fn the_worked_invoice_comes_to_118_535() {
    let view = invoice(&registered(&json!([
        {"quantity": "1", "unit_price": "100000", "tax_rate": "10"},
        {"quantity": "3", "unit_price": "2480", "tax_rate": "8", "tax_class": "reduced"},
        {"amount": "500", "tax_class": "out_of_scope"},
    ])))
    .unwrap();
    assert_eq!((view.net, view.tax, view.total), (107_940, 10_595, 118_535), "the sums");
    let taxes: Vec<i64> = view.rates.iter().map(|rate| rate.tax).collect();
    assert_eq!(taxes, [10_000, 595, 0], "the taxes");
    let marked: Vec<_> =
        view.marked.iter().map(|rate| (rate.mark.unwrap().ja, rate.rate.as_deref())).collect();
    assert_eq!(marked, [("※", Some("8"))], "the legend is data");
    assert_eq!(view.lines[1].mark.unwrap().ja, "※", "the reduced line is marked");
    assert!(view.lines[0].mark.is_none(), "the others are not");
    assert_eq!(view.lines[2].label.unwrap().ja, "対象外", "a line without rate says why");
}

#[test]
fn prices_with_tax_keep_their_total() {
    let data = base(&json!([{"amount": "1000", "tax_rate": "10"}]));
    let view = invoice(&with(&data, "prices", json!("tax_inclusive"))).unwrap();
    assert_eq!((view.net, view.tax, view.total), (910, 90, 1000), "90.9 is cut off");
}

#[test]
fn a_stated_sum_must_agree_with_the_lines() {
    let data = base(&json!([{"amount": "101", "tax_rate": "10"}]));
    let stated = |totals: Value| with(&data, "totals", totals);
    let right = json!({"net": "101", "tax": "10", "total": "111",
        "rates": [{"tax_rate": "10", "base": "101", "tax": "10"}]});
    assert!(invoice(&stated(right)).is_ok(), "the right sums are taken");
    for (totals, field) in [
        (json!({"net": "100"}), "total:totals.net"),
        (json!({"net": "101.5"}), "total:totals.net"),
        (json!({"tax": "11"}), "total:totals.tax"),
        (json!({"total": "112"}), "total:totals.total"),
        (json!({"rates": [{"tax_rate": "10", "base": "100"}]}), "total:totals.rates[0].base"),
        (json!({"rates": [{"tax_rate": "10", "tax": "11"}]}), "total:totals.rates[0].tax"),
        (json!({"rates": [{"tax_rate": "8", "tax": "10"}]}), "total:totals.rates[0].tax_rate"),
    ] {
        assert_eq!(refused(Kind::Invoice, &stated(totals)), field, "a wrong sum is named");
    }
    let line =
        base(&json!([{"quantity": "2", "unit_price": "50", "amount": "99", "tax_rate": "10"}]));
    assert_eq!(refused(Kind::Invoice, &line), "total:lines[0].amount", "a wrong line is named");
}

#[test]
fn a_line_without_tax_has_no_rate() {
    let data = base(&json!([{"amount": "1", "tax_class": "exempt", "tax_rate": "10"}]));
    assert_eq!(refused(Kind::Invoice, &data), "lines[0].tax_rate", "a rate is refused");
    let data = base(&json!([{"amount": "1"}]));
    assert_eq!(refused(Kind::Invoice, &data), "lines[0].tax_rate", "a missing rate is refused");
}

#[test]
fn sums_never_wrap() {
    let line = json!({"amount": "999999999999", "tax_rate": "10"});
    assert!(invoice(&base(&json!(vec![&line; 900]))).is_ok(), "fifteen digits fit");
    let many = base(&json!(vec![line; 1000]));
    assert_eq!(refused(Kind::Invoice, &many), "lines", "sixteen could not be found again");
    let line = json!({"quantity": "999999999999", "unit_price": "9000000", "tax_rate": "10"});
    let two = base(&json!([line, line]));
    assert_eq!(refused(Kind::Invoice, &two), "lines", "eighteen quintillion do not");
}

#[test]
fn a_rate_must_have_held_on_the_day_of_supply() {
    let lines = json!([{"amount": "100", "tax_rate": "8", "tax_class": "standard"}]);
    let on = |day: &str| with(&base(&lines), "supply_date", json!(day));
    assert!(invoice(&on("2019-09-30")).is_ok(), "the last day of 8%");
    assert_eq!(refused(Kind::Invoice, &on("2019-10-01")), "lines[0].tax_rate", "a day later");
    let own = json!([{"amount": "100", "tax_rate": "8", "date": "2019-09-30"},
        {"amount": "100", "tax_rate": "10", "date": "2019-10-01"}]);
    assert!(invoice(&base(&own)).is_ok(), "a line has its own day");
    let across = json!([{"amount": "1", "tax_rate": "8"}, {"amount": "1", "tax_rate": "10"}]);
    let across =
        with(&base(&across), "supply_period", json!({"from": "2019-09-21", "to": "2019-10-20"}));
    assert!(invoice(&across).is_ok(), "both held within the period");
    let turned = with(&across, "supply_period", json!({"from": "2019-10-20", "to": "2019-09-21"}));
    assert_eq!(refused(Kind::Invoice, &turned), "supply_period.to", "upside down");
    let unheard = base(&json!([{"amount": "1", "tax_rate": "7", "tax_class": "reduced"}]));
    assert_eq!(refused(Kind::Invoice, &unheard), "lines[0].tax_rate", "no such rate ever");
}

#[test]
fn a_qualified_invoice_has_number_day_and_recipient() {
    let data = registered(&hundred());
    let view = invoice(&data).unwrap();
    assert!(view.qualified, "a registered issuer");
    assert_eq!(view.registration_number.as_deref(), Some("T7000012050002"), "as printed");
    assert!(view.warnings.is_empty(), "nothing to look at");
    let without = |field: &str| {
        let mut data = map(&data);
        data.remove(field);
        Value::Object(data)
    };
    assert_eq!(refused(Kind::Invoice, &without("supply_date")), "supply_date", "no day");
    assert_eq!(refused(Kind::Invoice, &without("recipient")), "recipient", "no recipient");
    let simple = without("recipient");
    assert!(view_of(Kind::SimplifiedInvoice, &simple).qualified, "a simplified one needs none");
    let dated = json!([{"amount": "100", "tax_rate": "10", "date": "2026-11-20"}]);
    assert!(invoice(&with(&without("supply_date"), "lines", dated)).is_ok(), "lines have days");
}

fn view_of(kind: Kind, data: &Value) -> View {
    view(kind, data).unwrap()
}

#[test]
fn a_wrong_check_digit_is_an_error_for_corporations_and_a_warning_for_others() {
    let issuer = |number: &str, kind: Option<&str>| {
        let mut issuer = json!({"name": "乙", "registration_number": number});
        if let Some(kind) = kind {
            issuer["kind"] = json!(kind);
        }
        with(&registered(&hundred()), "issuer", issuer)
    };
    let wrong = "T1234567890123";
    let field = "issuer.registration_number";
    assert_eq!(refused(Kind::Invoice, &issuer(wrong, Some("corporation"))), field, "a corporation");
    for kind in [Some("sole_proprietor"), None] {
        let view = invoice(&issuer(wrong, kind)).unwrap();
        assert_eq!(view.warnings, ["registration_number_check_digit"], "{kind:?}");
    }
    assert_eq!(refused(Kind::Invoice, &issuer("T12", None)), field, "no number at all");
}

#[test]
fn who_is_not_registered_prints_no_number() {
    let data = base(&hundred());
    let view = invoice(&data).unwrap();
    assert!(!view.qualified && view.registration_number.is_none(), "a plain invoice");
    let sly = with(&data, "issuer", json!({"name": "乙 登録番号 T7000012050002"}));
    assert_eq!(refused(Kind::Invoice, &sly), "issuer", "in the name");
    let sly = with(&data, "notes", json!("（Ｔ７０００-0120-5000-2）"));
    assert_eq!(refused(Kind::SimplifiedInvoice, &sly), "notes", "in the notes, full width");
    let known = with(&registered(&hundred()), "notes", json!("T7000012050002"));
    assert!(invoice(&known).is_ok(), "who is registered may repeat it");
}

#[test]
fn a_qualified_invoice_in_another_currency_shows_its_tax_in_yen() {
    let lines = json!([{"quantity": "3", "unit_price": "411.52", "tax_rate": "10"}]);
    let data = with(&registered(&lines), "currency", json!("EUR"));
    assert_eq!(refused(Kind::Invoice, &data), "exchange_rate", "no rate");
    let data = with(&data, "exchange_rate", json!({"rate": "162.35", "date": "2026-11-20"}));
    let view = invoice(&data).unwrap();
    assert_eq!((view.net, view.tax, view.total), (123_456, 12_345, 135_801), "in cents");
    assert_eq!((view.tax_yen, view.rates[0].tax_yen), (Some(20_043), Some(20_043)), "in yen");
    let known = facts("invoice", &map(&data)).unwrap();
    assert_eq!(known.amount.unwrap().to_string(), "1358.01", "the evidence has the cents");
    assert_eq!(known.currency.unwrap().as_str(), "EUR", "and the currency");
    let zero = with(&data, "exchange_rate", json!({"rate": "0", "date": "2026-11-20"}));
    assert_eq!(refused(Kind::Invoice, &zero), "exchange_rate.rate", "worth nothing");
    let plain = with(&base(&lines), "currency", json!("USD"));
    assert_eq!(invoice(&plain).unwrap().tax_yen, None, "a plain invoice needs none");
    let fine = json!([{"amount": "1.005", "tax_rate": "10"}]);
    let fine = with(&with(&base(&fine), "currency", json!("USD")), "number", json!("2"));
    assert_eq!(refused(Kind::Invoice, &fine), "lines[0].amount", "half a cent");
}

#[test]
fn a_return_invoice_names_the_first_supply_and_rounds_by_absolute_value() {
    let lines = json!([{"amount": "-105", "tax_rate": "10"}]);
    let mut data = registered(&lines);
    assert_eq!(refused(Kind::ReturnInvoice, &data), "original_date", "missing");
    data["original_date"] = json!("2026-10-31");
    let view = view_of(Kind::ReturnInvoice, &data);
    assert_eq!((view.net, view.tax, view.total), (-105, -10, -115), "cut off towards zero");
    let up = view_of(Kind::ReturnInvoice, &with(&data, "rounding", json!("ceil")));
    assert_eq!(up.tax, -11, "away from zero");
    assert!(view.exempt, "below 10,000 yen none is owed");
    for (amount, exempt) in [("-9090", true), ("-9091", false), ("9091", false)] {
        let lines = json!([{"amount": amount, "tax_rate": "10"}]);
        let lines = with(&with(&data, "lines", lines), "rounding", json!("ceil"));
        assert_eq!(view_of(Kind::ReturnInvoice, &lines).exempt, exempt, "{amount}");
    }
    let old = json!([{"amount": "-100", "tax_rate": "8"}]);
    let old = with(&with(&data, "lines", old), "original_date", json!("2019-09-30"));
    assert!(
        !view_of(Kind::ReturnInvoice, &old).lines.is_empty(),
        "the rate is that of the first supply"
    );
    let late = with(&data, "original_date", json!("2026-11-22"));
    assert_eq!(refused(Kind::ReturnInvoice, &late), "original_date", "before it was sold");
}

#[test]
fn a_receipt_for_50_000_yen_without_tax_needs_a_stamp_on_paper() {
    let receipt = |amount: &str| {
        let lines = json!([{"amount": amount, "tax_rate": "10"}]);
        with(&registered(&lines), "purpose", json!("お食事代として"))
    };
    for (amount, duty) in [("49999", 0), ("50000", 200), ("1000001", 400)] {
        let data = receipt(amount);
        let stamp = view_of(Kind::Receipt, &data).stamp_duty.unwrap();
        assert_eq!((stamp.duty, stamp.required), (duty, duty > 0), "{amount}");
        assert_eq!(needs_stamp("receipt", &map(&data)), duty > 0, "{amount}");
        assert!(!needs_stamp("invoice", &map(&data)), "an invoice needs none");
    }
    let data = receipt("50000");
    let card = with(&data, "paid_by", json!("credit_card"));
    assert_eq!(view_of(Kind::Receipt, &card).stamp_duty.unwrap().duty, 0, "paid by card");
    let approved = with(&data, "stamp_approved_by", json!("麹町税務署"));
    let stamp = view_of(Kind::Receipt, &approved).stamp_duty.unwrap();
    assert_eq!((stamp.duty, stamp.required), (200, false), "paid by declaration");
    let plain = with(&receipt("46000"), "issuer", json!({"name": "乙"}));
    assert!(needs_stamp("receipt", &map(&plain)), "who is not registered: 50,600 with tax");
    assert_eq!(refused(Kind::Receipt, &with(&data, "purpose", json!(" "))), "purpose", "for what?");
    assert_eq!(refused(Kind::Receipt, &receipt("-1")), "lines", "nothing received");
}

#[test]
fn a_quotation_holds_until_a_day() {
    let data = base(&hundred());
    assert_eq!(refused(Kind::Quotation, &data), "valid_until", "missing");
    let early = with(&data, "valid_until", json!("2026-11-20"));
    assert_eq!(refused(Kind::Quotation, &early), "valid_until", "before it is issued");
    let view = view_of(Kind::Quotation, &with(&data, "valid_until", json!("2026-12-21")));
    assert_eq!(view.total, 110, "and comes to a sum");
}

#[test]
fn a_delivery_note_needs_neither_tax_nor_prices() {
    let note = |lines: Value| with(&base(&lines), "delivered_on", json!("2026-11-20"));
    let bare = note(json!([{"quantity": "3"}, {"quantity": "4"}]));
    let view = view_of(Kind::DeliveryNote, &bare);
    assert!(!view.priced && !view.taxed && view.lines[0].amount.is_none(), "quantities only");
    let known = facts("delivery-note", &map(&bare)).unwrap();
    assert!(known.amount.is_none() && known.currency.is_none(), "no amount is made up");
    let plain = note(json!([{"quantity": "3", "unit_price": "50"}, {"amount": "7"}]));
    let view = view_of(Kind::DeliveryNote, &plain);
    assert_eq!((view.priced, view.taxed, view.total), (true, false, 157), "without tax");
    let taxed = note(json!([{"amount": "100", "tax_rate": "10"}]));
    assert_eq!(view_of(Kind::DeliveryNote, &taxed).total, 110, "with tax");
    let mixed = note(json!([{"amount": "100", "tax_rate": "10"}, {"amount": "1"}]));
    assert_eq!(refused(Kind::DeliveryNote, &mixed), "lines[1].tax_rate", "all or none");
    let gap = note(json!([{"amount": "100"}, {"quantity": "1"}]));
    assert_eq!(refused(Kind::DeliveryNote, &gap), "lines[1].amount", "all or none");
    assert_eq!(refused(Kind::DeliveryNote, &base(&hundred())), "delivered_on", "missing");
}

#[test]
fn a_payment_notice_has_the_suppliers_number_and_a_day_to_object() {
    let data = with(&base(&hundred()), "supply_date", json!("2026-11-20"));
    let data = with(&data, "confirm_by", json!("2026-12-05"));
    let field = "recipient.registration_number";
    assert_eq!(refused(Kind::PaymentNotice, &data), field, "missing");
    let supplier = json!({"name": "甲", "registration_number": "T7000012050002"});
    let data = with(&data, "recipient", supplier);
    let view = view_of(Kind::PaymentNotice, &data);
    assert!(view.qualified, "the supplier is registered");
    assert_eq!(view.registration_number.as_deref(), Some("T7000012050002"), "the supplier's");
    let early = with(&data, "confirm_by", json!("2026-11-20"));
    assert_eq!(refused(Kind::PaymentNotice, &early), "confirm_by", "no time to object");
    let bad = json!({"name": "甲", "registration_number": "T1234567890123", "kind": "corporation"});
    assert_eq!(refused(Kind::PaymentNotice, &with(&data, "recipient", bad)), field, "check digit");
}

#[test]
fn a_dunning_letter_sums_up_what_is_open_and_overdue() {
    let data = json!({
        "reference": "D-1", "date": "2026-11-21", "pay_by": "2026-12-05", "level": 2,
        "sender": {"name": "乙"}, "recipient": {"name": "甲"}, "charge": "100", "total": "1300",
        "invoices": [
            {"number": "1", "issue_date": "2026-09-01", "due_date": "2026-09-30", "amount": "1000"},
            {"number": "2", "issue_date": "2026-10-01", "due_date": "2026-11-20", "amount": "500",
                "paid": "300"},
        ],
    });
    let view = view_of(Kind::DunningLetter, &data);
    assert_eq!((view.net, view.total, view.level), (1200, 1300, Some(2)), "the sums");
    let days: Vec<_> = view.open.iter().map(|open| (open.open, open.days)).collect();
    assert_eq!(days, [(1000, 52), (200, 1)], "what is open, and for how long");
    let known = facts("dunning-letter", &map(&data)).unwrap();
    assert_eq!(known.amount.unwrap().to_string(), "1300", "the evidence");
    assert_eq!(refused(Kind::DunningLetter, &with(&data, "level", json!(4))), "level", "of three");
    let wrong = with(&data, "total", json!("1299"));
    assert_eq!(refused(Kind::DunningLetter, &wrong), "total:total", "another sum");
    let mut early = data.clone();
    early["invoices"][1]["due_date"] = json!("2026-11-21");
    assert_eq!(refused(Kind::DunningLetter, &early), "invoices[1].due_date", "not overdue");
    let mut paid = data.clone();
    paid["invoices"][0]["paid"] = json!("1000");
    assert_eq!(refused(Kind::DunningLetter, &paid), "invoices[0].paid", "nothing open");
    let past = with(&data, "pay_by", json!("2026-11-20"));
    assert_eq!(refused(Kind::DunningLetter, &past), "pay_by", "no time to pay");
}
