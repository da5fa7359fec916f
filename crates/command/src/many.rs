//! One thing done to many: side by side, told in the order given, and one that fails does not stop the others.

use futures_util::future::join_all;

use crate::exit;
use crate::failure::Failure;

/// Does `work` to all `names` at once. Prints what each gives, or why it failed, in their order.
pub async fn each<W>(names: &[String], work: impl Fn(String) -> W) -> i32
where
    W: Future<Output = Result<String, Failure>>,
{
    each_giving(names, work, |text| crate::print::line(&text)).await
}

/// Does `work` to all `names` at once. Takes what each gives, or prints why it failed, in their order.
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
