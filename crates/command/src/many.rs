//! Runs one operation on many objects in parallel; one that fails does not stop the others. Results are printed in the
//! given order.

use futures_util::future::join_all;
use serde::Serialize;

use crate::exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::print;
use crate::progress::Display;

/// What became of one of many objects, in JSON: its name, and what else there is to know.
#[derive(Debug, Serialize)]
pub struct Done<T> {
    name: String,
    #[serde(flatten)]
    more: T,
}

impl<T> Done<T> {
    /// The outcome for the object of this name.
    pub fn new(name: String, more: T) -> Self {
        Self { name, more }
    }
}

impl Done<()> {
    /// An object of which only the name is left.
    pub fn name(name: String) -> Self {
        Self { name, more: () }
    }
}

/// Runs `work` for all `names` in parallel. Prints the name of each that is done, or its error, in order; as JSON, an array
/// of what the works return.
///
/// # Errors
/// When the results cannot be written as JSON.
pub async fn each<T, W>(output: Output, names: &[String], work: impl Fn(String) -> W) -> Result<i32, Failure>
where
    T: Serialize,
    W: Future<Output = Result<T, Failure>>,
{
    each_under(None, output, names, work).await
}

/// Like [`each`], under a display, which is cleared before anything is printed.
///
/// # Errors
/// When the results cannot be written as JSON.
pub async fn each_under<T, W>(
    display: Option<Display>,
    output: Output,
    names: &[String],
    work: impl Fn(String) -> W,
) -> Result<i32, Failure>
where
    T: Serialize,
    W: Future<Output = Result<T, Failure>>,
{
    let mut done = Vec::new();
    let one = async |name: &String| Ok((name.clone(), work(name.clone()).await?));
    let outcomes = join_all(names.iter().map(one)).await;
    drop(display);
    let code = settled(names, outcomes, |(name, one)| match output.json {
        true => done.push(one),
        false => print::line(&name),
    });
    if output.json {
        print::json(&done)?;
    }
    Ok(code)
}

/// Runs `work` for all `names` in parallel. Passes each result to `take`, or prints its error, in order.
pub async fn each_giving<T, W>(names: &[String], work: impl Fn(String) -> W, take: impl FnMut(T)) -> i32
where
    W: Future<Output = Result<T, Failure>>,
{
    settled(
        names,
        join_all(names.iter().map(|name| work(name.clone()))).await,
        take,
    )
}

/// Passes each result to `take`, or prints its error; returns the exit code.
fn settled<T>(names: &[String], outcomes: Vec<Result<T, Failure>>, mut take: impl FnMut(T)) -> i32 {
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
