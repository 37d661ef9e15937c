//! Questions that come while one is on its way are asked together.
//!
//! A round trip to the books costs the same for one row as for fifty, and so
//! does a commit. Whoever asks first is asked for at once, alone; whoever asks
//! meanwhile waits for that answer to be back and then goes with all others
//! who wait. So batches form by themselves, and nobody waits when nothing is
//! on its way.
//!
//! There is no task to start or to stop: one of those who go together leads,
//! asks for all and passes the lead on. A leader that is given up passes it on
//! too; who went with it has no answer then, and asks alone.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::{sync::oneshot, time::timeout};

use crate::store::StoreError;

/// How long the books may take for those who ask together. A connection to
/// a machine that has vanished answers nothing for a quarter of an hour.
const PATIENCE: Duration = Duration::from_secs(5);
/// Questions that are asked together, at the most.
const TOGETHER_MAX: usize = 64;

/// Asks many questions; gives an answer each, in their order. Fewer answers
/// than questions leave the rest unanswered.
type Asks<Q, A> = Box<dyn Fn(Vec<Q>) -> BoxFuture<'static, Vec<A>> + Send + Sync>;

/// Asks together.
pub(super) struct Together<Q, A> {
    asks: Asks<Q, A>,
    queue: Queue<Q, A>,
}

/// Those who wait, while somebody leads.
struct Line<Q, A> {
    led: bool,
    waiting: VecDeque<(Q, oneshot::Sender<Turn<Q, A>>)>,
}
type Queue<Q, A> = Arc<Mutex<Line<Q, A>>>;

/// What somebody who waits is told.
enum Turn<Q, A> {
    /// Somebody else asked.
    Answer(A),
    /// It is to ask its question itself, and for all who wait by now.
    Lead(Q, Lead<Q, A>),
}

/// The right to ask. It is never lost: dropped, it goes to the next who waits.
struct Lead<Q, A>(Queue<Q, A>);

fn line<Q, A>(queue: &Queue<Q, A>) -> MutexGuard<'_, Line<Q, A>> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<Q, A> Drop for Lead<Q, A> {
    fn drop(&mut self) {
        let next = {
            let mut line = line(&self.0);
            while line.waiting.front().is_some_and(|(_, tell)| tell.is_closed()) {
                line.waiting.pop_front();
            }
            let next = line.waiting.pop_front();
            line.led = next.is_some();
            next
        };
        if let Some((question, tell)) = next {
            // Should it hang up at this moment, the lead is dropped again.
            drop(tell.send(Turn::Lead(question, Self(Arc::clone(&self.0)))));
        }
    }
}

/// What the books answer, if they do in time. Whoever has no answer asks alone,
/// and finds what is wrong.
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Option<T> {
    match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::warn!("visitors could not be served together: {error}");
            None
        }
        Err(_) => {
            tracing::warn!("visitors could not be served together: the books do not answer");
            None
        }
    }
}

impl<Q, A> fmt::Debug for Together<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Together(..)")
    }
}

impl<Q, A> Together<Q, A> {
    /// Asks with `asks`, one batch after the other.
    pub(super) fn new(
        asks: impl Fn(Vec<Q>) -> BoxFuture<'static, Vec<A>> + Send + Sync + 'static,
    ) -> Self {
        let line = Line { led: false, waiting: VecDeque::new() };
        Self { asks: Box::new(asks), queue: Arc::new(Mutex::new(line)) }
    }

    /// The answer to a question; none when there was none.
    pub(super) async fn ask(&self, question: Q) -> Option<A> {
        let (question, lead) = match self.join(question) {
            Ok(first) => first,
            Err(told) => match told.await {
                Ok(Turn::Answer(answer)) => return Some(answer),
                Ok(Turn::Lead(question, lead)) => (question, lead),
                Err(_) => return None,
            },
        };
        let (questions, tells) = self.gather(question);
        let mut answers = (self.asks)(questions).await.into_iter();
        drop(lead);
        let mine = answers.next();
        for (tell, answer) in tells.into_iter().zip(answers) {
            drop(tell.send(Turn::Answer(answer)));
        }
        mine
    }

    /// A question and those that wait, with their places.
    fn gather(&self, first: Q) -> (Vec<Q>, Vec<oneshot::Sender<Turn<Q, A>>>) {
        let (mut questions, mut tells) = (vec![first], vec![]);
        let mut line = line(&self.queue);
        while questions.len() < TOGETHER_MAX
            && let Some((question, tell)) = line.waiting.pop_front()
        {
            if !tell.is_closed() {
                questions.push(question);
                tells.push(tell);
            }
        }
        (questions, tells)
    }

    /// The question back with the lead when nobody has it; otherwise a place
    /// among those who wait.
    #[expect(clippy::type_complexity, reason = "two halves of one answer")]
    fn join(&self, question: Q) -> Result<(Q, Lead<Q, A>), oneshot::Receiver<Turn<Q, A>>> {
        let mut line = line(&self.queue);
        if line.led {
            let (tell, told) = oneshot::channel();
            line.waiting.push_back((question, tell));
            return Err(told);
        }
        line.led = true;
        Ok((question, Lead(Arc::clone(&self.queue))))
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, poll};
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;

    /// Answers twice the number, once it is let; tells what it was asked.
    fn doubling() -> (Together<u32, u32>, UnboundedReceiver<Vec<u32>>, UnboundedSender<()>) {
        let (tell, told) = unbounded_channel();
        let (go, wait) = unbounded_channel();
        let wait = Arc::new(tokio::sync::Mutex::new(wait));
        let together = Together::new(move |questions: Vec<u32>| {
            tell.send(questions.clone()).unwrap();
            let wait = Arc::clone(&wait);
            async move {
                wait.lock().await.recv().await;
                questions.into_iter().map(|number| number * 2).collect()
            }
            .boxed()
        });
        (together, told, go)
    }

    #[tokio::test]
    async fn who_comes_meanwhile_goes_together() {
        let (together, mut told, go) = doubling();
        let mut first = Box::pin(together.ask(1));
        assert!(poll!(&mut first).is_pending(), "on its way");
        assert_eq!(told.try_recv().unwrap(), [1], "at once, and alone");
        let (mut second, mut third) = (Box::pin(together.ask(2)), Box::pin(together.ask(3)));
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending(), "they wait");
        assert!(told.try_recv().is_err(), "for the first answer");
        go.send(()).unwrap();
        go.send(()).unwrap();
        assert_eq!(first.await, Some(2), "its own answer");
        assert_eq!(futures::join!(second, third), (Some(4), Some(6)), "each its own");
        assert_eq!(told.try_recv().unwrap(), [2, 3], "asked together");
    }

    #[tokio::test]
    async fn a_leader_that_hangs_up_passes_the_lead_on() {
        let (together, mut told, go) = doubling();
        let mut first = Box::pin(together.ask(1));
        assert!(poll!(&mut first).is_pending(), "on its way");
        let (mut second, mut third) = (Box::pin(together.ask(2)), Box::pin(together.ask(3)));
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending(), "they wait");
        drop(first);
        assert!(poll!(&mut second).is_pending(), "and go without it");
        assert_eq!(told.try_recv().unwrap(), [1], "the first was asked");
        assert_eq!(told.try_recv().unwrap(), [2, 3], "and nobody waits for it");
        drop(second);
        assert_eq!(third.await, None, "whoever went with it asks alone");
        let mut fourth = Box::pin(together.ask(4));
        assert!(poll!(&mut fourth).is_pending(), "the lead is not lost");
        go.send(()).unwrap();
        assert_eq!(fourth.await, Some(8), "answered");
    }

    #[tokio::test]
    async fn a_lead_that_nobody_takes_goes_on() {
        let (together, mut told, go) = doubling();
        let mut first = Box::pin(together.ask(1));
        assert!(poll!(&mut first).is_pending(), "on its way");
        let (mut second, mut third) = (Box::pin(together.ask(2)), Box::pin(together.ask(3)));
        assert!(poll!(&mut second).is_pending() && poll!(&mut third).is_pending(), "they wait");
        go.send(()).unwrap();
        assert_eq!(first.await, Some(2), "answered; the lead is the second's");
        drop(second);
        assert!(poll!(&mut third).is_pending(), "which hung up before it heard of it");
        assert_eq!(told.try_recv().unwrap(), [1], "the first");
        assert_eq!(told.try_recv().unwrap(), [3], "the third");
        go.send(()).unwrap();
        assert_eq!(third.await, Some(6), "answered");
    }

    #[tokio::test]
    async fn when_all_have_gone_the_next_goes_at_once() {
        let (together, mut told, go) = doubling();
        let mut first = Box::pin(together.ask(1));
        assert!(poll!(&mut first).is_pending(), "on its way");
        let mut second = Box::pin(together.ask(2));
        assert!(poll!(&mut second).is_pending(), "it waits");
        drop(first);
        drop(second);
        let mut third = Box::pin(together.ask(3));
        assert!(poll!(&mut third).is_pending(), "on its way");
        assert_eq!(told.try_recv().unwrap(), [1], "was asked");
        assert_eq!(told.try_recv().unwrap(), [3], "the second never was");
        go.send(()).unwrap();
        assert_eq!(third.await, Some(6), "answered");
    }

    #[tokio::test]
    async fn a_batch_has_an_end() {
        let (together, mut told, go) = doubling();
        let together = Arc::new(together);
        let all: Vec<_> = (0..200)
            .map(|number| {
                let together = Arc::clone(&together);
                let mut ask = async move { together.ask(number).await }.boxed();
                assert!((&mut ask).now_or_never().is_none(), "{number} waits");
                ask
            })
            .collect();
        (0..10).for_each(|_| go.send(()).unwrap());
        let answers = futures::future::join_all(all).await;
        assert_eq!(answers, (0..200).map(|number| Some(number * 2)).collect::<Vec<_>>(), "all");
        let mut sizes = vec![];
        while let Ok(asked) = told.try_recv() {
            sizes.push(asked.len());
        }
        assert_eq!(sizes, [1, 64, 64, 64, 7], "no batch is larger");
    }

    #[tokio::test]
    async fn too_few_answers_leave_the_rest_without() {
        let together = Together::new(|_: Vec<u32>| async { Vec::<u32>::new() }.boxed());
        assert_eq!(together.ask(1).await, None, "whoever asks sees to it");
    }
}
