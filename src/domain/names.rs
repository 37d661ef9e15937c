//! Keys under which names are found again.
//!
//! A key is for comparing and searching only; what is printed is always what
//! the sender wrote. Keys are stored as blind indexes, so changing a rule here
//! means building those indexes anew: [`KEY_VERSION`] is part of their label.

use unicode_normalization::UnicodeNormalization as _;

/// Goes up whenever a rule of this module changes.
pub const KEY_VERSION: u8 = 1;

/// Forms of companies, after NFKC and lower-casing (㈱ is `(株)` by then).
const FORMS: [&str; 24] = [
    "株式会社",
    "有限会社",
    "合同会社",
    "合資会社",
    "合名会社",
    "一般社団法人",
    "一般財団法人",
    "公益社団法人",
    "公益財団法人",
    "特定非営利活動法人",
    "医療法人社団",
    "医療法人",
    "学校法人",
    "社会福祉法人",
    "宗教法人",
    "独立行政法人",
    "税理士法人",
    "弁護士法人",
    "(株)",
    "(有)",
    "(合)",
    "(同)",
    "(社)",
    "(財)",
];

/// Words that say the same in Latin letters, at the end of a name.
const LATIN_FORMS: [&str; 13] = [
    "inc",
    "ltd",
    "llc",
    "llp",
    "corp",
    "corporation",
    "company",
    "co",
    "gmbh",
    "ag",
    "plc",
    "kk",
    "limited",
];

/// The key of a company's or person's name: NFKC, lower case, hiragana as
/// katakana, without the form of the company, spaces and punctuation.
///
/// `㈱桔梗製作所`, `株式会社 桔梗製作所` and `桔梗製作所（株）` share a key. A name
/// that is nothing but a form keeps it: no name has an empty key.
pub fn counterparty_key(name: &str) -> String {
    let folded: String = name.nfkc().flat_map(char::to_lowercase).map(katakana).collect();
    let mut bare = folded.clone();
    for form in FORMS {
        if bare.contains(form) {
            bare = bare.replace(form, " ");
        }
    }
    let mut words: Vec<&str> =
        bare.split(|c| !is_letter(c)).filter(|word| !word.is_empty()).collect();
    while words.len() > 1 && words.last().is_some_and(|word| LATIN_FORMS.contains(word)) {
        words.pop();
    }
    let key: String = words.concat().chars().filter(|c| !is_selector(*c)).collect();
    if !key.is_empty() {
        return key;
    }
    let whole: String = folded.chars().filter(|c| is_letter(*c) && !is_selector(*c)).collect();
    if whole.is_empty() { folded } else { whole }
}

fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || is_mark(c)
}

/// Variation selectors choose a shape, not another name.
fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Signs that belong to a name: the long mark, the iteration marks, and
/// combining marks of scripts that need them.
fn is_mark(c: char) -> bool {
    matches!(c, 'ー' | '々' | '〆' | '〇' | 'ゝ' | 'ゞ' | 'ヽ' | 'ヾ')
        || unicode_normalization::char::is_combining_mark(c)
}

/// Hiragana as katakana, which lie 96 code points further on.
fn katakana(c: char) -> char {
    match c {
        'ぁ'..='ゖ' | 'ゝ' | 'ゞ' => {
            char::from_u32(u32::from(c).saturating_add(0x60)).unwrap_or(c)
        }
        other => other,
    }
}

/// Whether a name is that of an organisation, so that a letter to it is
/// addressed 御中 and not 様. Looks for a form of company and for the words in
/// which Japanese organisations' names end; a sender who knows better writes
/// the honorific himself.
pub fn is_organisation(name: &str) -> bool {
    const ENDINGS: [&str; 44] = [
        "会社",
        "法人",
        "組合",
        "協会",
        "連盟",
        "財団",
        "社団",
        "銀行",
        "金庫",
        "大学",
        "学校",
        "学園",
        "高校",
        "病院",
        "医院",
        "クリニック",
        "薬局",
        "事務所",
        "製作所",
        "工業",
        "産業",
        "商事",
        "商店",
        "商会",
        "建設",
        "工務店",
        "不動産",
        "出版",
        "新聞社",
        "印刷",
        "運輸",
        "物流",
        "食品",
        "電機",
        "市役所",
        "区役所",
        "役場",
        "県庁",
        "都庁",
        "省",
        "委員会",
        "研究所",
        "センター",
        "本社",
    ];
    let folded: String = name.trim().nfkc().flat_map(char::to_lowercase).collect();
    FORMS.iter().any(|form| folded.contains(form))
        || ENDINGS.iter().any(|ending| folded.ends_with(ending))
        || folded
            .split(|c: char| !c.is_alphanumeric())
            .skip(1)
            .any(|word| LATIN_FORMS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_company_share_a_key() {
        let key = counterparty_key("株式会社桔梗製作所");
        for name in [
            "㈱桔梗製作所",
            "（株）桔梗製作所",
            "桔梗製作所株式会社",
            "株式会社　桔梗製作所",
            "桔梗製作所 ㈱",
        ] {
            assert_eq!(counterparty_key(name), key, "{name}");
        }
        assert_ne!(counterparty_key("株式会社桔梗商事"), key, "another company has another key");
    }

    #[test]
    fn width_case_and_kana_do_not_matter_but_marks_do() {
        assert_eq!(counterparty_key("ｶｷﾄﾒ"), counterparty_key("かきとめ"), "kana fold");
        assert_eq!(counterparty_key("ＡＢＣ Co., Ltd."), counterparty_key("abc"), "width and case");
        assert_ne!(counterparty_key("カード"), counterparty_key("カト"), "marks count");
        assert_ne!(counterparty_key("バス"), counterparty_key("ハス"), "voicing counts");
        assert_eq!(counterparty_key("葛󠄀城"), counterparty_key("葛城"), "selectors do not");
    }

    #[test]
    fn no_name_has_an_empty_key() {
        for name in ["株式会社", "…", "㈱", "!!", "😀"] {
            assert!(!counterparty_key(name).is_empty(), "{name} lost its key");
        }
    }

    #[test]
    fn compatibility_characters_meet_in_the_key_only() {
        // name_normalisation.tsv: NFC already changes these; the key may.
        for row in include_str!("../../tests/vectors/name_normalisation.tsv").lines().skip(1) {
            let fields: Vec<_> = row.split('\t').collect();
            let nfkc: String = fields[4]
                .split(' ')
                .filter_map(|code| u32::from_str_radix(code.strip_prefix("U+")?, 16).ok())
                .filter_map(char::from_u32)
                .collect();
            assert_eq!(counterparty_key(fields[0]), counterparty_key(&nfkc), "{}", fields[1]);
        }
    }

    #[test]
    fn organisations_are_told_from_people() {
        for name in [
            "株式会社桔梗製作所",
            "桔梗製作所",
            "㈱青葉",
            "青葉銀行",
            "那覇市役所",
            "Acme Co., Ltd.",
            "Foo Inc.",
        ] {
            assert!(is_organisation(name), "{name} is an organisation");
        }
        for name in ["鶴岡 さくら", "山田太郎", "Jane Doe", "Inc", "Co Nguyen"] {
            assert!(!is_organisation(name), "{name} is a person");
        }
    }
}
