use super::*;

const MM: f32 = 72.0 / 25.4;

#[test]
fn comes_first_and_stays_inside_of_the_window() {
    let rendered = letter(&address());
    assert_eq!(rendered.pages, 2, "one page more");
    let pages = text(&rendered.pdf);
    assert!(pages[0].contains("530-0001"), "the postcode: {}", pages[0]);
    assert!(pages[0].contains("御中") && pages[1].contains("請求書"), "in this order");
    for (page, sheet) in pages.iter().zip(["1/2", "2/2"]) {
        assert!(page.contains(&format!("KT-7F3Q-000042{sheet}")), "the piece is on {sheet}");
    }
    let places = places(&rendered.pdf, 1);
    let top = 297.0 * MM - 15.0 * MM;
    let (size, x, y) = places[0];
    assert!(0.733 * size >= 2.4 * MM && 0.733 * size <= 6.0 * MM, "digits are 2.4 to 6 mm high");
    assert!((x - 22.0 * MM).abs() < 0.1 && y + 0.733 * size <= top + 0.1, "at the corner");
    let window = places.iter().filter(|(_, _, y)| *y > 297.0 * MM - 40.0 * MM);
    assert_eq!(window.clone().count(), 5, "postcode, address and name");
    for (size, x, y) in window {
        assert!(*x >= 22.0 * MM - 0.1, "left edge");
        assert!(y - 0.12 * size >= top - 24.0 * MM - 0.1, "lower edge of {size} at {y}");
    }
    let next = places[1];
    assert!(y - (next.2 + 0.88 * next.0) >= 2.0 * MM - 0.1, "2 mm below the postcode");
}

fn letter(front: &AddressPage) -> Rendered {
    let data = sample();
    let order = Order {
        template: "invoice",
        locale: Locale::Ja,
        data: &data,
        title: "",
        address_page: Some(front),
        profile: Profile::Plain,
        attach_data: false,
    };
    RENDERER.render(&order).unwrap()
}

#[test]
fn is_printed_smaller_before_it_is_refused() {
    let sizes = |front: &AddressPage| {
        let rendered = letter(front);
        assert!(rendered.template.starts_with("address-page@"), "{}", rendered.template);
        let window = places(&rendered.pdf, 1);
        let window = window.into_iter().filter(|(_, _, y)| *y > 297.0 * MM - 40.0 * MM);
        window.map(|(size, _, _)| size).collect::<Vec<f32>>()
    };
    let mut front = address();
    let first = sizes(&front);
    assert_eq!((first[0], first[1]), (9.8, 8.5), "the postcode and the address");
    front.name_lines.push("出版編集室 広報担当".into());
    front.address_lines.push("北棟 受付気付".into());
    let small = sizes(&front);
    assert_eq!(small[0].to_bits(), first[0].to_bits(), "the postcode keeps its size");
    assert!(small[1] < first[1] && small[1] > 6.0, "the address does not: {small:?}");
    assert_eq!(small.len(), first.len() + 2, "every line is there");
}

#[test]
fn brings_marks_and_clusters_of_its_own() {
    let mut front = address();
    front.name_lines = vec!["ば\u{3099}\u{309a}ん 葛\u{e0100}城 様".into()];
    let page = &text(&letter(&front).pdf)[0];
    assert!(page.contains("葛\u{e0100}城"), "{page}");
    let alone = adopt(&minimal(&[]), Some(&front)).unwrap();
    assert!(
        alone.template.starts_with("address-page@") && alone.template.ends_with("+pdf"),
        "{}",
        alone.template
    );
    assert_eq!(
        text(&alone.pdf)[0].replace("1/2", ""),
        page.replace("1/2", ""),
        "the same in front of a finished PDF"
    );
}

#[test]
fn of_the_operator_is_checked_like_ours() {
    let mut bundle =
        Renderer::bundles().into_iter().find(|one| one.name == "address-page").unwrap();
    let with = |file: &str, from: &str, to: &str| {
        let mut changed = bundle.clone();
        let (_, bytes) = changed.files.iter_mut().find(|(name, _)| name == file).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(text.contains(from), "{from}");
        *bytes = text.replace(from, to).into_bytes();
        Renderer::bundled().unwrap().with_templates(vec![changed])
    };
    let renderer = with("style.css", "left: 22mm; top: 15mm", "left: 25mm; top: 15mm").unwrap();
    let data = sample();
    let front = address();
    let order = Order {
        template: "invoice",
        locale: Locale::Ja,
        data: &data,
        title: "",
        address_page: Some(&front),
        profile: Profile::Archive,
        attach_data: false,
    };
    let x = places(&renderer.render(&order).unwrap().pdf, 1)[0].1;
    assert!((x - 25.0 * MM).abs() < 0.1, "where the operator wants it: {x}");
    let tight = with("style.css", "height: 24.38mm", "height: 20mm").unwrap_err();
    assert_eq!(tight.code(), "address_too_long", "its own sample does not fit");
    let open = with("style.css", "width: 65mm; height: 24.38mm", "width: 65mm").unwrap_err();
    assert_eq!(open.code(), "template_failed", "{open}");
    bundle.files.push(("logo.svg".into(), b"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"9\" height=\"9\"><path d=\"M0 0h9v9z\"/></svg>".to_vec()));
    let pictured = Renderer::bundled().unwrap().with_templates(vec![bundle]).unwrap_err();
    assert!(pictured.to_string().contains("no pictures"), "{pictured}");
    assert!(!RENDERER.has_template("address-page"), "no job asks for it");
}

#[test]
fn is_refused_where_it_cannot_fit() {
    let mut front = address();
    front.name_lines = vec!["長い名前".repeat(40)];
    let error = adopt(&minimal(&[]), Some(&front)).unwrap_err();
    assert_eq!(error.code(), "address_too_long", "{error}");
    front.postal_code = "5300001".into();
    let error = adopt(&minimal(&[]), Some(&front)).unwrap_err();
    assert_eq!(error.code(), "bad_document_data", "{error}");
}
