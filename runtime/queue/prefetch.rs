//! Runs an iterator ahead on a thread of its own.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

/// Items made ahead. Dropping it stops the thread and waits for it, which takes as long as one item.
pub struct Prefetch<T> {
    /// `None` only while being dropped.
    items: Option<Receiver<Result<T, String>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts a thread that keeps up to `ahead` items ready.
    ///
    /// # Errors
    /// What the system says when it has no more threads.
    pub fn start(
        ahead: usize,
        mut source: impl Iterator<Item = T> + Send + 'static,
    ) -> Result<Prefetch<T>, String> {
        let (sender, items) = sync_channel(ahead);
        let work = move || {
            loop {
                let item = match catch_unwind(AssertUnwindSafe(|| source.next())) {
                    Ok(None) => break,
                    Ok(Some(item)) => Ok(item),
                    Err(panic) => Err(message(panic.as_ref())),
                };
                let broken = item.is_err();
                // Refused once nobody waits any more.
                if sender.send(item).is_err() || broken {
                    break;
                }
            }
        };
        let thread = Builder::new().name("prefetch".to_string()).spawn(work).map_err(|e| e.to_string())?;
        Ok(Prefetch { items: Some(items), thread: Some(thread) })
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// What a panic on the thread said.
    pub fn next(&mut self) -> Result<Option<T>, String> {
        // A closed channel is the end: the thread reports a panic before it closes.
        self.items.as_ref().and_then(|items| items.recv().ok()).transpose()
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        // First the channel, or the thread might wait for room in it for ever.
        self.items = None;
        if let Some(thread) = self.thread.take() {
            // Its panics were caught.
            let _ = thread.join();
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn items_come_in_order_and_end() {
        let mut items = Prefetch::start(2, 0..100).unwrap();
        for expected in 0..100 {
            assert_eq!(items.next(), Ok(Some(expected)));
        }
        assert_eq!(items.next(), Ok(None));
        assert_eq!(items.next(), Ok(None));
    }

    #[test]
    fn a_panic_is_an_error_after_what_came_before() {
        let fail = (0..3).map(|n| if n == 2 { panic!("item {n} broke") } else { n });
        let mut items = Prefetch::start(8, fail).unwrap();
        assert_eq!(items.next(), Ok(Some(0)));
        assert_eq!(items.next(), Ok(Some(1)));
        assert_eq!(items.next(), Err("item 2 broke".to_string()));
        assert_eq!(items.next(), Ok(None));
    }

    #[test]
    fn it_runs_ahead_by_no_more_than_asked_and_stops_when_dropped() {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&made);
        let endless = std::iter::repeat_with(move || counter.fetch_add(1, Ordering::SeqCst));
        let mut items = Prefetch::start(3, endless).unwrap();
        assert_eq!(items.next(), Ok(Some(0)));
        std::thread::sleep(Duration::from_millis(50));
        // One taken, three ready, one waiting for room.
        assert!((4..=5).contains(&made.load(Ordering::SeqCst)));
        drop(items);
        assert_eq!(Arc::strong_count(&made), 1, "the thread has let go of its iterator");
    }
}
