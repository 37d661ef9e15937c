//! Why the object storage did not do what it was asked, in words of ours.
//!
//! What a storage answers is a stranger's text: it repeats names, addresses
//! and what was signed. Of it nothing is kept but the error's code, if that
//! looks like one.

use std::{error::Error, fmt};

use object_store::client::{HttpError, HttpErrorKind};

/// Why the object storage did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Nobody answers there.
    #[error("it cannot be reached")]
    Unreachable,
    /// Its certificate is signed by nobody we trust, or is another's.
    #[error("its certificate is not trusted")]
    Certificate,
    /// It took longer than `blobs.timeout`.
    #[error("it does not answer in time")]
    Late,
    /// It went away in the middle.
    #[error("the connection broke off")]
    BrokenOff,
    /// It has no bucket of this name.
    #[error("there is no such bucket")]
    NoBucket,
    /// It does not know the keys, or the signature made with them.
    #[error("it does not accept our keys ({0})")]
    Keys(Code),
    /// The keys are good, but may not do this.
    #[error("our keys may not do this ({0})")]
    Denied(Code),
    /// It says that our clock is wrong.
    #[error("it says that our clock is wrong ({0})")]
    Clock(Code),
    /// It has too much to do.
    #[error("it asks us to come back later ({0})")]
    Busy(Code),
    /// It says no, for another reason.
    #[error("it answers {0}")]
    Answered(Code),
    /// The settings cannot be used at all.
    #[error("the settings are not sound")]
    Settings,
    /// Anything else.
    #[error("it failed in a way that is not known")]
    Unknown,
}

/// What a storage calls an error: its code, or the status of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code(Box<str>);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A code is not longer than this; S3's longest has 54 characters.
const CODE_CHARS_MAX: usize = 64;

impl Trouble {
    pub(super) fn of(error: &object_store::Error) -> Self {
        let text = texts(error);
        if let Some(code) = code_in(&text) {
            return Self::coded(code, error);
        }
        if text.contains("invalid peer certificate") {
            return Self::Certificate;
        }
        if let Some(kind) = http_kind(error) {
            use HttpErrorKind as K;
            // Kinds may be added there.
            return if kind == K::Connect {
                Self::Unreachable
            } else if kind == K::Timeout {
                Self::Late
            } else if [K::Request, K::Interrupted, K::Decode].contains(&kind) {
                Self::BrokenOff
            } else {
                Self::Unknown
            };
        }
        match status_in(&text) {
            Some(status) => Self::coded(status, error),
            None => Self::Unknown,
        }
    }

    fn coded(code: Code, error: &object_store::Error) -> Self {
        match &*code.0 {
            "NoSuchBucket" => Self::NoBucket,
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "ExpiredToken"
            | "AuthorizationHeaderMalformed"
            | "NotSignedUp" => Self::Keys(code),
            "RequestTimeTooSkewed" | "RequestExpired" => Self::Clock(code),
            "SlowDown"
            | "ServiceUnavailable"
            | "TooManyRequests"
            | "RequestLimitExceeded"
            | "OperationAborted"
            | "HTTP 429"
            | "HTTP 503" => Self::Busy(code),
            "AccessDenied" | "AllAccessDisabled" | "HTTP 403" => Self::Denied(code),
            _ if matches!(error, object_store::Error::PermissionDenied { .. }) => {
                Self::Denied(code)
            }
            _ if matches!(error, object_store::Error::Unauthenticated { .. }) => Self::Keys(code),
            _ => Self::Answered(code),
        }
    }

    /// What could be done about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Unreachable => "is it running, is the way open, and is blobs.endpoint right?",
            Self::Certificate => {
                "name its authority in blobs.tls_ca, or its name in blobs.endpoint"
            }
            Self::Late => "is it overloaded, or is blobs.timeout too short for the line?",
            Self::BrokenOff | Self::Busy(_) => "try again; look at the storage if it stays so",
            Self::NoBucket => "make the bucket, or correct blobs.bucket and blobs.endpoint",
            Self::Keys(_) => {
                "check the files of blobs.access_key and blobs.secret_key, and blobs.region"
            }
            Self::Denied(_) => {
                "the keys need s3:PutObject, s3:GetObject and s3:DeleteObject on the bucket's \
                 objects, and s3:ListBucket on the bucket"
            }
            Self::Clock(_) => "set this machine's clock by NTP",
            Self::Answered(_) | Self::Unknown => "look into the storage's own log",
            Self::Settings => "correct blobs.endpoint, blobs.region and blobs.bucket",
        }
    }
}

/// Whether a range was asked for that begins behind the object's end.
pub(super) fn is_range(error: &object_store::Error) -> bool {
    says(error, &["InvalidRange", "HTTP 416"])
}

/// Whether nothing was found because the bucket itself is not there.
pub(super) fn is_bucket(error: &object_store::Error) -> bool {
    says(error, &["NoSuchBucket"])
}

/// Whether the storage does not know what it was asked to do.
pub(super) fn is_unknown_there(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotImplemented { .. })
        || says(error, &["NotImplemented", "HTTP 501"])
}

fn says(error: &object_store::Error, codes: &[&str]) -> bool {
    let text = texts(error);
    code_in(&text).or_else(|| status_in(&text)).is_some_and(|code| codes.contains(&&*code.0))
}

fn texts(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push('\n');
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn http_kind(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

/// The first `<Code>` of an answer in XML.
fn code_in(text: &str) -> Option<Code> {
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let sound = (1..=CODE_CHARS_MAX).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    sound.then(|| Code(code.into()))
}

/// The status of an answer that was not understood.
fn status_in(text: &str) -> Option<Code> {
    let (_, rest) = text.split_once("status code: ")?;
    let status = rest.get(..3)?;
    let sound = status.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| Code(format!("HTTP {status}").into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_short_and_plain() {
        let said = |text: &str| {
            let source = format!("status code: 418 <Error><Code>{text}</Code>").into();
            Trouble::of(&object_store::Error::Generic { store: "S3", source })
        };
        let code = |text: &str| Code(text.into());
        assert_eq!(said("SlowDown"), Trouble::Busy(code("SlowDown")), "S3's words");
        for text in ["", "a b", "<x>", &"x".repeat(65), "名前"] {
            assert_eq!(said(text), Trouble::Answered(code("HTTP 418")), "{text:?} is none");
        }
    }
}
