//! The two-parameter logistic model of item response theory.
//!
//! [`estimate`] finds an ability from answers, [`ItemPool`] the most informative free item,
//! [`trajectory`] and [`trajectories`] replay known answers in the order in which an adaptive test
//! would have asked for them. The arithmetic follows `lmms/adaptive/reference.py` operation by
//! operation; only sums may differ in their last digits.

mod ability;
mod mean;
mod model;
mod pool;
mod replay;

pub use ability::{estimate, Estimate, Estimation, Method};
pub use pool::ItemPool;
pub use replay::{trajectories, trajectory, Replay, Table, Trajectory};
