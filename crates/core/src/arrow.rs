//! Columns of embeddings and of images, and the image operations over whole columns.
//!
//! Encoded images come in any binary type ([`BytesColumn`]), paths and URLs in any text type ([`StringsColumn`]). Decoded
//! images are tensors in Arrow's canonical extension types ([`ImageType`]), read back by [`ImageColumn`]. [`kernels`] go
//! from column to column: null in, null out, order kept, rows in parallel. Vectors of any float type, in any list type, are read by
//! [`VectorColumn`].

mod bytes;
mod comparison;
mod embedding;
mod image_array;
mod image_type;
pub mod kernels;
mod lists;
mod provenance;
mod strings;
mod vectors;

pub use bytes::BytesColumn;
pub use comparison::Comparison;
pub use embedding::{EmbeddingBuilder, embedding_field, embedding_type, embeddings_from_parts};
pub use image_array::{ImageColumn, images_to_array};
pub use image_type::ImageType;
pub use provenance::Provenance;
pub use strings::StringsColumn;
pub use vectors::{Vector, VectorColumn};
