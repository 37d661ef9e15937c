use axum::{body::Body, http::Request};
use tower::ServiceExt;

use super::*;

const HTML_MAIL: &str = "From: =?utf-8?b?5bGx55Sw?= <a@example.jp>\r\nTo: b@example.jp\r\n\
    Subject: <b>hi</b>\r\nMessage-ID: <1.1@example.jp>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/alternative; boundary=x\r\n\r\n\
    --x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nOpen https://send.example.jp/d/AbC-_9 now.\r\n\
    --x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Open <a href=\"https://send.example.jp/d/AbC-_9\">it</a></p><script>x()</script>\r\n\
    --x--\r\n";

fn catcher() -> Catcher {
    let catcher = Catcher::new(CatcherSettings::default(), clock());
    catcher.keep(
        "s@example.jp".to_owned(),
        vec!["b@example.jp".to_owned()],
        Zeroizing::new(HTML_MAIL.as_bytes().to_vec()),
    );
    catcher
}

async fn get(catcher: &Catcher, base: &str, path: &str) -> (u16, axum::http::HeaderMap, String) {
    answer(catcher.router(base), path).await
}

async fn answer(office: axum::Router, path: &str) -> (u16, axum::http::HeaderMap, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = office.oneshot(request).await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let body = axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
    (status, headers, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_pages_show_mails_and_run_nothing_of_them() {
    let catcher = catcher();
    let (status, headers, list) = get(&catcher, "/mail", "/").await;
    assert_eq!(status, 200);
    assert!(list.contains("href=\"/mail/mails/1\""), "links keep the base: {list}");
    assert!(list.contains("&lt;b&gt;hi") && !list.contains("<b>hi"), "subjects are escaped");
    assert!(headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));

    let (status, _, page) = get(&catcher, "", "/mails/1").await;
    assert_eq!(status, 200);
    let page = page.replace("&#x2f;", "/");
    assert!(page.contains("<a href=\"https://send.example.jp/d/AbC-_9\""), "links can be opened");
    assert!(page.contains("sandbox=\"allow-popups allow-popups-to-escape-sandbox\""), "{page}");
    assert!(page.contains("山田"), "names are decoded");

    let (status, headers, html) = get(&catcher, "", "/mails/1/html").await;
    assert_eq!(status, 200);
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("sandbox") && !policy.contains("allow-scripts"), "{policy}");
    assert!(html.starts_with("<base target=\"_blank\">"), "its links open outside the frame");
}

#[tokio::test]
async fn every_link_of_our_own_leads_somewhere_wherever_we_are_nested() {
    let catcher = catcher();
    for _ in 0..60 {
        catcher.keep(String::new(), vec![String::new()], Zeroizing::new(b"\r\n".to_vec()));
    }
    for base in ["", "/mail"] {
        let office = match base {
            "" => catcher.router(base),
            base => axum::Router::new().nest(base, catcher.router(base)),
        };
        for start in [base.to_owned(), format!("{base}/mails/1")] {
            let start = if start.is_empty() { "/".to_owned() } else { start };
            let page = answer(office.clone(), &start).await.2.replace("&#x2f;", "/");
            let links = page.split('"').filter(|word| word.starts_with('/'));
            let links: Vec<&str> = links.collect();
            assert!(links.len() >= 4, "{links:?}");
            for link in links {
                assert_eq!(answer(office.clone(), link).await.0, 200, "{link} on {start}");
            }
        }
    }
}

#[tokio::test]
async fn the_interface_tells_what_the_pages_show() {
    let catcher = catcher();
    let (_, _, list) = get(&catcher, "", "/api/mails").await;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["caught"], 1);
    assert_eq!(list["mails"][0]["subject"], "<b>hi</b>");
    assert_eq!(list["mails"][0]["envelope_to"][0], "b@example.jp");
    let (_, _, mail) = get(&catcher, "", "/api/mails/1").await;
    let mail: serde_json::Value = serde_json::from_str(&mail).unwrap();
    assert_eq!(mail["links"][0], "https://send.example.jp/d/AbC-_9");
    assert_eq!(mail["from"], "山田 <a@example.jp>");
    let (_, headers, raw) = get(&catcher, "", "/api/mails/1/raw").await;
    assert_eq!(raw, HTML_MAIL, "the bytes as they came");
    assert_eq!(headers["content-type"], "message/rfc822");
    for path in ["/mails/2", "/mails/2/html", "/api/mails/2", "/api/mails/2/raw"] {
        assert_eq!(get(&catcher, "", path).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn the_list_is_turned_page_by_page() {
    let catcher = Catcher::new(CatcherSettings::default(), clock());
    for _ in 0..120 {
        catcher.keep(String::new(), vec![String::new()], Zeroizing::new(b"\r\n".to_vec()));
    }
    let (mut path, mut numbers) = ("/api/mails".to_owned(), Vec::new());
    loop {
        let (_, _, list) = get(&catcher, "", &path).await;
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        let mails = list["mails"].as_array().unwrap();
        numbers.extend(mails.iter().map(|mail| mail["number"].as_u64().unwrap()));
        let Some(older) = list["older"].as_u64() else { break };
        path = format!("/api/mails?before={older}");
    }
    assert_eq!(numbers, (1..=120).rev().collect::<Vec<u64>>(), "every mail once, newest first");
}

#[test]
fn the_oldest_mails_go_first() {
    let settings = CatcherSettings { mails_max: 3, memory_bytes_max: 10, ..Default::default() };
    let catcher = Catcher::new(settings, clock());
    let keep = |bytes: &[u8]| {
        catcher.keep(String::new(), Vec::new(), Zeroizing::new(bytes.to_vec()));
        catcher.mails().iter().map(|mail| mail.number).collect::<Vec<_>>()
    };
    keep(b"1");
    keep(b"2");
    keep(b"3");
    assert_eq!(keep(b"4"), [4, 3, 2], "three at most");
    assert_eq!(keep(b"55555555"), [5, 4, 3], "ten bytes at most");
    assert_eq!(keep(b"666"), [6], "they go one by one");
    assert_eq!(keep(&[7; 99]), [7], "the newest always stays");
}

#[test]
fn odd_bytes_make_a_page_too() {
    for bytes in [
        &b""[..],
        b"\r\n",
        b"\xff\xfe",
        b"Subject: =?utf-8?b?!?=\r\nContent-Type: multipart/x; boundary=\r\n\r\n--\r\n",
    ] {
        let mail = CaughtMail {
            number: 1,
            received_at: DateTime::UNIX_EPOCH,
            envelope_from: String::new(),
            envelope_to: Vec::new(),
            bytes: Zeroizing::new(bytes.to_vec()),
        };
        let page = super::super::view::Page::of(&mail);
        assert!(page.links.is_empty(), "nothing to open");
    }
}
