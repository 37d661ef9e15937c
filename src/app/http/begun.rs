//! What has begun is done to its end.
//!
//! A database connection that is dropped between BEGIN and its answer goes back
//! to its pool inside a transaction. So an answer that nobody waits for any more
//! goes on as a task of its own.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::response::Response;
use futures::{FutureExt as _, future::BoxFuture};

use crate::app::worker::Loops;

/// None when it panicked.
type Answering = BoxFuture<'static, Option<Result<Response, Infallible>>>;

/// An answer that is being made.
pub(super) struct Begun {
    answer: Option<Answering>,
    loops: Loops,
}

impl Begun {
    pub(super) fn new(
        answer: impl Future<Output = Result<Response, Infallible>> + Send + 'static,
        loops: Loops,
    ) -> Self {
        // A request that panics is answered; nothing of it is used again.
        let answer = AssertUnwindSafe(answer).catch_unwind().map(Result::ok);
        Self { answer: Some(answer.boxed()), loops }
    }
}

impl Future for Begun {
    type Output = Option<Result<Response, Infallible>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(answer) = self.answer.as_mut() else { return Poll::Ready(None) };
        let answer = ready!(answer.as_mut().poll(cx));
        self.answer = None;
        Poll::Ready(answer)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            self.loops.spawn(answer.map(drop));
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{http::StatusCode, response::IntoResponse as _};
    use futures::poll;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_given_up_is_done_to_its_end() {
        let (go, wait) = oneshot::channel::<()>();
        let (tell, told) = oneshot::channel();
        let answer = async move {
            wait.await.unwrap();
            tell.send("done").unwrap();
            Ok(StatusCode::OK.into_response())
        };
        let mut begun = Begun::new(answer, Loops::new());
        assert!(poll!(&mut begun).is_pending(), "it waits");
        drop(begun);
        go.send(()).unwrap();
        assert_eq!(told.await, Ok("done"), "nobody waited for it");
    }

    #[tokio::test]
    async fn a_panic_is_one_answer_and_no_more() {
        let answer = async { panic!("a defect") };
        assert!(Begun::new(answer, Loops::new()).await.is_none(), "told to whoever waits");
    }
}
