//! TLS by `rustls`: a certificate and its key from files, read again when they
//! change.
//!
//! Renewed certificates take effect with the next connection; running ones keep
//! what they began with. Files that cannot be read, or whose key is not that of the
//! certificate, change nothing: the last good pair is served, and the log says so.
//! TLS 1.2 and 1.3 only, HTTP/1.1 only.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use anyhow::Context as _;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use secrecy::ExposeSecret as _;
use tokio_rustls::TlsAcceptor;

use crate::config::SecretSource;

/// A certificate and its key, as they were read last.
pub struct Certificate {
    chain: PathBuf,
    key: SecretSource,
    serving: RwLock<Arc<CertifiedKey>>,
    read: Mutex<Stamp>,
}

/// When the two files were changed last, and how long they are.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads both files; an error names the one that is wrong.
    pub fn open(chain: PathBuf, key: SecretSource) -> anyhow::Result<Arc<Self>> {
        let read = stamp(&chain, &key);
        let pair = pair(&chain, &key)?;
        Ok(Arc::new(Self {
            chain,
            key,
            serving: RwLock::new(Arc::new(pair)),
            read: Mutex::new(read),
        }))
    }

    /// What connections are accepted with.
    pub fn acceptor(self: &Arc<Self>) -> anyhow::Result<TlsAcceptor> {
        let own = Arc::clone(self);
        let resolver: Arc<dyn ResolvesServerCert> = own;
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()?
                .with_no_client_auth()
                .with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Reads the files again if they changed; answers whether they are served now.
    pub fn refresh(&self) -> anyhow::Result<bool> {
        let now = stamp(&self.chain, &self.key);
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if *read == now {
            return Ok(false);
        }
        let pair = pair(&self.chain, &self.key)?;
        *self.serving.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
        *read = now;
        Ok(true)
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.serving.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn stamp(chain: &PathBuf, key: &SecretSource) -> Stamp {
    let of = |path: &PathBuf| {
        let meta = std::fs::metadata(path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    };
    [of(chain), key.locate().ok().as_ref().and_then(of)]
}

fn pair(chain: &PathBuf, key: &SecretSource) -> anyhow::Result<CertifiedKey> {
    let at = || format!("`listen.certificate`: {}", chain.display());
    let text = std::fs::read(chain).with_context(at)?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| anyhow::anyhow!("no PEM file")).with_context(at)?;
    anyhow::ensure!(!certificates.is_empty(), "{}: no certificate in it", at());
    let secret = key.read().context("`listen.private_key`")?;
    let key = PrivateKeyDer::from_pem_slice(secret.expose_secret().as_bytes())
        .map_err(|_| anyhow::anyhow!("`listen.private_key` has no private key in PEM"))?;
    CertifiedKey::from_der(certificates, key, &aws_lc_rs::default_provider())
        .context("`listen.private_key` is not the key of `listen.certificate`")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn write(folder: &std::path::Path, name: &str) -> (PathBuf, SecretSource) {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o400)).unwrap();
        (chain, SecretSource::path(key))
    }

    #[test]
    fn a_renewed_pair_is_served_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (chain, key) = write(folder.path(), "old.example.jp");
        let certificate = Certificate::open(chain.clone(), key.clone()).unwrap();
        let served = || certificate.serving.read().unwrap().cert[0].to_vec();
        let old = served();
        assert!(!certificate.refresh().unwrap(), "nothing changed");

        std::fs::write(&chain, "no certificate").unwrap();
        certificate.refresh().unwrap_err();
        assert_eq!(served(), old, "the last good pair stays");

        std::fs::remove_file(folder.path().join("key.pem")).unwrap();
        write(folder.path(), "new.example.jp");
        assert!(certificate.refresh().unwrap(), "renewed");
        assert_ne!(served(), old, "the new one");
    }

    #[test]
    fn a_key_that_is_open_or_anothers_is_refused() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (chain, key) = write(one.path(), "a.example.jp");
        let (_, foreign) = write(other.path(), "b.example.jp");
        let error = format!("{:#}", Certificate::open(chain.clone(), foreign).unwrap_err());
        assert!(error.contains("is not the key of"), "{error}");
        let open = std::fs::Permissions::from_mode(0o444);
        std::fs::set_permissions(one.path().join("key.pem"), open).unwrap();
        let error = format!("{:#}", Certificate::open(chain, key).unwrap_err());
        assert!(error.contains("readable by others"), "{error}");
    }
}
