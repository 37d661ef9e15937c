//! The templates that are built into the program.

use super::{Renderer, TemplateBundle};

macro_rules! bundled {
    ($($name:literal: $($file:literal),+;)*) => {
        [$(TemplateBundle {
            name: $name.to_owned(),
            files: vec![$((
                $file.to_owned(),
                include_str!(concat!("../../templates/documents/", $name, "/", $file))
                    .as_bytes()
                    .to_vec(),
            )),+],
        }),*]
    };
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
