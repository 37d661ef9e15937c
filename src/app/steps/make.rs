//! From a checked job to its PDF: a template is rendered, a finished PDF taken
//! over; for a letter the address page goes in front.

use super::{
    brought::{self, Brought},
    press::Fault,
};
use crate::{
    app::office::{Delivery, Office},
    dispatch::postal::PieceId,
    domain::{
        checked::CheckedJob,
        job::{Channel, Document},
        pdf::PdfFlaw,
        reason::Reason,
    },
    render::{AddressPage, Order, RenderError, Rendered},
};

/// Makes the PDF of a job; `brought` is the sender's own, where there is one.
pub(super) fn render(
    office: &Office,
    checked: &CheckedJob,
    brought: Option<Brought>,
    address_page: Option<&AddressPage>,
) -> Result<Rendered, Fault> {
    let rendered = match (&checked.document, brought) {
        (Document::Template { template, data, profile, attach_data, .. }, _) => {
            let title = checked.filename.strip_suffix(".pdf").unwrap_or(&checked.filename);
            let data = serde_json::Value::Object(data.clone());
            office.press.render(&Order {
                template,
                locale: checked.recipient.locale,
                data: &data,
                title,
                address_page,
                profile: profile.unwrap_or_default(),
                attach_data: attach_data.unwrap_or_default(),
            })
        }
        (Document::Pdf { .. } | Document::Upload { .. }, Some(Brought { pdf, facts })) => {
            office.press.adopt(pdf, facts, address_page)
        }
        (Document::Pdf { .. } | Document::Upload { .. }, None) => {
            return Err(brought::unusable(PdfFlaw::NotPdf));
        }
    };
    rendered.map_err(|error| {
        if let RenderError::BadPdf(flaw) = error {
            return brought::unusable(flaw);
        }
        let reason = Reason::ALL.iter().copied().find(|reason| reason.code() == error.code());
        Fault::Park(reason.unwrap_or(Reason::TemplateFailed), error.to_string())
    })
}

/// What shows through the window of a letter; nothing for mail.
pub(super) fn address_page(
    office: &Office,
    delivery: &Delivery,
    checked: &CheckedJob,
) -> Option<AddressPage> {
    if delivery.channel != Channel::Post {
        return None;
    }
    let address = checked.recipient.address.as_ref()?;
    let sender =
        office.config.post.as_ref().map_or_else(Vec::new, |post| post.sender_lines.clone());
    Some(AddressPage {
        postal_code: address.postal_code.to_string(),
        address_lines: address.lines(),
        name_lines: crate::domain::postal_address::addressee(
            &checked.recipient.name,
            checked.recipient.person.as_deref(),
        ),
        sender_lines: sender,
        piece_id: PieceId::of(delivery.job).as_str().to_owned(),
    })
}
