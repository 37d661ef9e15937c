//! Whom a session believes, and who believes it.

use super::*;

#[tokio::test]
async fn wrong_credentials_are_told_apart_from_a_dead_broker() {
    let mut wrong = settings("credentials");
    wrong.password = SecretString::from("CANARY");
    let error = Consumer::connect(&wrong).await.unwrap_err();
    assert!(matches!(error, BrokerError::Auth { .. }), "{error:?}");
    assert!(!format!("{error:?} {error} {wrong:?}").contains("CANARY"), "{error:?}");

    let mut elsewhere = settings("credentials");
    elsewhere.vhost = "nowhere".to_owned();
    let error = Consumer::connect(&elsewhere).await.unwrap_err();
    assert!(matches!(error, BrokerError::Auth { .. }), "{error:?}");
    assert!(error.to_string().contains("virtual host `nowhere`"), "{error}");

    let mut dead = settings("credentials");
    dead.port = 1;
    let error = Consumer::connect(&dead).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unreachable { .. }), "{error:?}");
    assert!(!error.needs_a_person(), "it may come back by itself");

    let mut unknown = settings("credentials");
    unknown.host = "broker.invalid".to_owned();
    let error = Consumer::connect(&unknown).await.unwrap_err();
    assert!(matches!(error, BrokerError::UnknownHost { .. }), "{error:?}");
}

#[tokio::test]
async fn tls_trusts_the_configured_certificates_and_no_others() {
    let ours = std::fs::read_to_string(shared_dir().join("tls/ca.pem")).unwrap();
    let mut settings = settings("tls");
    settings.port += 1;
    settings.tls = Some(ours);
    for host in ["localhost", "127.0.0.1"] {
        settings.host = host.to_owned();
        publish(&settings, &jobs(0, 3)).await;
    }
    assert!(check(&settings).await.unwrap().encrypted, "the report says so");

    settings.tls = Some(other_certificate());
    let error = Consumer::connect(&settings).await.unwrap_err();
    assert!(matches!(error, BrokerError::Tls { .. }), "{error:?}");
    assert!(error.needs_a_person(), "trust does not grow by itself");

    settings.tls = None;
    let error = Consumer::connect(&settings).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unreachable { .. }), "clear text: {error:?}");
}

fn other_certificate() -> String {
    let folder = tempfile::tempdir().unwrap();
    let [key, certificate] = ["key", "pem"].map(|name| folder.path().join(name));
    let done = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=another", "-keyout"])
        .arg(key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    std::fs::read_to_string(certificate).unwrap()
}
