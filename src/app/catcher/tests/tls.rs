use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};

use super::*;
use crate::dispatch::email::{Fate, Trouble, Verb};

/// A private authority's certificate (PEM), and a server with one from it for
/// `name`.
fn authority(name: &str) -> (String, Arc<ServerConfig>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = params.signed_by(&key, &ca).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    (ca.pem(), Arc::new(config))
}

fn trusting(post: &Post, tls: TlsMode, pem: &str) -> SmtpCarrier {
    carrier(RelaySettings { tls, extra_roots_pem: Some(pem.to_owned()), ..post.settings() })
}

#[tokio::test]
async fn mails_travel_under_starttls_and_under_tls_from_the_first_byte() {
    let (pem, config) = authority("127.0.0.1");
    for (mode, implicit_tls) in [(TlsMode::Required, false), (TlsMode::Implicit, true)] {
        for kind in kinds() {
            let tls = Some(Arc::clone(&config));
            let post = Post::open(CatcherSettings { tls, implicit_tls, ..kind }).await;
            let mut carrier = trusting(&post, mode, &pem);
            for number in 1..=5 {
                let outcome = post.carry(&mut carrier, &letter(number)).await;
                assert!(matches!(outcome, Outcome::Accepted { .. }), "{mode:?}: {outcome:?}");
            }
            assert_eq!((post.catcher.caught(), post.catcher.connections()), (5, 1));
            assert_eq!(post.catcher.heard().contains(&"STARTTLS"), !implicit_tls);
        }
    }
}

#[tokio::test]
async fn a_stripped_starttls_defers_and_never_sends_in_clear() {
    let (pem, config) = authority("127.0.0.1");
    for tls in [None, Some(config)] {
        let settings = CatcherSettings { tls, strip_starttls: true, ..Default::default() };
        let post = Post::open(settings).await;
        let outcome = post.carry(&mut trusting(&post, TlsMode::Required, &pem), &letter(1)).await;
        let why = Trouble::NoStartTls;
        assert_eq!(outcome, Outcome::Unreachable { verb: Verb::StartTls, why });
        assert_eq!(outcome.fate(), Fate::RelayAway, "deferred");
        assert_eq!(post.catcher.heard(), ["EHLO"], "not a word about the mail");
    }
}

#[tokio::test]
async fn a_certificate_of_somebody_else_defers_and_never_sends() {
    let (_, config) = authority("127.0.0.1");
    let (stranger, _) = authority("127.0.0.1");
    let (other_pem, other_name) = authority("mx.example.jp");
    for (pem, config) in [(stranger, config), (other_pem, other_name)] {
        for (mode, implicit_tls) in [(TlsMode::Required, false), (TlsMode::Implicit, true)] {
            let tls = Some(Arc::clone(&config));
            let settings = CatcherSettings { tls, implicit_tls, ..Default::default() };
            let post = Post::open(settings).await;
            let outcome = post.carry(&mut trusting(&post, mode, &pem), &letter(1)).await;
            let why = Trouble::TlsFailed;
            assert_eq!(outcome, Outcome::Unreachable { verb: Verb::Tls, why }, "{mode:?}");
            assert!(!post.catcher.heard().contains(&"MAIL"), "not a word about the mail");
        }
    }
}

#[tokio::test]
async fn words_slipped_in_before_the_handshake_are_refused() {
    let (pem, config) = authority("127.0.0.1");
    let script = Script::always(Verb::StartTls, Act::Surplus);
    let post =
        Post::open(CatcherSettings { tls: Some(config), script, ..Default::default() }).await;
    let outcome = post.carry(&mut trusting(&post, TlsMode::Required, &pem), &letter(1)).await;
    let why = Trouble::OutOfTurn;
    assert_eq!(outcome, Outcome::Unreachable { verb: Verb::StartTls, why });
}

#[tokio::test]
async fn a_refused_or_broken_starttls_defers() {
    let (pem, config) = authority("127.0.0.1");
    for (act, word) in [
        (Act::Say("454 4.7.0 not now".to_owned()), "relay_deferred"),
        (Act::Say("501 5.5.4 no".to_owned()), "relay_refused"),
        (Act::HangUp, "closed"),
        (Act::DutyThenHangUp, "tls_failed"),
        (Act::Freeze, "timed_out"),
    ] {
        let script = Script::always(Verb::StartTls, act);
        let tls = Some(Arc::clone(&config));
        let post = Post::open(CatcherSettings { tls, script, ..Default::default() }).await;
        let mut carrier = carrier(RelaySettings {
            tls: TlsMode::Required,
            extra_roots_pem: Some(pem.clone()),
            timeouts: short_times(),
            ..post.settings()
        });
        let outcome = post.carry(&mut carrier, &letter(1)).await;
        assert_eq!((outcome.fate(), outcome.word()), (Fate::RelayAway, word), "{outcome:?}");
        assert_eq!(post.dots(), 0);
    }
}
