use super::*;

const MM: f32 = 72.0 / 25.4;

#[test]
fn comes_first_and_stays_inside_of_the_window() {
    let data = sample();
    let front = address();
    let order = Order {
        template: "invoice",
        locale: Locale::Ja,
        data: &data,
        title: "",
        address_page: Some(&front),
        profile: Profile::Plain,
        attach_data: false,
    };
    let rendered = RENDERER.render(&order).unwrap();
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
