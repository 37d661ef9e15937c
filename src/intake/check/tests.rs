//! The rules, one by one.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::intake::parse::{ParseLimits, parse};

fn minimal() -> Value {
    serde_json::json!({
        "key": "1",
        "channel": "email",
        "document": { "template": "invoice", "data": {} },
        "recipient": { "name": "桔梗製作所", "email": "a..b@docomo.ne.jp" },
    })
}

fn noon() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn checked(job: &Value, change: impl FnOnce(&mut CheckContext<'_>)) -> Result<CheckedJob, Refused> {
    let tenant = TenantId::parse("acme").unwrap();
    let mut context = CheckContext {
        tenant: &tenant,
        legacy_jp_addresses: true,
        now: noon(),
        link_days_max: LINK_DAYS_MAX,
        has_template: &|name| name == "invoice",
        facts: None,
    };
    change(&mut context);
    let body = serde_json::to_vec(job).unwrap();
    check(parse(&body, &ParseLimits::default())?, &context)
}

#[test]
fn what_is_left_out_has_a_value() {
    let job = checked(&minimal(), |_| ()).unwrap();
    assert_eq!(job.filename, FILENAME_DEFAULT, "a name");
    assert_eq!(
        job.link,
        CheckedLink { ttl_seconds: 1_209_600, max_opens: 20, second_factor: None, reminder: None },
        "a link"
    );
    assert_eq!(job.send_at, noon(), "at once");
    assert_eq!(job.recipient.locale.tag(), "ja", "a language");
    assert!(job.evidence == Evidence::default(), "no evidence");
    assert_eq!(job.tenant.as_str(), "acme", "the tenant of the channel");
}

#[test]
fn a_tenant_may_be_kept_shorter() {
    let mut job = minimal();
    let week = |context: &mut CheckContext<'_>| context.link_days_max = 7;
    assert_eq!(
        checked(&job, week).unwrap().link.ttl(),
        Duration::from_hours(168),
        "the default gives way"
    );
    job["link"] = serde_json::json!({ "expires_in": "8d" });
    assert_eq!(
        checked(&job, week),
        Err(Refusal::BadOption.at("link.expires_in")),
        "a wish does not"
    );
    let forever = |context: &mut CheckContext<'_>| context.link_days_max = 400;
    job["link"] = serde_json::json!({ "expires_in": "745h" });
    assert_eq!(
        checked(&job, forever),
        Err(Refusal::BadOption.at("link.expires_in")),
        "31 days are the end"
    );
}

#[test]
fn misplaced_dots_need_the_flag_of_the_tenant() {
    assert!(checked(&minimal(), |_| ()).is_ok(), "with the flag");
    let refused = checked(&minimal(), |context| context.legacy_jp_addresses = false);
    assert_eq!(refused, Err(Refusal::BadAddress.at("recipient.email")), "without it");
}

#[test]
fn the_past_means_at_once_and_the_far_future_nothing() {
    let at = |text: &str| {
        let mut job = minimal();
        job["send_at"] = text.into();
        checked(&job, |_| ()).map(|job| job.send_at)
    };
    assert_eq!(at("1999-01-01T00:00:00Z"), Ok(noon()), "the past");
    assert_eq!(
        at("2026-11-22T09:00:00+09:00"),
        Ok("2026-11-22T00:00:00Z".parse().unwrap()),
        "tomorrow"
    );
    assert_eq!(at("2027-11-22T12:00:00Z"), Ok("2027-11-22T12:00:00Z".parse().unwrap()), "366 days");
    assert_eq!(at("2027-11-22T12:00:01Z"), Err(Refusal::BadOption.at("send_at")), "and a second");
    assert_eq!(at("2026-12-01"), Err(Refusal::BadField.at("send_at")), "no instant");
}

#[test]
fn text_that_commands_is_found_wherever_it_hides_in_the_data() {
    for data in [
        serde_json::json!({ "a": [{ "b": ["\u{202e}"] }] }),
        serde_json::json!({ "a": { "b\u{0}": 1 } }),
        serde_json::json!({ "\u{200b}": null }),
    ] {
        let mut job = minimal();
        job["document"]["data"] = data;
        assert_eq!(checked(&job, |_| ()), Err(Refusal::BadText.at("document.data")), "{job}");
    }
    let mut job = minimal();
    job["document"]["data"] = serde_json::json!({ "notes": "一\n二\t{{7*7}}" });
    assert!(checked(&job, |_| ()).is_ok(), "lines and braces are text");
}

#[test]
fn a_letter_has_an_address_and_no_link() {
    let mut job = minimal();
    job["channel"] = "post".into();
    assert_eq!(
        checked(&job, |_| ()),
        Err(Refusal::MissingField.at("recipient.address")),
        "no address"
    );
    job["recipient"]["address"] = serde_json::json!({
        "postal_code": "9000015", "prefecture": "沖縄県", "city": "那覇市", "line1": "1-2-3"
    });
    let letter = checked(&job, |_| ()).unwrap();
    let block = letter.recipient.address_block().unwrap();
    assert_eq!(block, ["〒900-0015", "沖縄県那覇市1-2-3", "桔梗製作所　御中"], "behind the window");
    job["link"] = serde_json::json!({});
    assert_eq!(checked(&job, |_| ()), Err(Refusal::BadOption.at("link")), "a letter has no link");
}

#[test]
fn template_names_are_names_and_never_paths() {
    for name in ["../x", "/etc/passwd", "a/b", "%2e%2e", "a\u{0}", "", "A", ".a", "-a", "あ"] {
        let mut job = minimal();
        job["document"]["template"] = name.into();
        let all = |context: &mut CheckContext<'_>| context.has_template = &|_| true;
        assert_eq!(
            checked(&job, all),
            Err(Refusal::NoTemplate.at("document.template")),
            "{name:?}"
        );
    }
}

proptest! {
    /// A name that passes can stand in a header, an envelope and a log.
    #[test]
    fn nothing_that_commands_gets_through(name in any::<String>()) {
        let mut job = minimal();
        job["recipient"]["name"] = name.clone().into();
        match checked(&job, |_| ()) {
            Ok(job) => {
                prop_assert!(!job.recipient.name.chars().any(char::is_control));
                prop_assert!(name.contains(&job.recipient.name), "trimmed, never changed");
            }
            Err(refused) => prop_assert_eq!(refused, Refusal::BadText.at("recipient.name")),
        }
    }
}
