//! A model over candle's tensors.

use candle_core::{Device, Result, Tensor};
use imbed_vision::{Array, VisionTransformer};

/// `model` with tensors in the processor's memory, whose numbers are not copied, and a query that has been through its own
/// product.
pub(crate) fn with_tensors(model: VisionTransformer) -> Result<VisionTransformer<Tensor>> {
    let mut model = model.try_map(tensor)?;
    if let Some(pool) = &mut model.pool
        && let Some(product) = pool.query_product.take()
    {
        let query = pool.query.unsqueeze(0)?.matmul(&product.weight.t()?)?.flatten_all()?;
        pool.query = product.bias.map_or(Ok(query.clone()), |bias| query + bias)?;
    }
    Ok(model)
}

fn tensor(array: Array) -> Result<Tensor> {
    let shape = array.shape().to_vec();
    Tensor::from_vec(array.into_values(), shape, &Device::Cpu)
}
