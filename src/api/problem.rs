//! Every answer that is not what was asked for: RFC 9457 problem JSON.
//!
//! A problem carries a code of docs/ERRORS.md, what it means, what can be done
//! and, where one of our own fields is at fault, its path. Nothing of the
//! request is repeated.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::domain::{
    pdf::PdfFlaw,
    refusal::{Refusal, Refused},
};

/// The media type of RFC 9457.
const PROBLEM_JSON: &str = "application/problem+json";
/// Seconds after which a sender should try again.
const RETRY_SECONDS: &str = "5";

/// The code of a request with a method the path does not have.
pub(super) const WRONG_METHOD: &str = "wrong_method";

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    /// Refused with a code of the table.
    Refused(Refused),
    /// The path exists, the method does not.
    WrongMethod,
}

#[derive(Serialize)]
struct Body {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.into())
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Problem {
    fn body(self) -> Body {
        let (status, code, title, detail, field, flaw) = match self {
            Self::Refused(Refused { refusal, path, flaw }) => {
                let (meaning, remedy) = (refusal.meaning(), refusal.remedy());
                (refusal.http_status(), refusal.code(), meaning, remedy, path, flaw)
            }
            Self::WrongMethod => {
                let title = "The path exists, but not with this method.";
                let detail = "The header `Allow` names the methods; docs/openapi.yaml tells more.";
                (405, WRONG_METHOD, title, detail, None, None)
            }
        };
        let r#type = format!("urn:kakitome:problem:{code}");
        let reason = flaw.map(PdfFlaw::word);
        Body { r#type, title, status, detail, code, field, reason }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = self.body();
        let status = StatusCode::from_u16(body.status).unwrap_or(StatusCode::BAD_REQUEST);
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (status, json).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
        }
        response
    }
}
