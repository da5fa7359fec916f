//! What a wrong key was probably meant to be.

/// serde lists what it expected in place of an unknown key; the nearest of those is probably what was meant.
pub(crate) fn suggestion(message: &str) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown field").then(|| quoted.next())??;
    let near = banger_request::nearest(unknown, quoted)?;
    Some(format!("did you mean `{near}`?"))
}
