//! URLs as people may see them.

use reqwest::Url;

/// A URL without what may be secret in it.
pub fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // These fail for URLs that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}
