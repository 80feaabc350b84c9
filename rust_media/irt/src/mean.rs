//! The mean of the posterior, by quadrature.

use crate::ability::{Estimate, Estimation};
use crate::model::total_information;

/// Nodes over the bounds; catR's default.
const NODES: usize = 33;

/// The posterior of an ability on equally spaced nodes, extended answer by answer.
#[derive(Debug, Clone)]
pub(crate) struct Posterior {
    options: Estimation,
    nodes: [f64; NODES],
    log_likelihoods: [f64; NODES],
}

impl Posterior {
    /// The prior alone.
    pub(crate) fn new(options: &Estimation) -> Self {
        let width = (options.high - options.low) / (NODES - 1) as f64;
        let mut nodes = [options.high; NODES];
        for (k, node) in nodes.iter_mut().take(NODES - 1).enumerate() {
            *node = options.low + k as f64 * width;
        }
        Self { options: *options, nodes, log_likelihoods: [0.0; NODES] }
    }

    /// Takes an answer in.
    pub(crate) fn observe(&mut self, a: f64, b: f64, right: bool) {
        for (node, log_likelihood) in self.nodes.iter().zip(&mut self.log_likelihoods) {
            let z = self.options.scale * a * (node - b);
            let signed = if right { z } else { -z };
            *log_likelihood += signed.min(0.0) - (-z.abs()).exp().ln_1p();
        }
    }

    /// Mean and standard deviation; `a` and `b` are the answered items.
    pub(crate) fn estimate(&self, a: &[f64], b: &[f64]) -> Estimate {
        let mut weights = self.log_likelihoods;
        for (weight, node) in weights.iter_mut().zip(&self.nodes) {
            let distance = (node - self.options.prior_mean) / self.options.prior_sd;
            *weight -= 0.5 * distance * distance;
        }
        let highest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for weight in &mut weights {
            *weight = (*weight - highest).exp();
        }
        // The trapezoid rule counts the outer nodes half.
        weights[0] *= 0.5;
        weights[NODES - 1] *= 0.5;
        let total: f64 = weights.iter().sum();
        let mean = |of: &dyn Fn(f64) -> f64| {
            let terms = self.nodes.iter().zip(&weights).map(|(node, weight)| weight * of(*node));
            terms.sum::<f64>() / total
        };
        let value = mean(&|node| node);
        let stderr = mean(&|node| (node - value) * (node - value)).sqrt();
        let information = total_information(a, b, value, self.options.scale);
        Estimate { value, stderr, information, at_bound: false }
    }
}
