//! Item response theory on arrays of `NumPy` columns.

use std::num::NonZeroUsize;

use ::irt::{Estimation, ItemPool, Method, Replay};
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Method, mean and SD of the prior, bounds, scale, nodes of the mean's quadrature.
type Options = (String, f64, f64, f64, f64, f64, usize);

type Table<'py> = (Bound<'py, PyArray2<i64>>, Bound<'py, PyArray2<f64>>, Bound<'py, PyArray2<f64>>);

fn estimation(options: &Options) -> PyResult<Estimation> {
    let (method, prior_mean, prior_sd, low, high, scale, nodes) = options;
    let method = match method.as_str() {
        "map" => Method::Mode,
        "mle" => Method::Likelihood,
        "eap" => Method::Mean,
        other => return Err(PyValueError::new_err(format!("no estimation method {other:?}"))),
    };
    let (prior_mean, prior_sd, low, high) = (*prior_mean, *prior_sd, *low, *high);
    Ok(Estimation { method, prior_mean, prior_sd, low, high, scale: *scale, nodes: *nodes })
}

fn same_length(lengths: &[usize]) -> PyResult<()> {
    if lengths.windows(2).all(|pair| pair[0] == pair[1]) {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("columns have the lengths {lengths:?}")))
}

/// Estimates an ability from answered items: value, standard error, information, at a bound.
#[pyfunction]
#[pyo3(signature = (a, b, right, start, options))]
pub fn irt_estimate(
    py: Python<'_>,
    a: PyReadonlyArray1<'_, f64>,
    b: PyReadonlyArray1<'_, f64>,
    right: PyReadonlyArray1<'_, bool>,
    start: f64,
    options: Options,
) -> PyResult<(f64, f64, f64, bool)> {
    let (a, b, right) = (a.as_slice()?, b.as_slice()?, right.as_slice()?);
    same_length(&[a.len(), b.len(), right.len()])?;
    let options = estimation(&options)?;
    let found = py.detach(|| ::irt::estimate(a, b, right, start, &options));
    Ok((found.value, found.stderr, found.information, found.at_bound))
}

/// Replays the answers of many subjects: items, abilities and standard errors, each of the shape
/// (subjects, steps), -1 and NaN after the last item.
#[pyfunction]
#[pyo3(signature = (a, b, responses, starts, length, options, threads))]
// The names of the call are the documentation of it.
#[allow(clippy::too_many_arguments)]
pub fn irt_trajectories<'py>(
    py: Python<'py>,
    a: PyReadonlyArray1<'py, f64>,
    b: PyReadonlyArray1<'py, f64>,
    responses: PyReadonlyArray2<'py, i8>,
    starts: PyReadonlyArray1<'py, f64>,
    length: usize,
    options: Options,
    threads: usize,
) -> PyResult<Table<'py>> {
    let (a, b, starts) = (a.as_slice()?, b.as_slice()?, starts.as_slice()?);
    let responses = responses.as_slice()?;
    same_length(&[a.len(), b.len()])?;
    same_length(&[responses.len(), starts.len() * a.len()])?;
    let replay = Replay { length, estimation: estimation(&options)? };
    let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
    let table = py.detach(|| {
        let pool = ItemPool::new(a, b, replay.estimation.scale);
        ::irt::trajectories(&pool, responses, starts, &replay, threads)
    });
    let shape = [starts.len(), length.min(a.len())];
    Ok((
        PyArray1::from_vec(py, table.items).reshape(shape)?,
        PyArray1::from_vec(py, table.abilities).reshape(shape)?,
        PyArray1::from_vec(py, table.stderrs).reshape(shape)?,
    ))
}

/// Items prepared for many selections.
#[pyclass(frozen, module = "lmms._media", name = "ItemPool")]
pub struct PyItemPool {
    pool: ItemPool,
}

#[pymethods]
impl PyItemPool {
    #[new]
    #[pyo3(signature = (a, b, scale))]
    fn new(
        a: PyReadonlyArray1<'_, f64>,
        b: PyReadonlyArray1<'_, f64>,
        scale: f64,
    ) -> PyResult<Self> {
        let (a, b) = (a.as_slice()?, b.as_slice()?);
        same_length(&[a.len(), b.len()])?;
        Ok(Self { pool: ItemPool::new(a, b, scale) })
    }

    /// The free item of highest information at an ability, of equal ones the first.
    #[pyo3(signature = (free, ability))]
    fn select(
        &self,
        py: Python<'_>,
        free: PyReadonlyArray1<'_, bool>,
        ability: f64,
    ) -> PyResult<Option<usize>> {
        let free = free.as_slice()?;
        same_length(&[free.len(), self.pool.len()])?;
        Ok(py.detach(|| self.pool.select(free, ability)))
    }
}
