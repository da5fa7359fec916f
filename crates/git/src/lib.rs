//! Git on repositories that others may have made.
