//! What happens to a request before any page is asked: whose house it came to,
//! how large it is, and what every answer carries.
//!
//! Requests for another host are sent away (421): a page served under a name
//! that is not ours is a page somebody else can put into a frame of lies. No
//! path, no query and no header of a request is ever logged here; a counter by
//! route and status is all that is kept.

use std::sync::Arc;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    Inner,
    pages::{self, Notice},
    words::negotiate,
};
use crate::domain::locale::Locale;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SPECULATIVE: [HeaderName; 3] = [
    HeaderName::from_static("sec-purpose"),
    HeaderName::from_static("purpose"),
    HeaderName::from_static("x-moz"),
];

/// The routes that change anything.
const FORMS: [&str; 4] = ["/o", "/c", "/c/new", "/n"];

/// Where our pages live: `https://dl.example.jp`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// Scheme, host and port, as a browser writes it into `Origin`.
    pub(super) origin: String,
    /// Host and port, as a browser writes them into `Host`.
    pub(super) authority: String,
}

impl Site {
    /// Takes `https://host` or `http://host:port` apart; `None` for anything
    /// with a path, a user or another scheme.
    pub(super) fn parse(public_url: &str) -> Option<Self> {
        let uri: Uri = public_url.parse().ok()?;
        let authority = uri.authority()?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let known = matches!(uri.scheme_str()?, "http" | "https");
        if !bare || !known || authority.as_str().contains('@') {
            return None;
        }
        let authority = authority.as_str().to_ascii_lowercase();
        let scheme = uri.scheme_str()?;
        let default = if scheme == "https" { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default).unwrap_or(&authority).to_owned();
        Some(Self { origin: format!("{scheme}://{authority}"), authority })
    }

    /// Whether its pages come over TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// Whether a request is for this site: by `Host`, and by an absolute
    /// request target where there is one.
    fn is_meant(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        let same = |name: &str| name.eq_ignore_ascii_case(&self.authority);
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
        host.to_str().is_ok_and(same) && uri.authority().is_none_or(|name| same(name.as_str()))
    }

    /// Whether a form was sent from a page of this site. Browsers say where
    /// from; a program that says nothing at all is no browser, and cannot be
    /// misused by another site.
    pub(super) fn sent_it(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let site = headers.get(FETCH_SITE).map(HeaderValue::as_bytes);
        match (origins.next(), origins.next(), site) {
            (Some(origin), None, None | Some(b"same-origin")) => {
                origin.as_bytes() == self.origin.as_bytes()
            }
            (None, None, None | Some(b"same-origin")) => true,
            (_, _, _) => false,
        }
    }
}

/// Whether a browser looks ahead without its person having asked.
fn is_speculative(headers: &HeaderMap) -> bool {
    let ahead = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or("prefetch").to_ascii_lowercase();
        ["prefetch", "prerender", "preview"].iter().any(|word| value.contains(word))
    };
    SPECULATIVE.iter().any(|name| headers.get_all(name).iter().any(ahead))
}

/// Bytes of all header names and values.
fn weight(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .fold(0, usize::saturating_add)
}

/// The first and last to see a request.
pub(super) async fn watch(
    State(gateway): State<Arc<Inner>>,
    request: Request,
    next: Next,
) -> Response {
    let route =
        request.extensions().get::<MatchedPath>().map_or("other", |path| route_name(path.as_str()));
    let locale = negotiate(request.uri(), request.headers(), Locale::Ja);
    let mut response = if !gateway.site.is_meant(request.headers(), request.uri()) {
        gateway.pages.notice(Notice::Elsewhere, locale)
    } else if weight(request.headers()) > gateway.limits.header_bytes_max {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response()
    } else if is_speculative(request.headers()) {
        gateway.pages.notice(Notice::Early, locale)
    } else if !has_method(route, request.method()) {
        gateway.pages.notice(Notice::Missing, locale)
    } else {
        let posted = request.method() == Method::POST;
        pages::ANSWERS_A_FORM.scope(posted, next.run(request)).await
    };
    pages::protect(response.headers_mut());
    gateway.parts.meter.answered(route, response.status().as_u16());
    response
}

/// Whether a route has a method. A wrong one is answered like a wrong link, in
/// every byte, and without the list of right ones.
fn has_method(route: &str, method: &Method) -> bool {
    if FORMS.contains(&route) {
        method == Method::POST
    } else {
        [Method::GET, Method::HEAD].contains(method)
    }
}

/// The name of a route for counters: the pattern, never the path.
fn route_name(pattern: &str) -> &'static str {
    match pattern {
        "/d/{token}" => "/d",
        "/o" => "/o",
        "/c/{ticket}" => "/c/page",
        "/c" => "/c",
        "/c/new" => "/c/new",
        "/n/{token}" => "/n/page",
        "/n" => "/n",
        "/thanks" => "/thanks",
        "/v/{session}" => "/v",
        "/v/{session}/file" => "/v/file",
        "/v/{session}/download" => "/v/download",
        "/assets/{name}" => "/assets",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_site_is_a_scheme_and_a_host() {
        let site = Site::parse("https://DL.example.jp:443/").unwrap();
        assert_eq!(site.origin, "https://dl.example.jp", "as browsers write it");
        assert_eq!(
            Site::parse("http://127.0.0.1:8080").unwrap().authority,
            "127.0.0.1:8080",
            "with port"
        );
        for url in ["https://a.jp/x", "ftp://a.jp", "a.jp", "https://u@a.jp", "https://a.jp/?q", ""]
        {
            assert_eq!(Site::parse(url), None, "{url}");
        }
    }

    #[test]
    fn requests_for_other_hosts_are_not_meant_for_us() {
        let site = Site::parse("https://dl.example.jp").unwrap();
        let meant = |host: &str, target: &str| {
            site.is_meant(&headers(&[("host", host)]), &target.parse().unwrap())
        };
        assert!(meant("dl.example.jp", "/d/x") && meant("DL.Example.JP", "/d/x"), "ours");
        assert!(!meant("example.jp", "/") && !meant("dl.example.jp.evil.jp", "/"), "others");
        assert!(!meant("dl.example.jp", "http://evil.jp/"), "an absolute target elsewhere");
        let none = HeaderMap::new();
        assert!(!site.is_meant(&none, &"/".parse().unwrap()), "no host at all");
        let mut two = headers(&[("host", "dl.example.jp")]);
        two.append(header::HOST, "dl.example.jp".parse().unwrap());
        assert!(!site.is_meant(&two, &"/".parse().unwrap()), "two hosts");
    }

    #[test]
    fn a_form_from_another_site_is_seen_through() {
        let site = Site::parse("https://dl.example.jp").unwrap();
        let ours = ("origin", "https://dl.example.jp");
        let same = ("sec-fetch-site", "same-origin");
        for accepted in [&[ours][..], &[ours, same], &[same], &[]] {
            assert!(site.sent_it(&headers(accepted)), "{accepted:?}");
        }
        for refused in [
            &[("origin", "null")][..],
            &[("origin", "null"), same],
            &[("origin", "https://evil.jp")],
            &[("origin", "http://dl.example.jp")],
            &[("origin", "https://dl.example.jp.evil.jp")],
            &[ours, ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "none")],
        ] {
            assert!(!site.sent_it(&headers(refused)), "{refused:?}");
        }
    }

    #[test]
    fn looking_ahead_is_noticed() {
        for ahead in [
            ("sec-purpose", "prefetch;prerender"),
            ("purpose", "Prefetch"),
            ("x-moz", "prefetch"),
            ("purpose", "preview"),
        ] {
            assert!(is_speculative(&headers(&[ahead])), "{ahead:?}");
        }
        assert!(!is_speculative(&headers(&[("purpose", "reading")])), "a person");
    }
}
