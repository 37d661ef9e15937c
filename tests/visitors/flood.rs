//! Millions of requests that are not for us: nothing breaks, nothing grows, and the
//! database is never asked.

use std::net::SocketAddr;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{Method, Request, StatusCode, header},
};
use kakitome::gateway;
use tower::ServiceExt as _;

use crate::{house::House, letters::Order, on_both};

on_both! {
    bad_tags_never_reach_the_database
    what_is_missing_is_missing_in_every_byte
}

/// Requests of an ordinary run; ten million of a long one.
fn count() -> usize {
    #[expect(clippy::disallowed_methods, reason = "a test's setting")]
    let long = std::env::var_os("KAKITOME_TEST_LONG").is_some();
    if long { 10_000_000 } else { 20_000 }
}

/// The same numbers in every run.
struct Seed(u64);

impl Seed {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(alphabet[self.below(alphabet.len())])).collect()
    }
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const ODD: &[u8] = b"%./;:@!$&'()*+,=~0123456789abcdefABCDEF-_";

/// A path that is not a link of ours, made from one that is.
fn path(seed: &mut Seed, token: &str) -> String {
    match seed.below(8) {
        0 => format!("/d/{}", seed.text(BASE64, token.len())),
        1 => {
            let mut letters = token.as_bytes().to_vec();
            let at = seed.below(letters.len());
            let other = BASE64[seed.below(BASE64.len())];
            letters[at] = if letters[at] == other { b'~' } else { other };
            format!("/d/{}", String::from_utf8(letters).unwrap())
        }
        2 => format!("/d/{}", &token[..seed.below(token.len())]),
        3 => format!("/d/{token}{}", seed.text(BASE64, 1)),
        4 => format!("/d/{}", token.to_ascii_lowercase()),
        5 => {
            let length = seed.below(64);
            format!("/v/{}", seed.text(BASE64, length))
        }
        6 => {
            let length = seed.below(4_000);
            format!("/d/{}", seed.text(ODD, length))
        }
        _ => {
            let length = seed.below(40);
            format!("/{}", seed.text(ODD, length))
        }
    }
}

fn request(seed: &mut Seed, house: &House, token: &str) -> Option<Request<Body>> {
    let host = house.url.strip_prefix("http://").unwrap();
    let methods =
        [Method::GET, Method::GET, Method::GET, Method::HEAD, Method::PUT, Method::DELETE];
    let number = seed.next();
    let peer = SocketAddr::from(([203, (number >> 16) as u8, (number >> 8) as u8, 7], 4711));
    let builder = if seed.below(10) == 0 {
        let body = format!("token={}&nonce={}", seed.text(BASE64, 48), seed.text(BASE64, 30));
        Request::post("/o")
            .header(header::ORIGIN, &house.url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
    } else {
        let method = methods[seed.below(methods.len())].clone();
        Request::builder().method(method).uri(path(seed, token)).body(String::new())
    };
    // What is no request at all is refused before us.
    let mut request = builder.ok()?.map(Body::from);
    request.headers_mut().insert(header::HOST, host.parse().unwrap());
    request.extensions_mut().insert(ConnectInfo(peer));
    Some(request)
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn bad_tags_never_reach_the_database(house: House) {
    let delivery = house.deliver(Order::default()).await;
    // One genuine answer, so that every key is at hand.
    assert_eq!(house.get(&format!("/d/{}", delivery.token)).await.status(), 200, "it lives");
    house.gateway.flush().await.unwrap();
    let router: Router = gateway::router(house.gateway.clone());
    let mut seed = Seed(0x5eed);
    // From here on whoever asks the database gets 503.
    house.breaker.at(Some("read"));
    let (mut before, warm) = (0, count() / 4);
    for number in 0..count() {
        if number == warm {
            before = resident();
        }
        let Some(request) = request(&mut seed, &house, &delivery.token) else { continue };
        let said = format!("{} {}", request.method(), request.uri());
        let status = router.clone().oneshot(request).await.unwrap().status();
        let fine = matches!(
            status,
            StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS | StatusCode::URI_TOO_LONG
        );
        assert!(fine, "request {number} got {status}: {said}");
        house.ear.answers.lock().unwrap().clear();
    }
    house.breaker.at(None);
    let grown = resident().saturating_sub(before);
    assert!(grown < 48 << 10, "{grown} KiB more after {} requests", count());
    let alive = house.get(&format!("/d/{}", delivery.token)).await;
    assert_eq!(alive.status(), 200, "and the genuine link opens");
}

async fn what_is_missing_is_missing_in_every_byte(house: House) {
    let delivery = house.deliver(Order::default()).await;
    let router: Router = gateway::router(house.gateway.clone());
    let host = house.url.strip_prefix("http://").unwrap();
    let mut pages = std::collections::BTreeSet::new();
    let mut seed = Seed(7);
    for number in 0..400_u32 {
        let path = path(&mut seed, &delivery.token);
        let [_, _, a, b] = number.to_be_bytes();
        let request = Request::get(&path)
            .header(header::HOST, host)
            .extension(ConnectInfo(SocketAddr::from(([198, a, b, 1], 4711))));
        let Ok(request) = request.body(Body::empty()) else { continue };
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
        let mut headers: Vec<String> =
            answer.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        headers.sort();
        let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        pages.insert((headers, body));
    }
    assert_eq!(pages.len(), 1, "one page for all that is not a link of ours");
}
