//! What a document costs: CPU time (user and system) of this process for each
//! document, best of several rounds. Run with `cargo bench --bench render`; give
//! a folder to also write the documents there:
//! `cargo bench --bench render -- FOLDER`.
//!
//! Every document differs in names, texts and amounts, so nothing is answered
//! from a cache.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::arithmetic_side_effects,
    reason = "a measurement, not part of the program"
)]

use kakitome::{
    domain::locale::Locale,
    render::{AddressPage, Order, Profile, Renderer},
};
use serde_json::{Value, json};

const ROUNDS: usize = 7;
/// Characters for names and texts that differ.
const KANJI: &str = "亜哀愛悪握圧扱安暗案以位依偉囲委威尉意慰易為異移維緯胃衣違遺医井域育一壱逸稲芋印員因姻引飲院陰隠韻右宇羽雨渦浦運雲営影映栄永泳英衛詠鋭液疫益駅悦謁越閲円園宴延援沿演炎煙猿縁遠鉛塩汚凹央奥往応押横欧殴王翁黄沖億屋憶乙卸恩温穏音下化仮何価佳加可夏嫁家寡科暇果架歌河火花荷華菓課貨過蚊我画芽賀雅餓介会解回塊壊快怪悔懐戒拐改械海灰界皆絵開階貝劾外害慨概涯街該垣嚇各拡格核殻獲確穫覚角較郭閣隔革学岳楽額掛潟割喝括活渇滑褐轄且株刈";

/// CPU time of this thread, the only one, in microseconds as the kernel's
/// scheduler counts it.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1000.0
}

/// A small generator, so that documents differ and are the same every time.
struct Seed(u64);

impl Seed {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn word(&mut self, letters: usize) -> String {
        let kanji: Vec<char> = KANJI.chars().collect();
        (0..letters).map(|_| kanji[self.below(kanji.len())]).collect()
    }
}

fn invoice(seed: &mut Seed, lines: usize) -> Value {
    let mut data: Value =
        serde_json::from_str(include_str!("../templates/documents/invoice/sample.json")).unwrap();
    data["recipient"]["name"] = json!(format!("株式会社{}", seed.word(4)));
    data["subject"] = json!(seed.word(12));
    let line = |seed: &mut Seed| {
        json!({
            "name": format!("{}の{}", seed.word(4), seed.word(5)),
            "quantity": (1 + seed.below(50)).to_string(),
            "unit": "個",
            "unit_price": (10 + seed.below(90_000)).to_string(),
            "tax_rate": "10",
        })
    };
    data["lines"] = (0..lines).map(|_| line(seed)).collect();
    data
}

fn measure(
    renderer: &Renderer,
    name: &str,
    lines: usize,
    count: usize,
    front: Option<&AddressPage>,
) {
    let mut seed = Seed(7);
    let documents: Vec<Value> = (0..count).map(|_| invoice(&mut seed, lines)).collect();
    let mut best = f64::INFINITY;
    let (mut bytes, mut pages) = (0, 0);
    for _ in 0..ROUNDS {
        let before = cpu();
        for data in &documents {
            let order = Order {
                template: "invoice",
                locale: Locale::Ja,
                data,
                title: "請求書",
                address_page: front,
                profile: Profile::Plain,
                attach_data: false,
            };
            let document = renderer.render(&order).unwrap();
            bytes = document.pdf.len();
            pages = document.pages;
        }
        let spent = (cpu() - before) / count as f64;
        best = best.min(spent);
    }
    println!(
        "{name:<28} {best:>8.0} us CPU  {:>6.0} a second  {pages} pages  {bytes} bytes",
        1e6 / best
    );
}

fn main() {
    let before = cpu();
    let renderer = Renderer::bundled().unwrap();
    println!("start                        {:>8.0} us CPU", cpu() - before);
    let front = AddressPage {
        postal_code: "530-0001".into(),
        address_lines: vec!["大阪府大阪市北区梅田3-1-3".into()],
        name_lines: vec!["株式会社見本 御中".into()],
        sender_lines: vec!["株式会社かきとめ製作所".into()],
        piece_id: "KT-000042".into(),
    };
    measure(&renderer, "invoice, 12 lines", 12, 200, None);
    measure(&renderer, "invoice, 12 lines, address", 12, 200, Some(&front));
    measure(&renderer, "invoice, 300 lines", 300, 20, None);
    // `cargo bench` passes `--bench`.
    if let Some(folder) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) {
        for lines in [12, 300] {
            let data = invoice(&mut Seed(7), lines);
            let order = Order {
                template: "invoice",
                locale: Locale::Ja,
                data: &data,
                title: "請求書",
                address_page: None,
                profile: Profile::Plain,
                attach_data: false,
            };
            let document = renderer.render(&order).unwrap();
            std::fs::write(format!("{folder}/invoice-{lines}.pdf"), &*document.pdf).unwrap();
        }
    }
}
