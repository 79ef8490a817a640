//! `OpenAI`'s own API. It embeds text only, so images are refused by name.

/// The value of the option `dialect`.
pub(super) const NAME: &str = "openai";

/// Why images cannot be sent there.
pub(super) const WHY_NOT: &str = "the dialect openai embeds text only: OpenAI's API takes no images for embeddings";
