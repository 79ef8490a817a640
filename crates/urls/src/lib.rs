//! Images by address: what the engine's stage of fetches uses, where a user has allowed it.
//!
//! Addresses come from tables, and tables from anywhere, so whoever wrote one must not be able to reach through us what only we can
//! reach. [`Urls`] fetches `http` and `https` alone; each name on the way, that of a redirect too, is looked up here and the connection is
//! made to the very address that was looked at (`resolve`), which must be one of the public internet (`public`) unless the user has
//! named the host ([`Host`]). Time, bytes and redirects are limited (`limits`), no proxy of the environment is used, and no message
//! repeats what may be a secret of an address ([`imbed_core::address`]).

mod address;
mod failure;
mod host;
mod limits;
mod public;
mod request;
mod resolve;
mod urls;

pub use host::Host;
pub use limits::Limits;
pub use public::why_not_public;
pub use urls::Urls;
