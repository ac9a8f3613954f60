//! The orders that this node was given lately: a socket that was let in before one of them may take its seat after it.

use std::collections::VecDeque;
use std::time::Instant;

use crate::layer::Disconnect;
use crate::wire::close::{Close, CloseCode};

/// Most orders that are remembered.
const MOST: usize = 1024;

#[derive(Default)]
pub(crate) struct RecentDisconnects {
    /// The last one last.
    lately: VecDeque<(Instant, Disconnect)>,
    /// When the last of those came that are forgotten.
    forgotten: Option<Instant>,
}

impl RecentDisconnects {
    /// An order has come.
    pub(crate) fn note(&mut self, order: Disconnect) {
        if self.lately.len() == MOST {
            self.forgotten = self.lately.pop_front().map(|(at, _)| at);
        }
        self.lately.push_back((Instant::now(), order));
    }

    /// How a socket is closed whose request came at this time, if there was an order about it since.
    pub(crate) fn since(
        &self,
        received_at: Instant,
        is_about: impl Fn(&Disconnect) -> bool,
    ) -> Option<Close> {
        // Nobody can tell any more what they were about: the socket shall come again.
        if self.forgotten.is_some_and(|at| at >= received_at) {
            return Some(Close::new(
                CloseCode::ServiceRestart,
                "too much has changed meanwhile: connect again",
            ));
        }
        let since = self.lately.iter().rev().take_while(|(at, _)| *at >= received_at);
        since.map(|(_, order)| order).find(|order| is_about(order)).map(Disconnect::close)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(group: &str) -> Disconnect {
        Disconnect {
            group: Some(group.to_owned()),
            code: CloseCode::Forbidden.number(),
            ..Disconnect::default()
        }
    }

    #[test]
    fn an_order_reaches_the_sockets_that_were_let_in_before_it() {
        let mut orders = RecentDisconnects::default();
        let about = |group: &'static str| move |order: &Disconnect| order.matches(None, None, Some(group));
        let before = Instant::now();
        orders.note(order("a"));
        orders.note(order("b"));
        let after = Instant::now() + std::time::Duration::from_millis(1);
        assert_eq!(orders.since(before, about("a")).map(|close| close.code()), Some(4403));
        assert_eq!(orders.since(before, about("c")), None);
        assert_eq!(orders.since(after, about("a")), None, "who was let in after it was let in knowingly");
        for _ in 0..MOST {
            orders.note(order("b"));
        }
        assert_eq!(orders.since(before, about("c")).map(|close| close.code()), Some(1012));
        assert_eq!(orders.since(after, about("c")), None);
    }
}
