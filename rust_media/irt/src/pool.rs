//! The most informative of the free items.

use crate::model::information_at;

/// Room for the rounding of an information next to its bound.
const SLACK: f64 = 1.0 + 1e-12;

/// A bank prepared for many selections: items in the order of their highest information.
#[derive(Debug, Clone)]
pub struct ItemPool {
    items: Vec<Item>,
    /// Discriminations by position in the bank.
    pub(crate) a: Vec<f64>,
    /// Difficulties by position in the bank.
    pub(crate) b: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Item {
    weight: f64,
    slope: f64,
    difficulty: f64,
    position: usize,
}

impl ItemPool {
    /// Prepares items; `a` and `b` have the same length and are finite.
    #[must_use]
    pub fn new(a: &[f64], b: &[f64], scale: f64) -> Self {
        let prepared = |(position, (a, b)): (usize, (&f64, &f64))| {
            let slope = scale * a;
            Item { weight: slope * slope, slope, difficulty: *b, position }
        };
        let mut items: Vec<Item> = a.iter().zip(b).enumerate().map(prepared).collect();
        items.sort_by(|one, other| other.weight.total_cmp(&one.weight));
        Self { items, a: a.to_vec(), b: b.to_vec() }
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The free item of highest information at `ability`, of equal ones the first in the bank.
    ///
    /// `free` has one flag per item. P (1 - P) = 1 / (2 + 2 cosh z) lies below both 1/4 and
    /// 1 / (4 + z² + z⁴/12), so most items are ruled out without an exponential, and the rest
    /// of the order as soon as a quarter of the weight is below the best.
    #[must_use]
    pub fn select(&self, free: &[bool], ability: f64) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for item in &self.items {
            let (highest, first) = best.unwrap_or((-1.0, usize::MAX));
            if item.weight * 0.25 < highest {
                break;
            }
            if !free[item.position] {
                continue;
            }
            let z = item.slope * (ability - item.difficulty);
            let square = z * z;
            let bound = item.weight / (4.0 + square + square * square * (1.0 / 12.0));
            if bound * SLACK < highest {
                continue;
            }
            let information = information_at(item.weight, z);
            let wins = information > highest || (information >= highest && item.position < first);
            if wins {
                best = Some((information, item.position));
            }
        }
        best.map(|(_, position)| position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers in [0, 1) that look random enough.
    fn noise(state: &mut u64) -> f64 {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn plain(a: &[f64], b: &[f64], free: &[bool], ability: f64) -> Option<usize> {
        let at = |(a, b): (&f64, &f64)| information_at(a * a, a * (ability - b));
        let all: Vec<f64> = a.iter().zip(b).map(at).collect();
        let open = (0..a.len()).filter(|&i| free[i]);
        open.fold(None, |best, i| match best {
            Some(k) if all[i] <= all[k] => Some(k),
            _ => Some(i),
        })
    }

    #[test]
    fn skipping_never_changes_the_choice() {
        let mut state = 7;
        for round in 0..200 {
            let steep = if round % 3 == 0 { 40.0 } else { 3.0 };
            let a: Vec<f64> = (0..90).map(|_| steep * noise(&mut state) - 0.5).collect();
            let b: Vec<f64> = (0..90).map(|_| 8.0 * noise(&mut state) - 4.0).collect();
            let free: Vec<bool> = (0..90).map(|_| noise(&mut state) < 0.7).collect();
            let ability = 10.0 * noise(&mut state) - 5.0;
            let found = ItemPool::new(&a, &b, 1.0).select(&free, ability);
            assert_eq!(found, plain(&a, &b, &free, ability));
        }
    }

    #[test]
    fn equal_items_are_taken_in_their_order() {
        let pool = ItemPool::new(&[1.0, 2.0, 2.0, 2.0], &[0.0; 4], 1.0);
        assert_eq!(pool.select(&[true; 4], 0.3), Some(1));
        assert_eq!(pool.select(&[true, false, true, true], 0.3), Some(2));
        assert_eq!(pool.select(&[true, false, false, false], 0.3), Some(0));
        assert_eq!(pool.select(&[false; 4], 0.3), None);
    }

    #[test]
    fn items_without_any_information_left_are_taken_in_their_order() {
        let pool = ItemPool::new(&[500.0, 900.0, 700.0], &[-4.0; 3], 1.0);
        assert_eq!(pool.select(&[true; 3], 4.0), Some(0));
    }
}
