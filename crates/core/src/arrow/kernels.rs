//! The image operations over whole columns.
//!
//! Rows are worked on in parallel on rayon's pool of the caller. Nulls stay nulls and the order stays. A row that fails is
//! null in the result and reported beside it, or, under [`OnError::Raise`](crate::options::OnError::Raise), the first such
//! row is the error of the whole call.

mod convert;
mod crop;
mod decode;
mod encode;
mod pixels;
mod resize;
mod rows;

pub use convert::convert;
pub use crop::{CropBox, crop};
pub use decode::decode;
pub use encode::encode;
pub use pixels::{PixelRows, to_pixel_batch};
pub use resize::resize;
pub use rows::{EncodedRows, ImageRows, RowErrors};
