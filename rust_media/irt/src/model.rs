//! Probabilities and information of items.

/// P(right) and P(wrong) at `z` = D a (ability - b), both without cancellation.
#[inline]
pub(crate) fn probabilities(z: f64) -> (f64, f64) {
    let tail = (-z.abs()).exp();
    let near = 1.0 / (1.0 + tail);
    let far = tail / (1.0 + tail);
    if z >= 0.0 {
        (near, far)
    } else {
        (far, near)
    }
}

/// Fisher information of an item whose squared slope is `weight`.
///
/// P (1 - P) first, then times the weight, and 1 - P by subtraction: ties between items fall as
/// in Fluid Benchmarking only with the same rounding.
#[inline]
pub(crate) fn information_at(weight: f64, z: f64) -> f64 {
    let (right, _) = probabilities(z);
    weight * (right * (1.0 - right))
}

/// Fisher information of some items together; `a` and `b` have the same length.
pub(crate) fn total_information(a: &[f64], b: &[f64], ability: f64, scale: f64) -> f64 {
    let at = |(a, b): (&f64, &f64)| {
        let slope = scale * a;
        information_at(slope * slope, slope * (ability - b))
    };
    a.iter().zip(b).map(at).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_keep_both_tails() {
        let (right, wrong) = probabilities(800.0);
        assert!((right - 1.0).abs() < f64::EPSILON && wrong == 0.0);
        let (right, wrong) = probabilities(-50.0);
        assert!(right > 0.0 && (right / (-50.0_f64).exp() - 1.0).abs() < 1e-12);
        assert!((wrong - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn information_is_highest_where_ability_equals_difficulty() {
        let found = information_at(4.0, 0.0);
        assert!((found - 1.0).abs() < f64::EPSILON);
        assert!(information_at(4.0, 0.5) < found);
        assert!((information_at(4.0, 0.5) - information_at(4.0, -0.5)).abs() < 1e-15);
    }
}
