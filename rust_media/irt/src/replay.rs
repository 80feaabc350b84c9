//! Adaptive tests over answers that are known already.

use std::num::NonZeroUsize;

use crate::ability::{estimate, Estimation, Method};
use crate::mean::Posterior;
use crate::pool::ItemPool;

/// How a test goes.
#[derive(Debug, Clone, Copy)]
pub struct Replay {
    /// How many items are asked at most.
    pub length: usize,
    /// How abilities are estimated.
    pub estimation: Estimation,
}

/// What was asked, and the ability after each answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trajectory {
    /// Positions in the bank, in the order of asking.
    pub items: Vec<i64>,
    /// Abilities, one per item.
    pub abilities: Vec<f64>,
    /// Their standard errors; NaN where there is none.
    pub stderrs: Vec<f64>,
}

/// Trajectories of many subjects, each row `length` long; -1 and NaN after the last item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Positions in the bank, subjects x length.
    pub items: Vec<i64>,
    /// Abilities, subjects x length.
    pub abilities: Vec<f64>,
    /// Standard errors, subjects x length.
    pub stderrs: Vec<f64>,
}

/// Replays one subject's answers: 1 right, 0 wrong, anything else is never asked.
///
/// `responses` has one value per item of the pool.
#[must_use]
pub fn trajectory(pool: &ItemPool, responses: &[i8], start: f64, replay: &Replay) -> Trajectory {
    let mut free: Vec<bool> = responses.iter().map(|r| matches!(r, 0 | 1)).collect();
    let mut found = Trajectory::default();
    let (mut a, mut b, mut right) = (Vec::new(), Vec::new(), Vec::new());
    let mut ability = start;
    let mut posterior = Posterior::new(&replay.estimation);
    while found.items.len() < replay.length {
        let Some(item) = pool.select(&free, ability) else { break };
        free[item] = false;
        a.push(pool.a[item]);
        b.push(pool.b[item]);
        right.push(responses[item] == 1);
        let after = if replay.estimation.method == Method::Mean {
            posterior.observe(pool.a[item], pool.b[item], responses[item] == 1);
            posterior.estimate(&a, &b)
        } else {
            estimate(&a, &b, &right, ability, &replay.estimation)
        };
        ability = after.value;
        found.items.push(item as i64);
        found.abilities.push(after.value);
        found.stderrs.push(after.stderr);
    }
    found
}

/// Replays the answers of many subjects, some at a time.
///
/// `responses` has one row per subject and one column per item of the pool, `starts` one ability
/// per subject. The result does not depend on `threads`.
#[must_use]
pub fn trajectories(
    pool: &ItemPool,
    responses: &[i8],
    starts: &[f64],
    replay: &Replay,
    threads: NonZeroUsize,
) -> Table {
    let length = replay.length.min(pool.len());
    let size = starts.len() * length;
    let mut table = Table {
        items: vec![-1; size],
        abilities: vec![f64::NAN; size],
        stderrs: vec![f64::NAN; size],
    };
    if size == 0 {
        return table;
    }
    let share = starts.len().div_ceil(threads.get());
    let rows = responses.chunks(share * pool.len()).zip(starts.chunks(share));
    let parts = table
        .items
        .chunks_mut(share * length)
        .zip(table.abilities.chunks_mut(share * length))
        .zip(table.stderrs.chunks_mut(share * length));
    std::thread::scope(|scope| {
        for ((responses, starts), ((items, abilities), stderrs)) in rows.zip(parts) {
            scope.spawn(move || {
                for (row, (subject, start)) in responses.chunks(pool.len()).zip(starts).enumerate()
                {
                    let found = trajectory(pool, subject, *start, replay);
                    let place = row * length..row * length + found.items.len();
                    items[place.clone()].copy_from_slice(&found.items);
                    abilities[place.clone()].copy_from_slice(&found.abilities);
                    stderrs[place].copy_from_slice(&found.stderrs);
                }
            });
        }
    });
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(length: usize) -> Replay {
        let estimation = Estimation {
            method: Method::Mode,
            prior_mean: 0.0,
            prior_sd: 1.0,
            low: -4.0,
            high: 4.0,
            scale: 1.0,
            nodes: 33,
        };
        Replay { length, estimation }
    }

    fn pool() -> ItemPool {
        let a: Vec<f64> = (0..40).map(|i| 0.5 + f64::from(i % 7) * 0.3).collect();
        let b: Vec<f64> = (0..40).map(|i| f64::from(i * 17 % 40) / 10.0 - 2.0).collect();
        ItemPool::new(&a, &b, 1.0)
    }

    #[test]
    fn every_item_is_asked_once_and_missing_ones_never() {
        let mut responses = vec![1_i8; 40];
        responses[..10].fill(0);
        responses[30..].fill(-1);
        let found = trajectory(&pool(), &responses, 0.0, &replay(100));
        let mut asked = found.items.clone();
        asked.sort_unstable();
        assert_eq!(asked, (0..30).collect::<Vec<i64>>());
        assert_eq!(found.abilities.len(), 30);
        assert!(found.stderrs.windows(2).all(|pair| pair[1] < pair[0] + 0.05));
    }

    #[test]
    fn the_mean_step_by_step_is_the_mean_of_all_answers() {
        let mut replay = replay(40);
        replay.estimation.method = Method::Mean;
        let (pool, responses) = (pool(), [1, 0, 1, 1].repeat(10));
        let found = trajectory(&pool, &responses, 0.0, &replay);
        let take =
            |of: &[f64]| -> Vec<f64> { found.items.iter().map(|&i| of[i as usize]).collect() };
        let right: Vec<bool> = found.items.iter().map(|&i| responses[i as usize] == 1).collect();
        let whole = estimate(&take(&pool.a), &take(&pool.b), &right, 0.0, &replay.estimation);
        assert_eq!(found.abilities.last(), Some(&whole.value));
        assert_eq!(found.stderrs.last(), Some(&whole.stderr));
    }

    #[test]
    fn a_table_is_its_rows_whatever_the_threads() {
        let pool = pool();
        let responses: Vec<i8> = (0..5 * 40).map(|i| i8::from(i * 31 % 11 < 5)).collect();
        let starts = [0.0, -1.0, 1.0, 0.5, 2.0];
        let one = NonZeroUsize::MIN;
        let table = trajectories(&pool, &responses, &starts, &replay(7), one);
        for threads in [2, 3, 8] {
            let threads = NonZeroUsize::new(threads).unwrap_or(one);
            assert_eq!(table, trajectories(&pool, &responses, &starts, &replay(7), threads));
        }
        let third = trajectory(&pool, &responses[80..120], 1.0, &replay(7));
        assert_eq!(table.items[14..21], third.items);
        assert_eq!(table.abilities[14..21], third.abilities);
    }

    #[test]
    fn nothing_to_do_gives_nothing() {
        let table = trajectories(&pool(), &[], &[], &replay(7), NonZeroUsize::MIN);
        assert_eq!(table, Table::default());
        assert_eq!(trajectory(&pool(), &[1; 40], 0.0, &replay(0)), Trajectory::default());
    }
}
