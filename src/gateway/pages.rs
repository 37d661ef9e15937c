//! The pages a recipient sees, and the headers every one of them carries.
//!
//! They are plain HTML without script, and everything they load comes from
//! here: one style sheet and one icon, whose names carry a digest of their
//! bytes. A page says no more than its reader has a right to: who has only
//! guessed learns nothing, who holds a dead link learns that it is dead, who
//! has not pressed the button learns neither title nor recipient.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};
use sha2::{Digest, Sha256};

use super::{
    GatewayError,
    brand::{Brand, Logo},
    words::Words,
};
use crate::domain::{ids::TenantId, locale::Locale};

tokio::task_local! {
    /// Whether the page answers a form. Such a page has no address of its own
    /// that could be asked for in another language.
    pub(super) static ANSWERS_A_FORM: bool;
}

const STYLE: &str = include_str!("../../templates/pages/style.css");
const ICON: &str = include_str!("../../templates/pages/seal.svg");

const TEMPLATES: [(&str, &str); 7] = [
    ("layout.html", include_str!("../../templates/pages/layout.html")),
    ("link.html", include_str!("../../templates/pages/link.html")),
    ("viewer.html", include_str!("../../templates/pages/viewer.html")),
    ("challenge.html", include_str!("../../templates/pages/challenge.html")),
    ("not_mine.html", include_str!("../../templates/pages/not_mine.html")),
    ("parts.html", include_str!("../../templates/pages/parts.html")),
    ("notice.html", include_str!("../../templates/pages/notice.html")),
];

/// What every page carries (security.md §1.4).
const HEADERS: [(HeaderName, &str); 9] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
         base-uri 'none'; frame-ancestors 'none'",
    ),
    // With `no-referrer` browsers send `Origin: null`, and no person could
    // press the button.
    (header::REFERRER_POLICY, "strict-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow, noarchive, nosnippet"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "accelerometer=(), autoplay=(), browsing-topics=(), camera=(), display-capture=(), \
         encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), gyroscope=(), hid=(), \
         identity-credentials-get=(), idle-detection=(), local-fonts=(), magnetometer=(), \
         microphone=(), midi=(), otp-credentials=(), payment=(), picture-in-picture=(), \
         publickey-credentials-get=(), screen-wake-lock=(), serial=(), storage-access=(), \
         usb=(), window-management=(), xr-spatial-tracking=()",
    ),
    (header::STRICT_TRANSPORT_SECURITY, "max-age=63072000"),
];

/// Adds the headers of every page, each only where the answer has no own.
pub(super) fn protect(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.entry(name).or_insert_with(|| HeaderValue::from_static(value));
    }
}

/// A page that tells one thing and asks nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notice {
    /// Not a link of ours: misspelt, guessed or unknown, all the same.
    Missing,
    /// A link of ours that opens nothing any more, for whatever reason.
    Gone,
    /// The half hour of an opened document is over; its link may still work.
    Over,
    /// The record could not be written, or a part of us is away.
    Trouble,
    /// The stored document is not what was sealed.
    Broken,
    /// The button was not pressed on a page of ours.
    Refused,
    /// A browser looked ahead.
    Early,
    /// The request has no form we know.
    Wrong,
    /// A request for another site.
    Elsewhere,
    /// Somebody told us that a link was not meant for them.
    Thanks,
}

impl Notice {
    #[cfg(test)]
    const ALL: [Self; 10] = [
        Self::Missing,
        Self::Gone,
        Self::Over,
        Self::Trouble,
        Self::Broken,
        Self::Refused,
        Self::Early,
        Self::Wrong,
        Self::Elsewhere,
        Self::Thanks,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Gone => "gone",
            Self::Over => "over",
            Self::Trouble => "trouble",
            Self::Broken => "broken",
            Self::Refused => "refused",
            Self::Early => "early",
            Self::Wrong => "wrong",
            Self::Elsewhere => "elsewhere",
            Self::Thanks => "thanks",
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Thanks => StatusCode::OK,
            Self::Missing => StatusCode::NOT_FOUND,
            Self::Gone | Self::Over => StatusCode::GONE,
            Self::Trouble | Self::Early => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Refused => StatusCode::FORBIDDEN,
            Self::Wrong => StatusCode::BAD_REQUEST,
            Self::Elsewhere => StatusCode::MISDIRECTED_REQUEST,
        }
    }
}

/// The templates, their words, and the two files they load.
#[derive(Debug)]
pub(super) struct Pages {
    env: Environment<'static>,
    pub(super) words: Words,
    style: Asset,
    icon: Asset,
    faces: BTreeMap<TenantId, Face>,
    ja: Value,
    en: Value,
}

/// What a tenant's brand is served as.
#[derive(Debug)]
struct Face {
    style: Option<Asset>,
    logo: Option<Asset>,
}

/// A file that is served under a name that changes with its bytes.
#[derive(Debug)]
struct Asset {
    path: String,
    media_type: &'static str,
    bytes: Bytes,
}

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, bytes: Bytes) -> Self {
        let digest: String = HEXLOWER.encode(&Sha256::digest(&bytes)).chars().take(16).collect();
        Self { path: format!("/assets/{stem}-{digest}.{extension}"), media_type, bytes }
    }
}

impl Face {
    fn new(brand: &Brand) -> Self {
        let sheet = |text: String| Asset::new("brand", "css", STYLE_TYPE, text.into());
        let picture =
            |logo: &Logo| Asset::new("logo", logo.extension(), logo.media_type(), logo.bytes());
        Self { style: brand.style().map(sheet), logo: brand.logo.as_ref().map(picture) }
    }
}

const STYLE_TYPE: &str = "text/css; charset=utf-8";

impl Pages {
    /// Reads what is built into the program; tenants look like their brands.
    pub(super) fn new(brands: &BTreeMap<TenantId, Brand>) -> Result<Self, GatewayError> {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_auto_escape_callback(|_| AutoEscape::Html);
        for (name, source) in TEMPLATES {
            env.add_template(name, source).map_err(|_| GatewayError::BuiltIn("templates"))?;
        }
        let style = Asset::new("style", "css", STYLE_TYPE, Bytes::from_static(STYLE.as_bytes()));
        let icon = Asset::new("seal", "svg", "image/svg+xml", Bytes::from_static(ICON.as_bytes()));
        let faces = brands.iter().map(|(tenant, brand)| (tenant.clone(), Face::new(brand)));
        let words = Words::built_in()?;
        let frame = |locale| frame(&words, locale, &style, &icon);
        let (ja, en) = (frame(Locale::Ja), frame(Locale::En));
        Ok(Self { env, words, style, icon, faces: faces.collect(), ja, en })
    }

    /// Where a tenant's style sheet and logo are, for a template.
    pub(super) fn brand(&self, tenant: &TenantId) -> Value {
        let face = self.faces.get(tenant);
        let path = |asset: Option<&Asset>| asset.map(|asset| asset.path.clone());
        context! {
            style => path(face.and_then(|face| face.style.as_ref())),
            logo => path(face.and_then(|face| face.logo.as_ref())),
        }
    }

    /// The file at this path, if it is one of ours as it is now.
    pub(super) fn asset(&self, path: &str) -> Option<Response> {
        let faces = self.faces.values();
        let branded = faces.flat_map(|face| face.style.iter().chain(&face.logo));
        let mut assets = [&self.style, &self.icon].into_iter().chain(branded);
        let asset = assets.find(|asset| asset.path == path)?;
        let mut response = Response::new(Body::from(asset.bytes.clone()));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        headers.insert(header::CACHE_CONTROL, forever);
        Some(response)
    }

    /// A page of one notice.
    pub(super) fn notice(&self, notice: Notice, locale: Locale) -> Response {
        self.notice_with(notice, locale, None)
    }

    /// The same, with a number by which its reader can ask for help.
    pub(super) fn notice_with(
        &self,
        notice: Notice,
        locale: Locale,
        support: Option<&str>,
    ) -> Response {
        let good = notice == Notice::Thanks;
        let values = context! { name => notice.name(), good, support };
        let mut response = self.page("notice.html", notice.status(), locale, values);
        if notice == Notice::Trouble {
            let seconds = HeaderValue::from_static("30");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }

    /// Renders a page. What cannot be rendered is an empty 500: half a page
    /// could say too much.
    pub(super) fn page(
        &self,
        template: &str,
        status: StatusCode,
        locale: Locale,
        values: Value,
    ) -> Response {
        let frame = match locale {
            Locale::Ja => &self.ja,
            Locale::En => &self.en,
        };
        // A wrong link's page is the same in every byte, however it was asked
        // for; its address answers so in either language.
        let posted = ANSWERS_A_FORM.try_with(|posted| *posted).unwrap_or(false);
        let fixed = posted
            && status != StatusCode::NOT_FOUND
            && values.get_attr("here").is_ok_and(|here| here.is_undefined());
        let values = context! { ..context! { fixed }, ..values, ..frame.clone() };
        let template_of = self.env.get_template(template);
        let rendered = template_of.and_then(|template| template.render(values));
        let mut response = Response::new(Body::empty());
        if let Ok(html) = rendered {
            *response.body_mut() = Body::from(html);
            *response.status_mut() = status;
        } else {
            tracing::error!(template, "a page could not be rendered");
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        }
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, html);
        let vary = HeaderValue::from_static("accept-language");
        response.headers_mut().insert(header::VARY, vary);
        response
    }
}

/// What every page of a language has, made once; a page's own values win.
fn frame(words: &Words, locale: Locale, style: &Asset, icon: &Asset) -> Value {
    context! {
        here => "",
        brand => context! { style => (), logo => () },
        lang => locale.tag(),
        t => words.of(locale),
        style => &style.path,
        icon => &icon.path,
        switch => [
            context! { tag => "ja", name => "日本語" },
            context! { tag => "en", name => "English" },
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notice_renders_in_both_languages() {
        let pages = Pages::new(&BTreeMap::new()).unwrap();
        for notice in Notice::ALL {
            for locale in [Locale::Ja, Locale::En] {
                let status = pages.notice(notice, locale).status();
                assert_eq!(status, notice.status(), "{notice:?} in {locale:?}");
            }
        }
    }

    #[test]
    fn a_page_loads_nothing_inline_and_nothing_foreign() {
        for (name, source) in TEMPLATES {
            let text = source.to_ascii_lowercase();
            for forbidden in ["<script", " style=", "<style", "http:", "https:", "onclick", "safe"]
            {
                assert!(!text.contains(forbidden), "{name} holds {forbidden}");
            }
        }
        assert!(!STYLE.contains("url("), "the style sheet loads nothing");
    }

    #[test]
    fn assets_are_found_under_their_digest_only() {
        let pages = Pages::new(&BTreeMap::new()).unwrap();
        let style = pages.asset(&pages.style.path).unwrap();
        let caching = style.headers().get(header::CACHE_CONTROL).unwrap();
        assert!(caching.to_str().unwrap().contains("immutable"), "it never changes");
        assert!(pages.asset("/assets/style.css").is_none(), "no other name");
    }
}
