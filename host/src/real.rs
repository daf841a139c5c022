//! The real world: tokio's sockets and timers, the operating system's clock, randomness and files.
