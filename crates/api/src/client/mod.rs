//! A client of the daemon's API over its Unix socket.
