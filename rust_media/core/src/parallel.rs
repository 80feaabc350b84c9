//! Many equal pieces of work over the process's thread budget.

use std::path::Path;
use std::sync::Mutex;

use crate::error::{contain_panics, panic_message, MediaError, Result};
use crate::interrupt::Interrupt;
use crate::threads::Helpers;

/// Works off `jobs` in order on this thread and as many helpers as the budget has, at most
/// `threads` in all; returns what `work` gave, in the jobs' order.
///
/// `prepare` makes what one thread keeps from job to job.
pub(crate) fn map<J: Send, S, R: Send>(
    jobs: impl ExactSizeIterator<Item = J> + Send,
    threads: Option<usize>,
    path: &Path,
    interrupt: &Interrupt<'_>,
    prepare: impl Fn() -> Result<S> + Sync,
    work: impl Fn(&mut S, J) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let count = jobs.len();
    let others = threads.map_or(count, |limit| count.min(limit)).saturating_sub(1);
    let helpers = Helpers::borrow(others);
    let queue = Mutex::new(jobs.enumerate());
    let next = || queue.lock().ok().and_then(|mut jobs| jobs.next());
    let run = || {
        let mut state = None;
        let mut done = Vec::new();
        while let Some((position, job)) = next() {
            interrupt.check(path)?;
            let state = match &mut state {
                Some(state) => state,
                none => none.insert(prepare()?),
            };
            // The others' work would be thrown away.
            let result = work(state, job).inspect_err(|_| interrupt.stop())?;
            done.push((position, result));
        }
        Ok(done)
    };
    let results = std::thread::scope(|scope| {
        let mut threads = Vec::with_capacity(helpers.count());
        for _ in 0..helpers.count() {
            let work = || contain_panics(path, run);
            threads.push(std::thread::Builder::new().spawn_scoped(scope, work));
        }
        let mut results = vec![contain_panics(path, run)];
        for thread in threads.into_iter().flatten() {
            results.push(thread.join().unwrap_or_else(|payload| {
                Err(MediaError::internal(path, panic_message(payload.as_ref())))
            }));
        }
        results
    });
    in_order(results, count)
}

/// Joins the threads' results; a real error wins over being told to stop because of it.
fn in_order<R>(results: Vec<Result<Vec<(usize, R)>>>, count: usize) -> Result<Vec<R>> {
    let mut done = Vec::with_capacity(count);
    let mut interrupted = None;
    for result in results {
        match result {
            Ok(part) => done.extend(part),
            Err(error @ MediaError::Interrupted { .. }) => interrupted = Some(error),
            Err(error) => return Err(error),
        }
    }
    if let Some(error) = interrupted {
        return Err(error);
    }
    done.sort_unstable_by_key(|(position, _)| *position);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::never;

    #[test]
    fn results_come_in_the_jobs_order() {
        let squares = map(
            0..100_u32,
            None,
            Path::new("x"),
            &Interrupt::new(&never),
            || Ok(()),
            |(), n| Ok(n * n),
        )
        .unwrap();
        assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
    }

    #[test]
    fn the_first_real_error_is_told() {
        let path = Path::new("x");
        let error = map(
            0..100_u32,
            None,
            path,
            &Interrupt::new(&never),
            || Ok(()),
            |(), n| if n == 7 { Err(MediaError::unsupported(path, "seven")) } else { Ok(n) },
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "x: seven");
    }
}
