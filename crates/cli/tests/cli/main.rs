//! The `imbed` binary as a user meets it: arguments in, files, messages and exit codes out. One module per topic.

#[cfg(target_os = "linux")]
mod bad_sector;
#[cfg(all(unix, feature = "sql"))]
mod buckets;
mod errors_and_exit_codes;
mod explain;
#[cfg(feature = "sql")]
mod faulty;
mod fixture;
mod hostile;
mod hub;
mod inputs;
mod inspect;
mod observing;
mod outputs;
#[cfg(unix)]
mod resume;
mod reuse;
#[cfg(feature = "sql")]
#[path = "../../../datafusion/tests/support/s3.rs"]
mod s3;
mod secrets;
#[path = "../../../hub/tests/support/server.rs"]
mod server;
mod similar;
#[cfg(feature = "sql")]
mod sql;
mod urls;
mod web;
