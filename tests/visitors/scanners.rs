//! Programs that get hold of a link: mail gateways, previews, crawlers, and
//! what presses buttons. Each is a line of [`ROBOTS`]: what it says of itself
//! and what it does. None opens a link with a second factor, or uses up a try
//! of one; a plain link is opened by a press alone, exactly once a press, and
//! the log says on what grounds it may have been a program.

use kakitome::domain::log::{Fact, Kind, Leaf};
use reqwest::Method;

use crate::{
    house::House,
    letters::{Delivery, Factor, Order},
    on_both,
};

on_both! {
    no_robot_opens_but_by_pressing
    no_robot_touches_a_second_factor
}

/// What a robot does with a link, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// Fetches the page.
    Get,
    /// Asks for its headers.
    Head,
    /// Looks ahead, as browsers and proxies do.
    Ahead(&'static str, &'static str),
    /// Tries another method.
    Method(&'static str),
    /// Fetches everything that the page names.
    Follow,
    /// Sends the form as a browser does.
    Press,
    /// Sends the form, and says nothing of where from.
    PressBare,
    /// Sends the form from another site.
    PressCross,
    /// Sends the form without its nonce.
    PressBlind,
    /// Sends a form of its own making to every address that takes one.
    Spray,
}
use Act::{Ahead, Follow, Get, Head, Press, PressBare, PressBlind, PressCross, Spray};

struct Robot {
    name: &'static str,
    agent: Option<&'static str>,
    /// Whether it sends what browsers send.
    sec_fetch: bool,
    /// Seconds after the relay took the mail.
    after: i64,
    acts: &'static [Act],
    /// How often it opens a plain link.
    opens: i64,
    /// A label of its fetch or its press.
    label: Option<&'static str>,
}

const EDGE: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like \
                    Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0";
const HEADLESS: &str = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                        HeadlessChrome/142.0.0.0 Safari/537.36";

macro_rules! robots {
    ($($name:literal $agent:expr, $sec:literal, $after:literal, [$($act:expr),*], $opens:literal, $label:expr;)*) => {
        const ROBOTS: &[Robot] = &[$(Robot {
            name: $name, agent: $agent, sec_fetch: $sec, after: $after,
            acts: &[$($act),*], opens: $opens, label: $label,
        },)*];
    };
}
robots! {
    "gateway that fetches" Some("curl/8.5.0"), false, 5, [Get], 0, Some("known_program");
    "gateway without a name" None, false, 2, [Get], 0, Some("known_program");
    "gateway in a browser's clothes" Some(EDGE), false, 4, [Get], 0, Some("early no_sec_fetch");
    "gateway that asks for headers" Some("Mozilla/5.0 Barracuda Sentinel"), false, 3, [Head], 0, Some("head");
    "headers first, then the page" Some("python-requests/2.32"), false, 8, [Head, Get], 0, Some("known_program");
    "burst of a sandbox" Some(EDGE), false, 9, [Get, Get, Get, Get, Get, Get], 0, Some("burst");
    "real browser that renders" Some(HEADLESS), true, 22, [Get, Follow], 0, Some("known_program");
    "crawler that follows all links" Some("Mozilla/5.0 (compatible; LinkScanner/2.1)"), false, 700, [Get, Follow], 0, Some("known_program");
    "Chromium looks ahead" Some(EDGE), true, 90, [Ahead("sec-purpose", "prefetch;prerender")], 0, None;
    "old Firefox looks ahead" Some(EDGE), false, 90, [Ahead("x-moz", "prefetch")], 0, None;
    "proxy looks ahead" Some(EDGE), false, 90, [Ahead("purpose", "prefetch"), Get], 0, Some("no_sec_fetch");
    "Safari's preview" Some(EDGE), false, 90, [Ahead("purpose", "preview")], 0, None;
    "Slack's preview" Some("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"), false, 3_000, [Get], 0, Some("known_program");
    "Teams' preview" Some("Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5"), false, 3_000, [Get], 0, Some("known_program");
    "LINE's preview" Some("facebookexternalhit/1.1;line-poker/1.0"), false, 3_000, [Get, Get], 0, Some("known_program");
    "WhatsApp's preview" Some("WhatsApp/2.23.20.0 A"), false, 3_000, [Get], 0, Some("known_program");
    "search engine" Some("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"), false, 9_000, [Get, Follow], 0, Some("known_program");
    "tries other methods" Some("Go-http-client/2.0"), false, 30, [Act::Method("PUT"), Act::Method("DELETE"), Act::Method("OPTIONS"), Act::Method("PROPFIND"), Act::Method("POST")], 0, None;
    "form filler without a nonce" Some("okhttp/4.12"), false, 30, [Get, PressBlind], 0, Some("known_program");
    "sprays forms" Some("python-httpx/0.27"), false, 30, [Get, Spray], 0, Some("known_program");
    "form sent by another site" Some(EDGE), true, 200, [Get, PressCross], 0, None;
    "auto-submit without an origin" Some("Java/17.0.9"), false, 25, [Get, PressBare], 1, Some("early known_program no_sec_fetch");
    "clicker in a browser" Some(EDGE), true, 12, [Get, Press], 1, Some("early");
    "headless clicker" Some(HEADLESS), true, 2_000, [Get, Follow, Press], 1, Some("known_program");
    "clicker that cannot stop" Some(HEADLESS), true, 15, [Get, Press, Press, Press], 3, Some("early known_program");
}

impl Robot {
    fn dressed(&self, request: reqwest::RequestBuilder, site: &str) -> reqwest::RequestBuilder {
        let mut request = request;
        if let Some(agent) = self.agent {
            request = request.header("user-agent", agent);
        }
        if self.sec_fetch {
            request = request.header("sec-fetch-site", site).header("sec-fetch-mode", "navigate");
        }
        request
    }

    async fn visit(&self, house: &House, delivery: &Delivery) {
        let link = format!("{}/d/{}", house.url, delivery.token);
        let mut page = String::new();
        for act in self.acts {
            match act {
                Get => {
                    let got = self.dressed(house.client.get(&link), "none").send().await.unwrap();
                    page = got.text().await.unwrap();
                }
                Head => drop(self.dressed(house.client.head(&link), "none").send().await.unwrap()),
                Ahead(name, value) => {
                    let request = self.dressed(house.client.get(&link), "none");
                    let answer = request.header(*name, *value).send().await.unwrap();
                    assert_eq!(answer.status(), 503, "{}: nobody asked for that", self.name);
                }
                Act::Method(method) => {
                    let method = Method::from_bytes(method.as_bytes()).unwrap();
                    let answer = house.client.request(method, &link).send().await.unwrap();
                    assert_eq!(answer.status(), 404, "{}: no such method", self.name);
                }
                Follow => self.follow(house, &page).await,
                Press | PressBare | PressCross | PressBlind | Spray => {
                    self.send(house, delivery, &page, *act).await;
                }
            }
        }
    }

    /// Fetches every address that the page names.
    async fn follow(&self, house: &House, page: &str) {
        let page = page.replace("&#x2f;", "/").replace("&#x3f;", "?");
        for place in page.split("href=\"").chain(page.split("src=\"")).skip(1) {
            let place = place.split('"').next().unwrap();
            if place.starts_with('/') {
                let url = format!("{}{place}", house.url);
                drop(self.dressed(house.client.get(url), "same-origin").send().await.unwrap());
            }
        }
    }

    async fn send(&self, house: &House, delivery: &Delivery, page: &str, act: Act) {
        let nonce = page.split("name=\"nonce\" value=\"").nth(1).unwrap();
        let nonce = nonce.split('"').next().unwrap();
        let nonce = if act == PressBlind { "" } else { nonce };
        let body = format!("token={}&nonce={nonce}&lang=en", delivery.token);
        let places: &[&str] = if act == Spray { &["/o", "/c", "/c/new", "/n"] } else { &["/o"] };
        for place in places {
            let body = if act == Spray {
                format!("token={}&ticket={nonce}&answer=12345678&nonce=&q=1", delivery.token)
            } else {
                body.clone()
            };
            let form = "application/x-www-form-urlencoded";
            let request = house.client.post(format!("{}{place}", house.url)).body(body);
            let site = if act == PressCross { "cross-site" } else { "same-origin" };
            let mut request = self.dressed(request, site).header("content-type", form);
            if act == PressCross {
                request = request.header("origin", "https://evil.example");
            } else if act == Press {
                request = request.header("origin", &house.url);
            }
            drop(request.send().await.unwrap());
        }
    }
}

/// The labels of a delivery's events of some kinds.
async fn labels(house: &House, delivery: &Delivery) -> Vec<(Kind, String)> {
    let kinds = [Kind::PageFetched, Kind::Opened, Kind::CodeDrawn];
    let mut found = Vec::new();
    for event in house.log(delivery).await {
        let leaf = Leaf::decode(&event.row.leaf).unwrap();
        let label = leaf.facts.into_iter().find(|(name, _)| name == "labels");
        if let (true, Some((_, Fact::Text(words)))) = (kinds.contains(&event.row.kind), label) {
            found.push((event.row.kind, words));
        }
    }
    found
}

async fn no_robot_opens_but_by_pressing(house: House) {
    assert!(ROBOTS.len() >= 20, "{} robots", ROBOTS.len());
    for robot in ROBOTS {
        let delivery = house.deliver(Order::default()).await;
        house.clock.advance(chrono::TimeDelta::seconds(robot.after));
        robot.visit(&house, &delivery).await;
        house.gateway.flush().await.unwrap();
        let name = robot.name;
        assert_eq!(house.link(&delivery).await.opens, robot.opens, "{name}: opens");
        let said = house.said(&delivery, Kind::Opened).await;
        assert_eq!(i64::try_from(said).unwrap(), robot.opens, "{name}: on record");
        let labels = labels(&house, &delivery).await;
        if let Some(label) = robot.label {
            let has = |words: &String| label.split(' ').all(|one| words.contains(one));
            assert!(labels.iter().any(|(_, words)| has(words)), "{name}: {labels:?}");
            let pressed: Vec<_> = labels.iter().filter(|(kind, _)| *kind == Kind::Opened).collect();
            assert_eq!(i64::try_from(pressed.len()).unwrap(), robot.opens, "{name}: each labelled");
        }
        // A person comes later, and finds the link as it was.
        house.clock.advance(chrono::TimeDelta::hours(1));
        assert!(house.open(&delivery).await.starts_with("/v/"), "{name}: the person's turn");
    }
}

async fn no_robot_touches_a_second_factor(house: House) {
    for (number, factor) in [Factor::Code, Factor::Passcode("さくら123")].into_iter().enumerate()
    {
        for robot in ROBOTS {
            let order = Order { factor: Some(factor), ..Order::default() };
            let delivery = house.deliver(order).await;
            house.clock.advance(chrono::TimeDelta::seconds(robot.after));
            robot.visit(&house, &delivery).await;
            house.gateway.flush().await.unwrap();
            let name = robot.name;
            assert_eq!(house.link(&delivery).await.opens, 0, "{name}: nothing is opened");
            assert_eq!(house.factor(&delivery).await.tries, 0, "{name}: nothing was tried");
            let drawn = house.said(&delivery, Kind::CodeDrawn).await;
            let most = usize::from(number == 0 && robot.opens > 0);
            assert_eq!(drawn, most, "{name}: a press draws one code, and no more");
            // The person's link is alive.
            house.clock.advance(chrono::TimeDelta::minutes(20));
            let ticket = house.ticket(&delivery).await;
            let answer = match factor {
                Factor::Code => house.code(&delivery).await,
                Factor::Passcode(passcode) => passcode.to_owned(),
            };
            let opened = house.say(&ticket, &answer).await;
            assert_eq!(opened.status(), 303, "{name}: the person opens it");
        }
    }
}
