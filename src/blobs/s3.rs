//! How S3-compatible storage is spoken to: whose keys, how long, how often.

use std::{fmt, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, Certificate, ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{BlobError, trouble::Trouble};

/// Time for a connection, at the most.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How often a request is made again before its failure is told. Whoever asked
/// tries again later by itself.
const RETRIES_MAX: usize = 3;

/// A bucket and the way to it.
#[derive(Clone)]
pub struct S3Settings {
    /// The bucket.
    pub bucket: String,
    /// What the names of our objects begin with.
    pub prefix: String,
    /// The endpoint, where it is not AWS.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// Access key id and secret access key; without them the machine's role
    /// (EC2's instance metadata) is asked for some.
    pub keys: Option<(SecretString, SecretString)>,
    /// The only authority that the storage's certificate may come from, in
    /// PEM; without it the platform's are trusted.
    pub authority: Option<Vec<u8>>,
    /// Plain HTTP is allowed.
    pub allow_http: bool,
    /// Time for one request. No request is begun again after this time, so
    /// that whoever waits is told after twice as long at the most.
    pub timeout: Duration,
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl S3Settings {
    pub(super) fn open(&self) -> Result<Arc<dyn ObjectStore>, BlobError> {
        let unsound = || BlobError::Objects { act: "be set up", why: Trouble::Settings };
        let mut client = ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_connect_timeout(CONNECT_MAX.min(self.timeout))
            .with_timeout(self.timeout);
        if let Some(pem) = &self.authority {
            client = client.with_no_system_certificates(true);
            let roots = Certificate::from_pem_bundle(pem).map_err(|_| unsound())?;
            if roots.is_empty() {
                return Err(unsound());
            }
            for root in roots {
                client = client.with_root_certificate(root);
            }
        }
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(2),
                base: 2.0,
            },
            max_retries: RETRIES_MAX,
            retry_timeout: self.timeout,
        };
        // One request for each object: not every storage knows the one for
        // many, and we destroy one at a time.
        let mut builder = AmazonS3Builder::new()
            .with_client_options(client)
            .with_retry(retry)
            .with_disable_bulk_delete(true)
            .with_bucket_name(&self.bucket)
            .with_region(&self.region);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_endpoint(endpoint).with_virtual_hosted_style_request(false);
        }
        if let Some((id, secret)) = &self.keys {
            builder = builder
                .with_access_key_id(id.expose_secret())
                .with_secret_access_key(secret.expose_secret());
        }
        let store = builder.build().map_err(|_| unsound())?;
        Ok(Arc::new(store))
    }
}
