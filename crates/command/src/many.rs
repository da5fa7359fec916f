//! Runs one operation on many objects in parallel; one that fails does not stop the others. Results are printed in the
//! given order.

use futures_util::future::join_all;

use crate::exit;
use crate::failure::Failure;

/// Runs `work` for all `names` in parallel. Prints the result or error of each, in order.
pub async fn each<W>(names: &[String], work: impl Fn(String) -> W) -> i32
where
    W: Future<Output = Result<String, Failure>>,
{
    each_giving(names, work, |text| crate::print::line(&text)).await
}

/// Runs `work` for all `names` in parallel. Passes each result to `take`, or prints its error, in order.
pub async fn each_giving<T, W>(names: &[String], work: impl Fn(String) -> W, mut take: impl FnMut(T)) -> i32
where
    W: Future<Output = Result<T, Failure>>,
{
    let outcomes = join_all(names.iter().map(|name| work(name.clone()))).await;
    let mut codes = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(given) => take(given),
            Err(failure) => codes.push(failure.report()),
        }
    }
    match codes[..] {
        [] => exit::OK,
        [one] if names.len() == 1 => one,
        _ => exit::FAILED,
    }
}
