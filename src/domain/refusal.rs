//! Every answer that means "nothing was accepted", in one table.
//!
//! A sender learns a code and, where one of our own fields is at fault, its
//! path. Nothing a sender wrote is ever repeated: not a value, not a field name
//! we do not know. docs/ERRORS.md is generated from this table, and a test
//! keeps it so.
//!
//! What happens to a job *after* it was accepted is a [`Reason`], another type:
//! a refusal needs a corrected job, a reason is settled without a new one.
//!
//! [`Reason`]: super::reason::Reason

use std::fmt;

use super::pdf::PdfFlaw;

macro_rules! refusals {
    ($($name:ident $code:literal $status:literal $means:literal $remedy:literal)*) => {
        /// Why a job, or a question about one, was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Refusal {
            $(#[doc = $means] $name,)*
        }

        impl Refusal {
            /// Every refusal, in the order of docs/ERRORS.md.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code a sender sees; part of the public contract.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status that goes with the code.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// What the code means, in one sentence for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $means,)* }
            }

            /// What the sender can do, in one sentence for people.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)* }
            }
        }
    };
}

refusals! {
    TooLarge "too_large" 413
        "The body, or the number of values in it, is above the limit; it was not read to its end."
        "Send less: the limit is 1 MiB and 100,000 JSON values; a larger finished PDF is uploaded first, up to `uploads.bytes_max`."
    WrongType "wrong_type" 415
        "The message type, content type or content encoding is not one we read."
        "Send type `kakitome.send.v1`, content type `application/json` (an upload: `application/pdf`), and no encoding or `hpke`."
    BadSealedBody "bad_sealed_body" 400
        "The body says it is sealed, but does not open with this tenant's key."
        "Fetch the public key again with `kakitome keys public` and seal the job anew."
    BadJson "bad_json" 400
        "The body is not one JSON text in UTF-8 without byte order mark, nested at most 64 deep."
        "Correct the body; `kakitome check-job FILE` tells the same code."
    DupKey "dup_key" 400
        "An object in the body names the same key twice."
        "Send each key once; readers disagree about which one counts."
    UnknownField "unknown_field" 422
        "An object has a field that version 1 does not know; the path names the object."
        "Remove the field; compare with docs/job-v1.schema.json."
    MissingField "missing_field" 422
        "A field that this job needs is absent; the path names it."
        "Add the field: mail needs `recipient.email`, post needs `recipient.address`."
    BadField "bad_field" 422
        "A field has the wrong JSON type, or a form that version 1 does not know."
        "Compare the field with docs/job-v1.schema.json; absent is absent, never null."
    BadText "bad_text" 422
        "A text is empty, too long, or holds control, direction or invisible characters."
        "Clean the text; file names must end in .pdf and must not hold / \\ : * ? \" < > |."
    BadAmount "bad_amount" 422
        "An amount is not a decimal string, or a number in `document.data` is not a whole number of at most 15 digits."
        "Send money as a string such as \"118535\" or \"19.95\"; yen has no decimals."
    BadAddress "bad_address" 422
        "The e-mail address is not exactly one address that can be delivered to, or its domain imitates another."
        "Send the bare address, without name, brackets or blanks."
    BadPostalAddress "bad_postal_address" 422
        "The postal address is not one in Japan with a seven-digit postcode and a prefecture."
        "Correct the address; letters to other countries are not carried yet."
    BadOption "bad_option" 422
        "A setting is out of its bounds: link life, number of opens, passcode, time of sending, or a link on a letter."
        "Keep within 1h to 31d, 1 to 1000 opens, 6 to 64 characters and one year ahead."
    NoTemplate "no_template" 422
        "There is no template of this name for this tenant."
        "Use the name of an installed template; `kakitome templates` lists them."
    BadPdf "bad_pdf" 422
        "The finished document is not a whole, unencrypted, passive PDF file; the reason says which rule it breaks."
        "Export the document again, with its fonts embedded and without encryption, scripts and attachments."
    TypeNotAllowed "type_not_allowed" 422
        "The finished document is a file of another type."
        "Send a PDF; archives and office files are not delivered."
    NoUpload "no_upload" 422
        "This tenant has no such upload: it never was, was deleted, or has expired."
        "Upload the PDF again with `POST /v1/uploads`, and send the job with the new id before the upload expires."
    EvidenceMismatch "evidence_mismatch" 422
        "A value in `evidence` differs from what the document itself says; the path names it."
        "Correct one of the two, or leave the field out: it is taken from the document."
    StampDutyRequired "stamp_duty_required" 422
        "A receipt for 50,000 yen or more needs a revenue stamp on paper, and no print partner can put one on."
        "Send it by mail: no duty is due on what is not on paper. Or state the tax office in `stamp_approved_by`."
    WrongTenant "wrong_tenant" 403
        "The body names another tenant than the one that is logged in."
        "Send with the right account, or leave `tenant` out. The security log has an entry."
    NoTenant "no_tenant" 403
        "The connection does not belong to a tenant, or the message has no validated user id."
        "Let the operator bind the account to a tenant, and set the AMQP `user-id` property."
    ServiceEnded "service_ended" 403
        "The operator has ended this tenant's mail or post and destroyed its key."
        "Nothing more can be sent in this way; ask the operator."
    IdConflict "id_conflict" 409
        "This key was used before with another payload; the earlier job stands."
        "Use a new key for a new delivery; for the same one send the same payload."
    Unauthorized "unauthorized" 401
        "The request carries no valid token."
        "Send `Authorization: Bearer` with a token of this tenant."
    NotFound "not_found" 404
        "This tenant has no such job or upload."
        "Check the id; ids of other tenants are never found."
    TooLate "too_late" 409
        "The job is past the point where this can still be done."
        "A job that has been sent can be recalled, but not cancelled."
    UploadInUse "upload_in_use" 409
        "A job that is not sealed yet needs this upload."
        "Cancel the job first, or leave the upload: it is destroyed when nothing needs it any more."
    TooManyUploads "too_many_uploads" 429
        "The tenant has as many uploads at rest as it may have."
        "Delete uploads that no job will name, or wait until they expire."
    TryLater "try_later" 503
        "We cannot take the job onto our books now; nothing was accepted."
        "Send the same job with the same key again after the time in `Retry-After`."
}

impl Refusal {
    /// The refusal with this code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|refusal| refusal.code() == code)
    }

    /// This refusal, laid at the door of one of our own fields.
    pub const fn at(self, path: &'static str) -> Refused {
        Refused { refusal: self, path: Some(path), flaw: None }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl serde::Serialize for Refusal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// A refusal and, where one field is at fault, the path of that field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Refused {
    /// The code.
    pub refusal: Refusal,
    /// The field at fault, such as `recipient.address.postal_code`: always a
    /// name out of our own contract, never one that the sender chose.
    pub path: Option<&'static str>,
    /// What is wrong with the finished PDF, beside `bad_pdf`.
    pub flaw: Option<PdfFlaw>,
}

impl Refused {
    /// `bad_pdf` with its reason, laid at the door of `document.pdf`.
    pub const fn bad_pdf(flaw: PdfFlaw) -> Self {
        Self { refusal: Refusal::BadPdf, path: Some("document.pdf"), flaw: Some(flaw) }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, path: None, flaw: None }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.refusal.fmt(f)?;
        if let Some(path) = self.path {
            write!(f, " at {path}")?;
        }
        if let Some(flaw) = self.flaw {
            write!(f, " ({flaw})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_come_back() {
        let codes: BTreeSet<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
        assert_eq!(codes.len(), Refusal::ALL.len(), "two refusals share a code");
        for refusal in Refusal::ALL {
            assert_eq!(Refusal::parse(refusal.code()), Some(*refusal), "codes must come back");
            assert!((400..600).contains(&refusal.http_status()), "{refusal} is no refusal");
        }
    }
}
