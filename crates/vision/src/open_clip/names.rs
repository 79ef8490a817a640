//! The tensors' names.

use crate::weights::View;

/// A tensor that every vision transformer of `open_clip` has, and no checkpoint of `transformers`.
pub(crate) const STEM: &str = "visual.conv1.weight";

const PROJECTION: (&str, &str) = ("visual.proj", "visual_projection.weight");
const LAYERS: (&str, &str) = ("visual.transformer.resblocks.", "vision_model.encoder.layers.");

/// Outside the blocks.
const OUTER: &[(&str, &str)] = &[
    (STEM, "vision_model.embeddings.patch_embedding.weight"),
    ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
    ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
    ("visual.ln_pre.weight", "vision_model.pre_layrnorm.weight"),
    ("visual.ln_pre.bias", "vision_model.pre_layrnorm.bias"),
    ("visual.ln_post.weight", "vision_model.post_layernorm.weight"),
    ("visual.ln_post.bias", "vision_model.post_layernorm.bias"),
    PROJECTION,
];

/// Within a block, after its number.
const INNER: &[(&str, &str)] = &[
    ("ln_1.weight", "layer_norm1.weight"),
    ("ln_1.bias", "layer_norm1.bias"),
    ("ln_2.weight", "layer_norm2.weight"),
    ("ln_2.bias", "layer_norm2.bias"),
    ("attn.out_proj.weight", "self_attn.out_proj.weight"),
    ("attn.out_proj.bias", "self_attn.out_proj.bias"),
    ("mlp.c_fc.weight", "mlp.fc1.weight"),
    ("mlp.c_fc.bias", "mlp.fc1.bias"),
    ("mlp.c_proj.weight", "mlp.fc2.weight"),
    ("mlp.c_proj.bias", "mlp.fc2.bias"),
];

/// Within a block: queries, keys and values, one below the other.
const JOINT: &[(&str, [&str; 3])] = &[
    ("attn.in_proj_weight", ["self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"]),
    ("attn.in_proj_bias", ["self_attn.q_proj.bias", "self_attn.k_proj.bias", "self_attn.v_proj.bias"]),
];

/// The text tower and the loss, beside or under `text.`, and the captioner of `CoCa`.
const NOT_VISION: &[&str] = &["transformer.", "token_embedding.", "ln_final.", "text.", "text_decoder."];
const NOT_VISION_EXACTLY: &[&str] =
    &["positional_embedding", "text_projection", "text_projection.weight", "logit_scale", "logit_bias", "attn_mask"];

/// What the tensor `name` is in the words of `transformers`: one tensor, three, or none where it is not of the vision tower.
/// One that is not known keeps its name, and will be found unexpected under it.
pub(crate) fn translate(name: &str, view: View) -> Vec<(String, View)> {
    if NOT_VISION_EXACTLY.contains(&name) || NOT_VISION.iter().any(|prefix| name.starts_with(prefix)) {
        return vec![];
    }
    if name == PROJECTION.0 {
        return vec![(PROJECTION.1.to_owned(), view.transposed())];
    }
    if let Some((_, known)) = OUTER.iter().find(|(known, _)| *known == name) {
        return vec![((*known).to_owned(), view)];
    }
    if let Some((number, rest)) = name.strip_prefix(LAYERS.0).and_then(|rest| rest.split_once('.')) {
        let renamed = |part: &str| format!("{}{number}.{part}", LAYERS.1);
        if let Some((_, known)) = INNER.iter().find(|(known, _)| *known == rest) {
            return vec![(renamed(known), view)];
        }
        if let Some((_, parts)) = JOINT.iter().find(|(known, _)| *known == rest) {
            return (0..3).zip(parts).map(|(i, part)| (renamed(part), view.clone().third(i))).collect();
        }
    }
    vec![(name.to_owned(), view)]
}

/// The name that `open_clip` gives to what `transformers` calls `name`.
pub(crate) fn original(name: &str) -> Option<String> {
    if let Some((known, _)) = OUTER.iter().find(|(_, known)| *known == name) {
        return Some((*known).to_owned());
    }
    let (number, rest) = name.strip_prefix(LAYERS.1)?.split_once('.')?;
    let single = INNER.iter().find(|(_, known)| *known == rest).map(|(known, _)| *known);
    let joint = || JOINT.iter().find(|(_, parts)| parts.contains(&rest)).map(|(known, _)| *known);
    Some(format!("{}{number}.{}", LAYERS.0, single.or_else(joint)?))
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;

    use super::*;

    fn names(name: &str) -> Vec<String> {
        let view = View::contiguous(Dtype::F32, vec![6, 2], 0);
        translate(name, view).into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn every_name_that_is_translated_is_translated_back() {
        let inner = INNER.iter().map(|(name, _)| format!("{}11.{name}", LAYERS.0));
        let joint = JOINT.iter().map(|(name, _)| format!("{}11.{name}", LAYERS.0));
        for name in OUTER.iter().map(|(name, _)| (*name).to_owned()).chain(inner).chain(joint) {
            for translated in names(&name) {
                assert_ne!(translated, name);
                assert_eq!(original(&translated), Some(name.clone()), "{translated}");
            }
        }
        assert_eq!(original("vision_model.encoder.layers.0.other"), None);
        assert_eq!(original("other"), None);
    }

    #[test]
    fn a_joint_product_becomes_three_and_the_text_tower_nothing() {
        assert_eq!(
            names("visual.transformer.resblocks.3.attn.in_proj_bias"),
            ["q", "k", "v"].map(|part| format!("vision_model.encoder.layers.3.self_attn.{part}_proj.bias"))
        );
        for name in
            ["transformer.resblocks.0.ln_1.weight", "text.token_embedding.weight", "logit_scale", "text_projection"]
        {
            assert!(names(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn an_unknown_tensor_keeps_its_name() {
        for name in ["visual.transformer.resblocks.0.ls_1.gamma", "visual.attn_pool.query", "extra"] {
            assert_eq!(names(name), [name]);
        }
    }
}
