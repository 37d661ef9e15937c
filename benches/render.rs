//! What a document costs: CPU time (user and system) for each document, the best
//! of several rounds.
//!
//! ```sh
//! cargo bench --bench render                     everything, as a table
//! cargo bench --bench render -- --json           the same, a JSON object a line
//! cargo bench --bench render -- --quick          plain documents of one and ten pages only
//! cargo bench --bench render -- --dump DIR       the documents as HTML, data and PDF
//! ```
//!
//! Every document differs in names, texts and amounts, so nothing is answered
//! from a cache. `--dump` is what benches/peers/run.py gives to other engines.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::arithmetic_side_effects,
    reason = "a measurement, not part of the program"
)]

use std::{fs, path::Path, process::Command};

use kakitome::{
    domain::locale::Locale,
    render::{AddressPage, FONTS_CSS, Order, Profile, Renderer, TemplateBundle, font_files},
};
use serde_json::{Value, json};

const ROUNDS: usize = 7;
/// Lines of an invoice and how many such invoices.
const CASES: [(&str, usize, usize); 3] =
    [("one-page", 12, 200), ("300-lines", 300, 20), ("5000-lines", 5_000, 3)];
/// Characters for names and texts that differ.
const KANJI: &str = "亜哀愛悪握圧扱安暗案以位依偉囲委威尉意慰易為異移維緯胃衣違遺医井域育一壱逸稲芋印員因姻引飲院陰隠韻右宇羽雨渦浦運雲営影映栄永泳英衛詠鋭液疫益駅悦謁越閲円園宴延援沿演炎煙猿縁遠鉛塩汚凹央奥往応押横欧殴王翁黄沖億屋憶乙卸恩温穏音下化仮何価佳加可夏嫁家寡科暇果架歌河火花荷華菓課貨過蚊我画芽賀雅餓介会解回塊壊快怪悔懐戒拐改械海灰界皆絵開階貝劾外害慨概涯街該垣嚇各拡格核殻獲確穫覚角較郭閣隔革学岳楽額掛潟割喝括活渇滑褐轄且株刈";

/// CPU time of this thread in microseconds, as the kernel's scheduler counts it.
fn cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1000.0
}

/// The most memory that this process held at once, in MB.
fn memory_max() -> f64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
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

fn documents(lines: usize, count: usize) -> Vec<Value> {
    let mut seed = Seed(7);
    (0..count).map(|_| invoice(&mut seed, lines)).collect()
}

fn order<'a>(data: &'a Value, profile: Profile, front: Option<&'a AddressPage>) -> Order<'a> {
    Order {
        template: "invoice",
        locale: Locale::Ja,
        data,
        title: "請求書",
        address_page: front,
        profile,
        attach_data: false,
    }
}

/// What one document of a case cost.
struct Cost {
    microseconds: f64,
    pages: u32,
    bytes: usize,
}

/// One round over all documents.
fn round(
    renderer: &Renderer,
    documents: &[Value],
    profile: Profile,
    front: Option<&AddressPage>,
) -> Cost {
    let (mut pages, mut bytes) = (0, 0);
    let before = cpu();
    for data in documents {
        let made = renderer.render(&order(data, profile, front)).unwrap();
        (pages, bytes) = (made.pages, bytes + made.pdf.len());
    }
    let count = documents.len();
    Cost { microseconds: (cpu() - before) / count as f64, pages, bytes: bytes / count }
}

/// The cheapest of several rounds: what disturbs only adds.
fn measure(
    renderer: &Renderer,
    documents: &[Value],
    profile: Profile,
    front: Option<&AddressPage>,
) -> Cost {
    (0..ROUNDS)
        .map(|_| round(renderer, documents, profile, front))
        .min_by(|one, two| one.microseconds.total_cmp(&two.microseconds))
        .unwrap()
}

/// CPU of a document with two threads at once, and with one alone, measured in
/// turns: the least of each.
fn two_threads(renderer: &Renderer, documents: &[Value]) -> (f64, f64) {
    let (mut alone, mut both) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        alone = alone.min(round(renderer, documents, Profile::Plain, None).microseconds);
        let costs: Vec<f64> = std::thread::scope(|scope| {
            let run = || round(renderer, documents, Profile::Plain, None).microseconds;
            let threads = [scope.spawn(run), scope.spawn(run)];
            threads.map(|thread| thread.join().unwrap()).into()
        });
        both = both.min(costs.iter().sum::<f64>() / 2.0);
    }
    (alone, both)
}

/// In a process of its own: invoices in both families and both weights.
fn memory() {
    let mut bundle = bundle();
    bundle.name = "invoice-biz".into();
    for (file, bytes) in &mut bundle.files {
        if file == "style.css" {
            let text = String::from_utf8_lossy(bytes).replace("Noto Sans JP", "BIZ UDPGothic");
            *bytes = text.into_bytes();
        }
    }
    let renderer = Renderer::bundled().unwrap().with_templates(vec![bundle]).unwrap();
    let mut seed = Seed(7);
    for _ in 0..200 {
        let data = invoice(&mut seed, 12);
        for template in ["invoice", "invoice-biz"] {
            let order = Order { template, ..order(&data, Profile::Plain, None) };
            renderer.render(&order).unwrap();
        }
    }
    println!("{}", memory_max());
}

fn bundle() -> TemplateBundle {
    Renderer::bundles().into_iter().find(|bundle| bundle.name == "invoice").unwrap()
}

/// Writes the documents of the first two cases for other engines: one folder a
/// case with `000.html`, `000.json` and so on beside the stylesheets, our PDF of
/// the first, and the fonts.
fn dump(renderer: &Renderer, dir: &Path) {
    let fonts = dir.join("fonts");
    fs::create_dir_all(&fonts).unwrap();
    for (name, bytes) in font_files() {
        fs::write(fonts.join(name), bytes).unwrap();
    }
    // The fonts are installed for the peers, so that none loads them each time.
    let installed: Vec<&str> =
        FONTS_CSS.lines().filter(|line| !line.starts_with("@font-face")).collect();
    let bundle = bundle();
    let trial = renderer.try_out(&bundle).unwrap();
    for (name, lines, count) in &CASES[..2] {
        let folder = dir.join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("fonts.css"), installed.join("\n")).unwrap();
        for (file, bytes) in bundle.files.iter().filter(|(file, _)| file == "style.css") {
            fs::write(folder.join(file), bytes).unwrap();
        }
        for (number, data) in documents(*lines, *count).iter().enumerate() {
            let html = trial.html(data, Locale::Ja, "請求書").unwrap();
            fs::write(folder.join(format!("{number:03}.html")), html.as_bytes()).unwrap();
            let data = serde_json::to_vec(data).unwrap();
            fs::write(folder.join(format!("{number:03}.json")), data).unwrap();
        }
        let first = documents(*lines, 1);
        let made = renderer.render(&order(&first[0], Profile::Plain, None)).unwrap();
        fs::write(folder.join("kakitome.pdf"), &*made.pdf).unwrap();
    }
}

/// Prints a figure, for a person or as JSON.
struct Table {
    json: bool,
}

impl Table {
    fn say(&self, what: &str, figures: Value, words: &str) {
        if self.json {
            println!("{}", json!({ "what": what, "figures": figures }));
        } else {
            println!("{what:<28} {words}");
        }
    }

    fn cost(&self, what: &str, cost: &Cost) {
        let Cost { microseconds, pages, bytes } = *cost;
        let figures = json!({ "microseconds": microseconds, "pages": pages, "bytes": bytes });
        let rate = 1e6 / microseconds;
        let words = format!(
            "{microseconds:>9.0} us CPU {rate:>6.0} a second {pages:>4} pages {bytes:>8} bytes"
        );
        self.say(what, figures, &words);
    }
}

fn address() -> AddressPage {
    AddressPage {
        postal_code: "530-0001".into(),
        address_lines: vec!["大阪府大阪市北区梅田3-1-3".into()],
        name_lines: vec!["株式会社見本 御中".into()],
        sender_lines: vec!["株式会社かきとめ製作所".into()],
        piece_id: "KT-000042".into(),
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = |name: &str| arguments.iter().any(|argument| argument == name);
    if asked("--memory") {
        return memory();
    }
    let table = Table { json: asked("--json") };
    let before = cpu();
    let renderer = Renderer::bundled().unwrap();
    let start = cpu() - before;
    table.say("start", json!({ "microseconds": start }), &format!("{start:>9.0} us CPU"));
    if let Some(at) = arguments.iter().position(|argument| argument == "--dump") {
        return dump(&renderer, Path::new(&arguments[at + 1]));
    }
    let quick = asked("--quick");
    let profiles: &[(&str, Profile)] = if quick {
        &[("plain", Profile::Plain)]
    } else {
        &[("plain", Profile::Plain), ("archive", Profile::Archive)]
    };
    for (word, profile) in profiles {
        for (name, lines, count) in &CASES[..if quick { 2 } else { CASES.len() }] {
            let documents = documents(*lines, *count);
            table.cost(&format!("{name} {word}"), &measure(&renderer, &documents, *profile, None));
        }
    }
    if quick {
        return;
    }
    let one_page = documents(12, 200);
    let front = measure(&renderer, &one_page, Profile::Plain, Some(&address()));
    table.cost("one-page plain, address page", &front);
    let (alone, both) = two_threads(&renderer, &one_page);
    let more = (both / alone - 1.0) * 100.0;
    let figures = json!({ "alone": alone, "both": both, "percent_more": more });
    let words = format!("{both:>9.0} us CPU, {more:+.1} % against one thread");
    table.say("one-page plain, two threads", figures, &words);
    let own = Command::new(std::env::current_exe().unwrap()).arg("--memory").output().unwrap();
    let most: f64 = String::from_utf8(own.stdout).unwrap().trim().parse().unwrap();
    let words = format!("{most:>9.1} MB at the most, four faces in use");
    table.say("memory", json!({ "megabytes": most }), &words);
}
