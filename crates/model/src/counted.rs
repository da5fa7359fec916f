//! Numbers of things, in words.

/// `1 file` or `2 files`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_singular() {
        let said = |number| counted(number, "branch", "branches");
        assert_eq!(
            [said(0), said(1), said(2)],
            ["0 branches", "1 branch", "2 branches"]
        );
    }
}
