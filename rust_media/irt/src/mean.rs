//! The mean of the posterior, by quadrature.

use crate::ability::{Estimate, Estimation};
use crate::model::total_information;

/// The posterior of an ability on equally spaced nodes, extended answer by answer.
#[derive(Debug, Clone)]
pub(crate) struct Posterior {
    options: Estimation,
    nodes: Vec<f64>,
    log_likelihoods: Vec<f64>,
}

impl Posterior {
    /// The prior alone.
    pub(crate) fn new(options: &Estimation) -> Self {
        // Two nodes are the least that a trapezoid has.
        let last = options.nodes.max(2) - 1;
        let width = (options.high - options.low) / last as f64;
        let mut nodes: Vec<f64> = (0..last).map(|k| options.low + k as f64 * width).collect();
        nodes.push(options.high);
        let log_likelihoods = vec![0.0; nodes.len()];
        Self { options: *options, nodes, log_likelihoods }
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
        let mut weights = self.log_likelihoods.clone();
        for (weight, node) in weights.iter_mut().zip(&self.nodes) {
            let distance = (node - self.options.prior_mean) / self.options.prior_sd;
            *weight -= 0.5 * distance * distance;
        }
        let highest = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for weight in &mut weights {
            *weight = (*weight - highest).exp();
        }
        // The trapezoid rule counts the outer nodes half.
        for outer in [0, self.nodes.len() - 1] {
            weights[outer] *= 0.5;
        }
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
