//! An address in Japan, and the block that is printed behind the window.
//!
//! Printed text stays as the sender wrote it (a normalised name is another
//! name); only the postcode is brought into one form. Honorifics follow the
//! post office's advice: 様 for people, 御中 for organisations, never both, and
//! never a second one after one that the sender wrote.

use std::fmt;

use super::{
    job::{ADDRESS_LINE_CHARS_MAX, AddressClaim},
    names::is_organisation,
    refusal::{Refusal, Refused},
    text::check_line,
};

/// The 47 prefectures.
pub const PREFECTURES: [&str; 47] = [
    "北海道",
    "青森県",
    "岩手県",
    "宮城県",
    "秋田県",
    "山形県",
    "福島県",
    "茨城県",
    "栃木県",
    "群馬県",
    "埼玉県",
    "千葉県",
    "東京都",
    "神奈川県",
    "新潟県",
    "富山県",
    "石川県",
    "福井県",
    "山梨県",
    "長野県",
    "岐阜県",
    "静岡県",
    "愛知県",
    "三重県",
    "滋賀県",
    "京都府",
    "大阪府",
    "兵庫県",
    "奈良県",
    "和歌山県",
    "鳥取県",
    "島根県",
    "岡山県",
    "広島県",
    "山口県",
    "徳島県",
    "香川県",
    "愛媛県",
    "高知県",
    "福岡県",
    "佐賀県",
    "長崎県",
    "熊本県",
    "大分県",
    "宮崎県",
    "鹿児島県",
    "沖縄県",
];

/// A Japanese postcode: seven digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PostalCode([u8; 7]);

/// The text is not a Japanese postcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a postcode is seven digits")]
pub struct BadPostalCode;

impl PostalCode {
    /// Reads a postcode in the ways people write it: with 〒, blanks around it,
    /// full-width digits, and any dash between the third and fourth digit.
    /// At most 16 characters, blanks included.
    pub fn parse(text: &str) -> Result<Self, BadPostalCode> {
        if text.chars().nth(16).is_some() {
            return Err(BadPostalCode);
        }
        let text = text.trim();
        let text = text.strip_prefix('〒').unwrap_or(text).trim();
        let mut digits = [0_u8; 7];
        let mut found = 0_usize;
        let mut dash = false;
        for c in text.chars() {
            let digit = match c {
                '0'..='9' => c,
                '０'..='９' => char::from_u32(u32::from(c).saturating_sub(0xfee0)).unwrap_or(c),
                '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' | '\u{30fc}'
                    if found == 3 && !dash =>
                {
                    dash = true;
                    continue;
                }
                _ => return Err(BadPostalCode),
            };
            *digits.get_mut(found).ok_or(BadPostalCode)? =
                u8::try_from(digit).map_err(|_| BadPostalCode)?;
            found = found.saturating_add(1);
        }
        if found == 7 { Ok(Self(digits)) } else { Err(BadPostalCode) }
    }

    /// The seven digits.
    pub fn digits(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for PostalCode {
    /// As it is printed: `900-0015`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        write!(f, "{}-{}", digits.get(..3).unwrap_or_default(), digits.get(3..).unwrap_or_default())
    }
}

impl fmt::Debug for PostalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostalCode(..)")
    }
}

impl serde::Serialize for PostalCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.digits())
    }
}

impl<'de> serde::Deserialize<'de> for PostalCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A checked address in Japan.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PostalAddress {
    /// Seven digits.
    pub postal_code: PostalCode,
    /// One of [`PREFECTURES`].
    pub prefecture: String,
    /// City, ward, town.
    pub city: String,
    /// Block and house number.
    pub line1: String,
    /// Building and room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
}

impl PostalAddress {
    /// Checks what the sender wrote. Other countries are `bad_postal_address`;
    /// characters that have no place on an envelope are `bad_text`.
    pub fn check(claim: &AddressClaim) -> Result<Self, Refused> {
        if claim.country.as_deref().is_some_and(|country| country != "JP") {
            return Err(Refusal::BadPostalAddress.at("recipient.address.country"));
        }
        let postal_code = PostalCode::parse(&claim.postal_code)
            .map_err(|_| Refusal::BadPostalAddress.at("recipient.address.postal_code"))?;
        let prefecture = claim.prefecture.as_str();
        if !PREFECTURES.contains(&prefecture) {
            return Err(Refusal::BadPostalAddress.at("recipient.address.prefecture"));
        }
        Ok(Self {
            postal_code,
            prefecture: prefecture.to_owned(),
            city: line(&claim.city, "recipient.address.city")?,
            line1: line(&claim.line1, "recipient.address.line1")?,
            line2: claim
                .line2
                .as_deref()
                .map(|text| line(text, "recipient.address.line2"))
                .transpose()?,
        })
    }

    /// The lines behind the window, top to bottom: postcode, address, building,
    /// then [`addressee`].
    pub fn block(&self, name: &str, person: Option<&str>) -> Vec<String> {
        let mut lines = vec![format!("〒{}", self.postal_code)];
        lines.extend(self.lines());
        lines.extend(addressee(name, person));
        lines
    }

    /// The address below the postcode: street, then building and room.
    pub fn lines(&self) -> Vec<String> {
        let street = format!("{}{}{}", self.prefecture, self.city, self.line1);
        std::iter::once(street).chain(self.line2.clone()).collect()
    }
}

fn line(text: &str, path: &'static str) -> Result<String, Refused> {
    check_line(text, ADDRESS_LINE_CHARS_MAX).map_err(|_| Refusal::BadText.at(path))?;
    Ok(text.trim().to_owned())
}

/// The recipient with honorifics, one or two lines: the person with 様 under
/// the bare company, or an organisation with 御中, or a person with 様. What
/// already ends in an honorific stays as it is.
pub fn addressee(name: &str, person: Option<&str>) -> Vec<String> {
    let name = name.trim();
    if let Some(person) = person.map(str::trim).filter(|person| !person.is_empty()) {
        // 御中 and 様 never stand together.
        let company = name.strip_suffix("御中").map_or(name, str::trim_end);
        return vec![company.to_owned(), with_honorific(person, "様")];
    }
    vec![with_honorific(name, if is_organisation(name) { "御中" } else { "様" })]
}

fn with_honorific(name: &str, honorific: &str) -> String {
    const HONORIFICS: [&str; 6] = ["様", "御中", "殿", "先生", "各位", "さま"];
    if HONORIFICS.iter().any(|known| name.ends_with(known)) {
        name.to_owned()
    } else {
        // An ideographic space, as on a hand-written envelope.
        format!("{name}　{honorific}")
    }
}

impl fmt::Debug for PostalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostalAddress(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> AddressClaim {
        AddressClaim {
            postal_code: "〒９００－００１５".into(),
            prefecture: "沖縄県".into(),
            city: "那覇市".into(),
            line1: "久茂地1-27-11".into(),
            line2: Some("中央合同ビル 12階".into()),
            country: Some("JP".into()),
        }
    }

    #[test]
    fn postcodes_follow_the_vectors() {
        for row in include_str!("../../tests/vectors/postal_code_format.tsv").lines().skip(1) {
            let (input, expected) = row.split_once('\t').unwrap();
            match PostalCode::parse(input) {
                Ok(code) => assert_eq!(code.digits(), expected, "{input}"),
                Err(BadPostalCode) => assert_eq!(expected, "ERR", "{input}"),
            }
        }
    }

    #[test]
    fn the_block_reads_like_an_envelope() {
        let address = PostalAddress::check(&claim()).unwrap();
        assert_eq!(
            address.block("株式会社桔梗製作所", Some("鶴岡 さくら")),
            [
                "〒900-0015",
                "沖縄県那覇市久茂地1-27-11",
                "中央合同ビル 12階",
                "株式会社桔梗製作所",
                "鶴岡 さくら　様"
            ],
            "company and person"
        );
    }

    #[test]
    fn honorifics_are_never_doubled_and_never_mixed() {
        assert_eq!(addressee("株式会社桔梗製作所", None), ["株式会社桔梗製作所　御中"], "company");
        assert_eq!(addressee("鶴岡 さくら", None), ["鶴岡 さくら　様"], "person");
        assert_eq!(
            addressee("株式会社桔梗製作所 御中", None),
            ["株式会社桔梗製作所 御中"],
            "already there"
        );
        assert_eq!(
            addressee("青葉銀行 御中", Some("山田 太郎様")),
            ["青葉銀行", "山田 太郎様"],
            "not both"
        );
        for written in ["那覇市長殿", "高橋先生", "株主各位", "たろうさま"] {
            assert_eq!(addressee(written, None), [written], "{written} stays");
        }
    }

    #[test]
    fn the_field_at_fault_is_named() {
        type Spoil = fn(&mut AddressClaim);
        let cases: [(Spoil, Refusal, &str); 6] = [
            (
                |c| c.country = Some("US".into()),
                Refusal::BadPostalAddress,
                "recipient.address.country",
            ),
            (
                |c| c.postal_code = "900-001".into(),
                Refusal::BadPostalAddress,
                "recipient.address.postal_code",
            ),
            (
                |c| c.prefecture = "沖縄".into(),
                Refusal::BadPostalAddress,
                "recipient.address.prefecture",
            ),
            (|c| c.city = " ".into(), Refusal::BadText, "recipient.address.city"),
            (|c| c.line1 = "1\n2".into(), Refusal::BadText, "recipient.address.line1"),
            (|c| c.line2 = Some("あ".repeat(51)), Refusal::BadText, "recipient.address.line2"),
        ];
        for (spoil, refusal, path) in cases {
            let mut claim = claim();
            spoil(&mut claim);
            assert_eq!(PostalAddress::check(&claim), Err(refusal.at(path)), "{path}");
        }
    }
}
