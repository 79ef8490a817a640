//! The forward pass of a checkpoint, in libtorch's operations.

use imbed_core::options::Pooling;
use imbed_vision::{
    Activation, Architecture, Array, Recent, Rotary, VisionTransformer,
    architecture::{MlpKind, NormKind, PositionShape, StemShape},
    model::{AttentionPool, Block, Conv, Linear, Mlp, Norm, Stem},
};
use tch::{Device, Kind, TchError, Tensor};

type Result<T> = std::result::Result<T, TchError>;

/// A checkpoint's model on a device.
#[derive(Debug)]
pub(crate) struct TensorModel {
    weights: Weights,
    frames: Recent<Frame>,
}

#[derive(Debug)]
struct Weights {
    model: VisionTransformer<Tensor>,
    device: Device,
    kind: Kind,
}

/// What all images of one size have in common.
#[derive(Debug)]
struct Frame {
    /// Of the patches, `[patches, hidden]`.
    positions: Tensor,
    /// The cosines and sines of all tokens, `[tokens, half]` each.
    rotary: Option<(Tensor, Tensor)>,
}

impl TensorModel {
    /// Moves the weights to `device` as `kind`.
    pub(crate) fn new(model: VisionTransformer, device: Device, kind: Kind) -> Result<Self> {
        let model = model.try_map(|array: Array| {
            let shape = sizes(array.shape());
            Tensor::f_from_slice(array.values())?.f_reshape(shape)?.f_to_device_(device, kind, false, false)
        })?;
        Ok(Self { weights: Weights { model, device, kind }, frames: Recent::default() })
    }

    /// The vectors, `[images, width]` in f32, of normalised pixels, `[images, 3, height, width]` of the model's number type.
    pub(crate) fn forward(&mut self, pixels: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = pixels.size4()?;
        let image = (height as usize, width as usize);
        let frame = self.frames.get(image, || self.weights.frame(image))?;
        self.weights.run(pixels, image, frame)
    }
}

impl Weights {
    fn run(&self, pixels: &Tensor, image: (usize, usize), frame: &Frame) -> Result<Tensor> {
        let shape = &self.model.architecture;
        let mut x = self.stem(pixels, shape.grid(image))?;
        if let Some(norm) = &self.model.patch_norm {
            x = normed(&x, norm, shape)?;
        }
        x = x.f_add(&frame.positions)?;
        if let Some(prefix) = &self.model.prefix {
            let (images, _, hidden) = x.size3()?;
            let prefix = prefix.f_unsqueeze(0)?.f_expand([images, shape.prefix as i64, hidden], false)?;
            x = Tensor::f_cat(&[prefix, x], 1)?;
        }
        if let Some(norm) = &self.model.pre_norm {
            x = normed(&x, norm, shape)?;
        }
        for (i, block) in self.model.blocks.iter().enumerate() {
            // Nothing reads the other tokens after the last block.
            let only_first = i + 1 == self.model.blocks.len() && !shape.reads_all_tokens();
            let answers =
                attention(block, &normed(&x, &block.norm1, shape)?, shape, frame.rotary.as_ref(), only_first)?;
            if only_first {
                x = x.f_narrow(1, 0, 1)?;
            }
            x = x.f_add(&answers)?;
            x = x.f_add(&mlp(&block.mlp, &normed(&x, &block.norm2, shape)?, shape)?)?;
        }
        if let Some(norm) = &self.model.post_norm {
            x = normed(&x, norm, shape)?;
        }
        let mut pooled = match (&self.model.pool, shape.pooling) {
            (Some(pool), _) => attention_pool(pool, &x, shape)?,
            (None, Pooling::Mean) => {
                let (prefix, tokens) = (shape.prefix as i64, shape.tokens(image) as i64);
                // Summed in f32, whatever the number type.
                x.f_narrow(1, prefix, tokens - prefix)?.f_mean_dim(1_i64, false, Kind::Float)?.f_to_kind(self.kind)?
            }
            (None, Pooling::Cls | Pooling::Pooler) => x.f_select(1, 0)?,
        };
        if let Some(norm) = &self.model.pooled_norm {
            pooled = normed(&pooled, norm, shape)?;
        }
        finished(shape, self.model.head.as_ref(), pooled)
    }

    fn frame(&self, image: (usize, usize)) -> Result<Frame> {
        let shape = &self.model.architecture;
        let grid = shape.grid(image);
        let tensor = |numbers: &[f32], columns: usize| {
            let rows = [-1, columns as i64];
            Tensor::f_from_slice(numbers)?.f_reshape(rows)?.f_to_device_(self.device, self.kind, false, false)
        };
        let positions = tensor(&self.model.positions.at(grid, shape.hidden), shape.hidden)?;
        let rotary = match shape.positions {
            PositionShape::Rotary { theta } => {
                let Rotary { cos, sin, half, prefix } = Rotary::new(grid, shape.head_size(), theta, shape.prefix);
                // The tokens before the patches turn by nothing.
                let all = |start: f32, numbers: Vec<f32>| [vec![start; prefix * half], numbers].concat();
                Some((tensor(&all(1.0, cos), half)?, tensor(&all(0.0, sin), half)?))
            }
            PositionShape::Learnt { .. } | PositionShape::Waves | PositionShape::Relative => None,
        };
        Ok(Frame { positions, rotary })
    }

    /// Pixels to patches, `[images, patches, hidden]`.
    fn stem(&self, pixels: &Tensor, (rows, columns): (usize, usize)) -> Result<Tensor> {
        match (&self.model.stem, &self.model.architecture.stem) {
            (Stem::Patches(weights), StemShape::Patches(height, width)) => {
                let [rows, columns, height, width] = [rows, columns, *height, *width].map(|n| n as i64);
                let patches = pixels
                    .f_narrow(2, 0, rows * height)?
                    .f_narrow(3, 0, columns * width)?
                    .f_reshape([-1, 3, rows, height, columns, width])?
                    .f_permute([0, 2, 4, 1, 3, 5])?
                    .f_reshape([-1, rows * columns, 3 * height * width])?;
                linear(&patches, weights)
            }
            (Stem::Convolutions(stages), _) => {
                let mut x = pixels.shallow_clone();
                for stage in stages {
                    x = conv(&x, &stage.down, 2)?.f_relu()?;
                    for (first, second) in &stage.pairs {
                        x = x.f_add(&conv(&conv(&x, first, 1)?.f_relu()?, second, 1)?)?.f_relu()?;
                    }
                }
                x.f_flatten(2, -1)?.f_transpose(1, 2)
            }
            (Stem::Patches(_), StemShape::Convolutions(_)) => {
                Err(TchError::Shape("the stem is not the architecture's".to_owned()))
            }
        }
    }
}

fn sizes(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|length| *length as i64).collect()
}

fn conv(x: &Tensor, conv: &Conv<Tensor>, stride: i64) -> Result<Tensor> {
    x.f_conv2d(&conv.weight, Some(&conv.bias), [stride, stride], [1, 1], [1, 1], 1)
}

fn linear(x: &Tensor, linear: &Linear<Tensor>) -> Result<Tensor> {
    x.f_linear(&linear.weight, linear.bias.as_ref())
}

fn normed(x: &Tensor, norm: &Norm<Tensor>, shape: &Architecture) -> Result<Tensor> {
    let width = [shape.hidden as i64];
    match shape.norm {
        NormKind::Layer => x.f_layer_norm(width, Some(&norm.weight), norm.bias.as_ref(), shape.norm_eps, true),
        NormKind::Rms => x.f_rms_norm(width, Some(&norm.weight), shape.norm_eps),
    }
}

/// `out(softmax(q k^T / sqrt(d)) v)` of `x`, `[images, tokens, hidden]`: the answers to all tokens, or to the first of each
/// image alone.
fn attention(
    block: &Block<Tensor>,
    x: &Tensor,
    shape: &Architecture,
    rotary: Option<&(Tensor, Tensor)>,
    only_first: bool,
) -> Result<Tensor> {
    let (images, tokens, hidden) = x.size3()?;
    let (heads, size) = (shape.heads as i64, shape.head_size() as i64);
    let qkv = linear(x, &block.qkv)?.f_reshape([images, tokens, 3, heads, size])?.f_permute([2, 0, 3, 1, 4])?;
    let (mut q, mut k, v) = (qkv.f_select(0, 0)?, qkv.f_select(0, 1)?, qkv.f_select(0, 2)?);
    if let Some(rotary) = rotary {
        (q, k) = (turned(&q, rotary)?, turned(&k, rotary)?);
    }
    let mut more = block.scores.as_ref().map(|scores| scores.f_unsqueeze(0)).transpose()?;
    let mut asking = tokens;
    if only_first {
        asking = 1;
        q = q.f_narrow(2, 0, 1)?;
        more = more.map(|scores| scores.f_narrow(2, 0, 1)).transpose()?;
    }
    let answers = Tensor::f_scaled_dot_product_attention(&q, &k, &v, more.as_ref(), 0.0, false, None, false)?;
    linear(&answers.f_transpose(1, 2)?.f_reshape([images, asking, hidden])?, &block.out)
}

/// Each head's numbers `[images, heads, tokens, size]`, number `i` turned together with number `i + size / 2`.
fn turned(x: &Tensor, (cos, sin): &(Tensor, Tensor)) -> Result<Tensor> {
    let halves = x.f_chunk(2, -1)?;
    let [a, b] = halves.as_slice() else { return Err(TchError::Shape("a head that has no halves".to_owned())) };
    let first = a.f_mul(cos)?.f_sub(&b.f_mul(sin)?)?;
    let second = b.f_mul(cos)?.f_add(&a.f_mul(sin)?)?;
    Tensor::f_cat(&[first, second], -1)
}

fn mlp(mlp: &Mlp<Tensor>, x: &Tensor, shape: &Architecture) -> Result<Tensor> {
    let wide = linear(x, &mlp.fc1)?;
    let middle = match shape.mlp {
        MlpKind::Plain => activated(&wide, shape.activation)?,
        MlpKind::Gated => {
            let middle = shape.intermediate as i64;
            let gate = activated(&wide.f_narrow(-1, 0, middle)?, shape.activation)?;
            gate.f_mul(&wide.f_narrow(-1, middle, middle)?)?
        }
    };
    linear(&middle, &mlp.fc2)
}

/// What the learnt query reads from `x`, `[images, tokens, hidden]`.
fn attention_pool(pool: &AttentionPool<Tensor>, x: &Tensor, shape: &Architecture) -> Result<Tensor> {
    let (images, tokens, hidden) = x.size3()?;
    let (heads, size) = (shape.heads as i64, shape.head_size() as i64);
    let kv = linear(x, &pool.kv)?.f_reshape([images, tokens, 2, heads, size])?.f_permute([2, 0, 3, 1, 4])?;
    let (k, v) = (kv.f_select(0, 0)?, kv.f_select(0, 1)?);
    let query = match &pool.query_product {
        Some(product) => linear(&pool.query, product)?,
        None => pool.query.shallow_clone(),
    };
    let query = query.f_reshape([1, heads, 1, size])?.f_expand([images, heads, 1, size], false)?;
    let answers = Tensor::f_scaled_dot_product_attention(&query, &k, &v, None::<&Tensor>, 0.0, false, None, false)?;
    let answer = linear(&answers.f_reshape([images, hidden])?, &pool.out)?;
    match &pool.mlp {
        Some((norm, weights)) => answer.f_add(&mlp(weights, &normed(&answer, norm, shape)?, shape)?),
        None => Ok(answer),
    }
}

fn activated(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::QuickGelu => x.f_mul(&x.f_mul_scalar(1.702)?.f_sigmoid()?),
        Activation::Gelu => x.f_gelu("none"),
        Activation::GeluTanh => x.f_gelu("tanh"),
        Activation::Relu => x.f_relu(),
        Activation::Silu => x.f_silu(),
        Activation::Tanh => x.f_tanh(),
    }
}

/// The head, in f32 at the end, and unit length where the model itself gives it.
fn finished(shape: &Architecture, head: Option<&Linear<Tensor>>, pooled: Tensor) -> Result<Tensor> {
    let mut x = pooled;
    if let (Some(head), Some(shape)) = (head, shape.head) {
        x = linear(&x, head)?;
        if let Some(activation) = shape.activation {
            x = activated(&x, activation)?;
        }
    }
    let x = x.f_to_kind(Kind::Float)?;
    if !shape.normalized {
        return Ok(x);
    }
    // The floor is that of the model's definition.
    let length = x.f_norm_scalaropt_dim(2, [-1], true)?.f_clamp_min(1e-12)?;
    x.f_div(&length)
}
