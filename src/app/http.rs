//! Serves the pages and the interface over HTTP/1.1, within limits.
//!
//! Connections are counted, headers have a size and a time, and a shutdown lets
//! running answers end. TLS is a proxy's work, or that of a later listener.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tower::{ServiceExt as _, service_fn};

use super::worker::{Loops, wait};

/// Connections of one listener, at the most; the next one waits to be accepted.
const CONNECTIONS_MAX: usize = 1_024;
/// Bytes of a request's head, at the most.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Time for a request's head, and between two requests of a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for a whole connection: a slow reader of 20 MiB at 200 kbit/s.
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(15);

/// Serves `router` on `listener` until `stop`, then lets running answers end.
pub async fn serve(listener: TcpListener, router: Router, loops: Loops, stop: CancellationToken) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (router, stop) = (router.clone(), stop.clone());
                loops.spawn(async move {
                    connection(stream, peer, router, stop).await;
                    drop(seat);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely: some will be freed.
                tracing::warn!("a connection could not be accepted: {error}");
                wait(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, stop: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("a connection ended at once: {error}");
        return;
    }
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move { router.oneshot(request).await.map_err(|never: Infallible| never) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_BYTES_MAX);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = wait(CONNECTION_TIMEOUT) => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended early: {error}");
    }
}
