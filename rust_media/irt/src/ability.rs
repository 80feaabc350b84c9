//! Abilities from answers.

use crate::mean::Posterior;
use crate::model::{probabilities, total_information};

const MAX_STEPS: usize = 100;
const NEWTON_STEPS: usize = 50;
const STEP_TOLERANCE: f64 = 1e-10;

/// What is taken for the ability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The mode of the posterior.
    Mode,
    /// The maximum of the likelihood.
    Likelihood,
    /// The mean of the posterior.
    Mean,
}

/// How abilities are estimated.
#[derive(Debug, Clone, Copy)]
pub struct Estimation {
    /// What is taken for the ability.
    pub method: Method,
    /// Mean of the normal prior; not used by [`Method::Likelihood`].
    pub prior_mean: f64,
    /// Its standard deviation, positive.
    pub prior_sd: f64,
    /// The lowest ability that an estimate can have.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// The factor D in the exponent.
    pub scale: f64,
    /// Abilities that [`Method::Mean`] sums over, at least 2; it is exact as long as they lie no
    /// farther apart than the standard error.
    pub nodes: usize,
}

/// An ability and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The ability.
    pub value: f64,
    /// Its standard error; NaN if there is none.
    pub stderr: f64,
    /// Fisher information of the answered items at `value`.
    pub information: f64,
    /// Whether the estimate stands at a bound because the answers point beyond it.
    pub at_bound: bool,
}

/// The answered items.
#[derive(Clone, Copy)]
struct Answers<'a> {
    a: &'a [f64],
    b: &'a [f64],
    right: &'a [bool],
}

/// Estimates an ability from answered items.
///
/// `a`, `b` and `right` have the same length; `start` is where the iteration starts, and the
/// estimate of [`Method::Likelihood`] without any answer.
#[must_use]
pub fn estimate(
    a: &[f64],
    b: &[f64],
    right: &[bool],
    start: f64,
    options: &Estimation,
) -> Estimate {
    let answers = Answers { a, b, right };
    if options.method == Method::Mean {
        let mut posterior = Posterior::new(options);
        for ((a, b), right) in a.iter().zip(b).zip(right) {
            posterior.observe(*a, *b, *right);
        }
        return posterior.estimate(a, b);
    }
    let (value, at_bound) = root(answers, start, options);
    let information = total_information(a, b, value, options.scale);
    let stderr = match options.method {
        Method::Likelihood if at_bound || information <= 0.0 => f64::NAN,
        Method::Likelihood => 1.0 / information.sqrt(),
        _ => 1.0 / (options.prior_sd.powi(-2) + information).sqrt(),
    };
    Estimate { value, stderr, information, at_bound }
}

fn root(answers: Answers<'_>, start: f64, options: &Estimation) -> (f64, bool) {
    let (mut low, mut high) = (options.low, options.high);
    if answers.a.iter().all(|&a| a == 0.0) {
        let resting = if options.method == Method::Mode { options.prior_mean } else { start };
        return (resting.max(low).min(high), !(low < resting && resting < high));
    }
    // The score falls with ability, so its signs at the bounds say whether there is a root
    // between them: without this a flat score of steep items is taken for a root.
    if score(answers, low, options).0 <= 0.0 {
        return (low, true);
    }
    if score(answers, high, options).0 >= 0.0 {
        return (high, true);
    }
    let mut value = start.max(low).min(high);
    for step in 0..MAX_STEPS {
        let (height, slope) = score(answers, value, options);
        if height > 0.0 {
            low = value;
        } else {
            high = value;
        }
        let newton = value - height / slope;
        let trusted = slope < 0.0 && step < NEWTON_STEPS && (low..=high).contains(&newton);
        let following = if trusted { newton } else { 0.5 * (low + high) };
        let moved = (following - value).abs();
        value = following;
        if moved <= STEP_TOLERANCE {
            break;
        }
    }
    (value, false)
}

/// The derivative of the log likelihood (of the log posterior) and its slope.
fn score(answers: Answers<'_>, ability: f64, options: &Estimation) -> (f64, f64) {
    let (mut height, mut slope) = (0.0, 0.0);
    for ((a, b), right) in answers.a.iter().zip(answers.b).zip(answers.right) {
        let weight = options.scale * a;
        let (p, q) = probabilities(weight * (ability - b));
        height += weight * if *right { q } else { -p };
        slope -= weight * weight * (p * q);
    }
    if options.method == Method::Mode {
        let precision = options.prior_sd.powi(-2);
        height += (options.prior_mean - ability) * precision;
        slope -= precision;
    }
    (height, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(method: Method) -> Estimation {
        Estimation {
            method,
            prior_mean: 0.0,
            prior_sd: 1.0,
            low: -4.0,
            high: 4.0,
            scale: 1.0,
            nodes: 33,
        }
    }

    #[test]
    fn symmetric_answers_give_the_middle() {
        let (a, b, right) = ([1.5, 1.5], [-1.0, 1.0], [true, false]);
        for method in [Method::Mode, Method::Likelihood, Method::Mean] {
            let found = estimate(&a, &b, &right, 2.0, &with(method));
            assert!(found.value.abs() < 1e-9, "{method:?} {found:?}");
            assert!(found.stderr > 0.0 && !found.at_bound);
        }
    }

    #[test]
    fn a_flat_score_is_no_root() {
        let found = estimate(&[20.0], &[0.0], &[true], 2.0, &with(Method::Likelihood));
        assert!(found.at_bound && found.stderr.is_nan());
        assert!((found.value - 4.0).abs() < f64::EPSILON);
        let found = estimate(&[300.0], &[3.0], &[false], 0.0, &with(Method::Likelihood));
        assert!((found.value + 4.0).abs() < f64::EPSILON);
    }

    #[test]
    fn contradicting_steep_items_meet_in_the_middle() {
        let likelihood = with(Method::Likelihood);
        let found = estimate(&[60.0, 60.0], &[-1.0, 1.0], &[true, false], 3.0, &likelihood);
        assert!(found.value.abs() < 1e-6);
    }

    #[test]
    fn without_answers_the_prior_or_the_start_stays() {
        let found = estimate(&[], &[], &[], 1.0, &with(Method::Mode));
        assert!(found.value == 0.0 && (found.stderr - 1.0).abs() < 1e-15);
        let found = estimate(&[], &[], &[], 1.0, &with(Method::Likelihood));
        assert!((found.value - 1.0).abs() < 1e-15 && found.stderr.is_nan());
        let found = estimate(&[], &[], &[], 1.0, &with(Method::Mean));
        assert!(found.value.abs() < 1e-12 && (found.stderr - 1.0).abs() < 0.01);
    }
    #[test]
    fn enough_nodes_resolve_a_sharp_posterior() {
        let (a, b) = (vec![2.0; 400], vec![0.02; 400]);
        let right: Vec<bool> = (0..400).map(|i| i % 2 == 0).collect();
        let mean = |nodes| {
            estimate(&a, &b, &right, 0.0, &Estimation { nodes, ..with(Method::Mean) }).stderr
        };
        let mode = estimate(&a, &b, &right, 0.0, &with(Method::Mode)).stderr;
        assert!((mean(321) / mode - 1.0).abs() < 0.01);
        assert!(mean(33) < 0.5 * mode);
    }
}
