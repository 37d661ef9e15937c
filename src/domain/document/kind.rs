//! The kinds of documents, by the names of their templates.

/// A kind of document that Kakitome knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 適格請求書, the qualified invoice; without a registration number a plain one.
    Invoice,
    /// 適格簡易請求書, which names no recipient.
    SimplifiedInvoice,
    /// 適格返還請求書, for goods returned and rebates.
    ReturnInvoice,
    /// 領収書.
    Receipt,
    /// 見積書.
    Quotation,
    /// 納品書.
    DeliveryNote,
    /// 仕入明細書, which the buyer writes in the place of an invoice.
    PaymentNotice,
    /// A letter without rules.
    Letter,
    /// 督促状.
    DunningLetter,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Invoice,
        Self::SimplifiedInvoice,
        Self::ReturnInvoice,
        Self::Receipt,
        Self::Quotation,
        Self::DeliveryNote,
        Self::PaymentNotice,
        Self::Letter,
        Self::DunningLetter,
    ];

    /// The name of the bundled template, and the beginning of the names of others.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Invoice => "invoice",
            Self::SimplifiedInvoice => "simplified-invoice",
            Self::ReturnInvoice => "return-invoice",
            Self::Receipt => "receipt",
            Self::Quotation => "quotation",
            Self::DeliveryNote => "delivery-note",
            Self::PaymentNotice => "payment-notice",
            Self::Letter => "letter",
            Self::DunningLetter => "dunning-letter",
        }
    }

    /// Whether data of this kind are held to rules, which compute what is printed.
    pub const fn has_rules(self) -> bool {
        !matches!(self, Self::Letter)
    }

    /// The kind of a template: its name is the kind's, or begins with it and a
    /// hyphen. The longest fit wins; most names fit none.
    pub fn of(template: &str) -> Option<Self> {
        let fits = |kind: &Self| {
            template
                .strip_prefix(kind.word())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        Self::ALL.into_iter().filter(fits).max_by_key(|kind| kind.word().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_of_the_kind_that_its_name_begins_with() {
        for (name, kind) in [
            ("invoice", Some(Kind::Invoice)),
            ("invoice-acme", Some(Kind::Invoice)),
            ("invoices", None),
            ("acme-invoice", None),
            ("return-invoice", Some(Kind::ReturnInvoice)),
            ("return-invoice-2", Some(Kind::ReturnInvoice)),
            ("receipt-small", Some(Kind::Receipt)),
            ("letter", Some(Kind::Letter)),
            ("dunning-letter-final", Some(Kind::DunningLetter)),
            ("dunning", None),
            ("", None),
        ] {
            assert_eq!(Kind::of(name), kind, "{name}");
        }
        for kind in Kind::ALL {
            assert_eq!(Kind::of(kind.word()), Some(kind), "{kind:?} is found by its own name");
        }
    }
}
