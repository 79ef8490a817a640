//! Factors that a pass would multiply every activation by, put into the weights once.
//!
//! Each saves a trip of large tensors through a GPU's memory, which is what element-wise operations cost there.

use candle_core::{Result, Tensor};
use imbed_vision::{
    Activation, Architecture, VisionTransformer,
    architecture::MlpKind,
    model::{Linear, Mlp},
};

/// The factor in `x * sigmoid(1.702 x)`, by which that comes near GELU (Hendrycks and Gimpel, arXiv 1606.08415).
pub(super) const QUICK_GELU: f64 = 1.702;

/// What a plain MLP applies between its products once [`into_weights`] has been there.
pub(super) fn activation(shape: &Architecture) -> Activation {
    // x sigmoid(c x) = silu(c x) / c.
    if shape.activation == Activation::QuickGelu { Activation::Silu } else { shape.activation }
}

/// Divides queries by the root of a head's size, and has plain MLPs with quick GELU compute it by `SiLU`, which is one operation.
pub(super) fn into_weights(model: &mut VisionTransformer<Tensor>) -> Result<()> {
    let shape = &model.architecture;
    let scale = 1.0 / (shape.head_size() as f64).sqrt();
    for block in &mut model.blocks {
        scale_queries(&mut block.qkv, shape.hidden, scale)?;
        quick_gelu(&mut block.mlp, shape)?;
    }
    if let Some((_, mlp)) = model.pool.as_mut().and_then(|pool| pool.mlp.as_mut()) {
        quick_gelu(mlp, shape)?;
    }
    Ok(())
}

fn scale_queries(qkv: &mut Linear<Tensor>, hidden: usize, scale: f64) -> Result<()> {
    let scaled = |tensor: &Tensor| {
        let rest = tensor.dim(0)? - hidden;
        Tensor::cat(&[&(tensor.narrow(0, 0, hidden)? * scale)?, &tensor.narrow(0, hidden, rest)?], 0)
    };
    qkv.weight = scaled(&qkv.weight)?;
    qkv.bias = qkv.bias.as_ref().map(scaled).transpose()?;
    Ok(())
}

fn quick_gelu(mlp: &mut Mlp<Tensor>, shape: &Architecture) -> Result<()> {
    if shape.activation != Activation::QuickGelu || shape.mlp != MlpKind::Plain {
        return Ok(());
    }
    mlp.fc1.weight = (&mlp.fc1.weight * QUICK_GELU)?;
    mlp.fc1.bias = mlp.fc1.bias.as_ref().map(|bias| bias * QUICK_GELU).transpose()?;
    mlp.fc2.weight = (&mlp.fc2.weight / QUICK_GELU)?;
    Ok(())
}
