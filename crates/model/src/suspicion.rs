//! Files that look like secrets by their names: they stay on the host unless they are under version control.

/// Names that are secrets as a whole.
const NAMES: [&str; 17] = [
    ".env",
    ".envrc",
    ".netrc",
    "_netrc",
    ".npmrc",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".git-credentials",
    ".htpasswd",
    "credentials",
    "credentials.json",
    "id_dsa",
    "id_ecdsa",
    "id_ed25519",
    "id_rsa",
    "service-account.json",
];

/// Endings of key and secret stores.
const ENDINGS: [&str; 13] = [
    ".pem",
    ".key",
    ".p12",
    ".pfx",
    ".jks",
    ".keystore",
    ".kdbx",
    ".ppk",
    ".asc.key",
    ".tfstate",
    ".ovpn",
    ".age",
    ".gpg",
];

/// Stems of files that hold secrets in any of the usual formats.
const STEMS: [&str; 2] = ["secrets", "secret"];
const FORMATS: [&str; 6] = ["yml", "yaml", "json", "toml", "env", "ini"];

/// Endings that mark a file as an example for others.
const EXAMPLES: [&str; 6] = ["example", "sample", "template", "dist", "defaults", "schema"];

/// Why the file at `path`, of which only the last part counts, looks like a secret; nothing if it does not.
pub fn suspicion(path: &[u8]) -> Option<String> {
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    if name
        .rsplit_once('.')
        .is_some_and(|(_, ending)| EXAMPLES.contains(&ending))
    {
        return None;
    }
    let whole = NAMES.contains(&name.as_str());
    let environment = name.starts_with(".env.");
    let ending = ENDINGS.iter().any(|ending| name.ends_with(ending));
    let store = name
        .split_once('.')
        .is_some_and(|(stem, format)| STEMS.contains(&stem) && FORMATS.contains(&format));
    (whole || environment || ending || store).then(|| format!("looks like a secret ({name})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_environments_are_suspicious_and_examples_are_not() {
        for path in [
            ".env",
            "a/.env.production",
            "deploy/server.PEM",
            "id_ed25519",
            "config/secrets.yml",
            "infra/terraform.tfstate",
        ] {
            assert!(suspicion(path.as_bytes()).is_some(), "{path}");
        }
        for path in [
            ".env.example",
            "env",
            "src/secret.rs",
            "keys.txt",
            "id_ed25519.pub",
            "README.md",
        ] {
            assert!(suspicion(path.as_bytes()).is_none(), "{path}");
        }
    }
}
