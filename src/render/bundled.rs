//! The templates that are built into the program.

use super::{Renderer, TemplateBundle, parts::FROM_SHARED};

macro_rules! files {
    ($folder:literal: $($file:literal),+) => {
        [$((
            $file,
            include_str!(concat!("../../templates/documents/", $folder, "/", $file)),
        )),+]
    };
}

macro_rules! bundled {
    ($($name:literal: $($file:literal),+;)*) => {
        [$(bundle($name, &files!($name: $($file),+))),*]
    };
}

/// The parts that they share; each is handed all of them.
const PARTS: &[(&str, &str)] = &files!("parts": "addressee.html", "bank.html", "contact.html",
    "house.css", "letterhead.css", "letterhead.html", "lines.html", "paid-by.html",
    "supplier.html", "taxes.html");

fn bundle(name: &str, own: &[(&str, &str)]) -> TemplateBundle {
    let own = own.iter().map(|(file, text)| ((*file).to_owned(), text.as_bytes().to_vec()));
    let shared =
        PARTS.iter().map(|(file, text)| (format!("{FROM_SHARED}{file}"), text.as_bytes().to_vec()));
    TemplateBundle { name: name.to_owned(), files: own.chain(shared).collect() }
}

impl Renderer {
    /// The files of the bundled templates, which are a start for one's own.
    pub fn bundles() -> Vec<TemplateBundle> {
        Vec::from(bundled! {
            "address-page": "template.html", "style.css", "data.schema.json", "sample.json", "sample.small.json";
            "delivery-note": "template.html", "style.css", "data.schema.json", "sample.json", "sample.bare.json", "sample.en.json";
            "dunning-letter": "template.html", "style.css", "data.schema.json", "sample.json", "sample.en.json", "sample.final.json", "sample.second.json";
            "invoice": "template.html", "style.css", "data.schema.json", "sample.json", "sample.en.json", "sample.eur.json", "sample.long.json", "sample.usd.json";
            "letter": "template.html", "style.css", "data.schema.json", "sample.json", "sample.en.json";
            "payment-notice": "template.html", "style.css", "data.schema.json", "sample.json", "sample.en.json";
            "quotation": "template.html", "style.css", "data.schema.json", "sample.json", "sample.en.json";
            "receipt": "template.html", "style.css", "data.schema.json", "sample.json", "sample.en.json", "sample.paper.json";
            "return-invoice": "template.html", "style.css", "data.schema.json", "sample.json", "sample.en.json";
            "simplified-invoice": "template.html", "style.css", "data.schema.json", "sample.json", "sample.en.json";
        })
    }
}
