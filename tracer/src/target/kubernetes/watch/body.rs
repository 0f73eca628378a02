//! The body of an answer, bounded: how long one line of it may be, and how long nothing may come.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body as HttpBody, Frame};
use kube::client::Body;
use tokio::time::{Instant, Sleep, sleep};

use super::troubles::{Problem, Troubles};
use crate::target::kubernetes::book::Kind;

/// A list, or a page of it, is one line, and so is each event of a watch. The pods of a node have some megabytes: an object has
/// at most 1.5 MiB (etcd's `--max-request-bytes`), and usually 10 KiB.
const MAX_LINE_BYTES: usize = 32 << 20;

/// See above.
pub(super) struct Bounded {
    body: Body,
    max_line: usize,
    line: usize,
    patience: Duration,
    silence: Pin<Box<Sleep>>,
    /// Whose watch it is, if it is one: what comes shows that it goes on.
    watch: Option<(Arc<Troubles>, Kind)>,
}

impl Bounded {
    pub(super) fn new(body: Body, patience: Duration, watch: Option<(Arc<Troubles>, Kind)>) -> Self {
        Self { body, max_line: MAX_LINE_BYTES, line: 0, patience, silence: Box::pin(sleep(patience)), watch }
    }

    fn count(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let (whole, rest) = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => (self.line, bytes.len() - at - 1),
            None => (0, self.line + bytes.len()),
        };
        self.line = rest;
        match whole.max(rest) > self.max_line {
            true => Err(Problem::TooLong { max_bytes: self.max_line }),
            false => Ok(()),
        }
    }
}

type Data = <Body as HttpBody>::Data;

impl HttpBody for Bounded {
    type Data = Data;
    type Error = Problem;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Data>, Problem>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let deadline = Instant::now() + self.patience;
                self.silence.as_mut().reset(deadline);
                if let Some((troubles, kind)) = &self.watch {
                    troubles.goes_on(*kind);
                }
                let counted = frame.data_ref().map_or(Ok(()), |data| self.count(data));
                Poll::Ready(Some(counted.map(|()| frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(Problem::broken(&error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let patience = self.patience;
                let silent = |()| Some(Err(Problem::Silent { seconds: patience.as_secs() }));
                self.silence.as_mut().poll(context).map(silent)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_may_be_long_and_a_body_longer() {
        let check = |pieces: &[&str], expect: bool| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _inside = runtime.enter();
            let mut bounded = Bounded::new(Body::empty(), Duration::from_secs(1), None);
            bounded.max_line = 4;
            let is_taken = pieces.iter().all(|piece| bounded.count(piece.as_bytes()).is_ok());
            assert_eq!(is_taken, expect, "{pieces:?}");
        };
        check(&["1234"], true);
        check(&["12345"], false);
        check(&["123", "45"], false);
        check(&["12", "3\n12", "34\n"], true);
        check(&["1\n2\n3\n", "1234"], true);
        check(&["1\n", "12345"], false);
    }
}
