//! Opens the socket of a connection: TCP, then TLS if it is asked for.
//!
//! The AMQP library could do both, but its TLS always trusts the platform's
//! certificates beside the configured ones, and without one of its features it
//! speaks plain text to a TLS address. So it gets a socket that is encrypted
//! already, through the seam it has for foreign runtimes.
//!
//! The library drives each connection in a thread of its own and has no way to
//! give up a half-open one. We keep a second handle of the socket and shut it
//! down whenever a session is dropped, so a broker that hangs in the middle of
//! a handshake costs a time-out, never a thread or a descriptor.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr},
    os::fd::{AsFd, AsRawFd},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_rs::{Tokio, traits::Reactor};
use futures::{AsyncRead, AsyncWrite, Stream};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::{
    compat::{Compat, TokioAsyncReadCompatExt},
    either::Either,
};

use super::{BrokerError, BrokerSettings};

type Plain = TcpStream;
type Encrypted = TlsStream<TcpStream>;

/// Opens sockets to one broker. Everything but that is left to Tokio.
#[derive(Clone)]
pub(super) struct Dialler {
    tokio: Tokio,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// The library's thread cannot be cancelled, so it keeps the time itself.
    patience: Duration,
    socket: Socket,
}

impl Dialler {
    pub(super) fn new(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let tls = match &settings.tls {
            Some(roots) => Some(encryption(roots, &settings.host)?),
            None => None,
        };
        Ok(Self {
            tokio: Tokio::current(),
            tls,
            patience: settings.connect_timeout,
            socket: Socket::default(),
        })
    }

    /// The handle with which to cut what is dialled.
    pub(super) fn socket(&self) -> Socket {
        self.socket.clone()
    }

    async fn dial(self, address: SocketAddr) -> io::Result<Either<Plain, Encrypted>> {
        let dialling = async {
            let plain = TcpStream::connect(address).await?;
            plain.set_nodelay(true)?;
            self.socket.keep(std::net::TcpStream::from(plain.as_fd().try_clone_to_owned()?));
            Ok(match self.tls {
                None => Either::Left(plain),
                Some((tls, name)) => Either::Right(tls.connect(name, plain).await?),
            })
        };
        tokio::time::timeout(self.patience, dialling).await?
    }
}

/// Trusts `roots` (PEM) and nothing else.
fn encryption(roots: &str, host: &str) -> Result<(TlsConnector, ServerName<'static>), BrokerError> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        let root = root.map_err(|_| BrokerError::BadCertificates)?;
        store.add(root).map_err(|_| BrokerError::BadCertificates)?;
    }
    if store.is_empty() {
        return Err(BrokerError::BadCertificates);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| BrokerError::BadCertificates)?
        .with_root_certificates(store)
        .with_no_client_auth();
    let name =
        ServerName::try_from(host.to_owned()).map_err(|_| BrokerError::BadName { what: "host" })?;
    Ok((TlsConnector::from(Arc::new(config)), name))
}

impl fmt::Debug for Dialler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialler").field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

impl Reactor for Dialler {
    type TcpStream = Compat<Either<Plain, Encrypted>>;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + AsFd + AsRawFd + Send + 'static>(
        &self,
        socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        self.tokio.register(socket)
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.tokio.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.tokio.interval(time)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let dialler = self.clone();
        async move { dialler.dial(address).await.map(TokioAsyncReadCompatExt::compat) }
    }
}

/// The second handle of a socket, there to cut it.
#[derive(Clone, Default)]
pub(super) struct Socket(Arc<Mutex<Option<std::net::TcpStream>>>);

impl Socket {
    fn keep(&self, handle: std::net::TcpStream) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    }

    /// Ends all reading and writing. May be called any number of times.
    pub(super) fn cut(&self) {
        let handle = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle
            && let Err(error) = handle.shutdown(Shutdown::Both)
        {
            // The peer was faster; there is nothing left to cut.
            tracing::trace!(%error, "the broker's socket was already closed");
        }
    }
}
