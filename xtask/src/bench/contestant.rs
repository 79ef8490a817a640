//! Who is measured, and with which commands.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use serde_json::Value;

use super::{machine, process, programs::Programs};

/// imbed with one number type, or one setting of somebody else's program.
#[derive(Debug, Clone)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    /// Its number type: it is compared with those of the same.
    pub(crate) dtype: String,
    /// The arguments of xtask/bench/peer.py; `None` is imbed.
    peer: Option<Vec<&'static str>>,
    /// imbed's provider; `None` is the default one.
    provider: Option<&'static str>,
    /// Whether it may prepare a batch while the model works on another: both ways are tried and the faster is measured.
    pub(crate) may_overlap: bool,
    /// What was found.
    pub(crate) overlaps: bool,
    /// Whether its model can be run on batches that are there.
    model_alone: bool,
}

impl Contestant {
    pub(crate) fn imbed(dtype: &str) -> Self {
        Self {
            name: format!("imbed {dtype}"),
            dtype: dtype.to_owned(),
            peer: None,
            provider: None,
            may_overlap: false,
            overlaps: false,
            model_alone: true,
        }
    }

    /// imbed with the providers that compute on a GPU.
    pub(crate) fn imbed_on_gpu(dtype: &str) -> impl Iterator<Item = Self> + '_ {
        let with = move |provider| Self {
            name: format!("imbed {provider} {dtype}"),
            provider: Some(provider),
            ..Self::imbed(dtype)
        };
        ["candle", "torch"].into_iter().map(with)
    }

    /// The peers that compute on a GPU by themselves, chosen as [`peers`](Self::peers) are.
    pub(crate) fn peers_on_gpu(dtypes: &[String], only: &[String]) -> Vec<Self> {
        let able = ["transformers", "sentence-transformers", "daft, its own batch"];
        let mut all = Self::peers(dtypes, only);
        all.retain(|c| able.iter().any(|name| c.name == format!("{name} {}", c.dtype)));
        all
    }

    /// The peers whose number type is one of `dtypes`, and whose name, in whole words, is in `only` unless that is
    /// empty.
    pub(crate) fn peers(dtypes: &[String], only: &[String]) -> Vec<Self> {
        let peer = |name: &str, dtype: &str, args: &[&'static str], may_overlap, model_alone| Self {
            name: name.to_owned(),
            dtype: dtype.to_owned(),
            peer: Some(args.to_vec()),
            provider: None,
            may_overlap,
            overlaps: false,
            model_alone,
        };
        let all = [
            peer("transformers", "f32", &["transformers"], true, true),
            peer("sentence-transformers", "f32", &["sentence-transformers"], false, false),
            peer("onnxruntime", "f32", &["onnxruntime"], true, true),
            peer("openvino", "f32", &["openvino"], true, true),
            peer("daft, its own batch", "f32", &["daft", "--batch", "0"], false, false),
            peer("daft, batch 32", "f32", &["daft"], false, false),
            peer("transformers", "bf16", &["transformers", "--dtype", "bf16"], true, true),
            peer("transformers, compiled", "bf16", &["transformers", "--dtype", "bf16", "--compile"], true, true),
            peer("sentence-transformers", "bf16", &["sentence-transformers", "--dtype", "bf16"], false, false),
            peer("openvino", "bf16", &["openvino", "--dtype", "bf16"], true, true),
            peer("onnxruntime", "int8", &["onnxruntime", "--dtype", "int8"], true, true),
        ];
        let wanted = |c: &Self| {
            let program = c.name.split(',').next().unwrap_or_default();
            dtypes.contains(&c.dtype) && (only.is_empty() || only.iter().any(|name| name == program))
        };
        let named = |c: Self| Self { name: format!("{} {}", c.name, c.dtype), ..c };
        all.into_iter().filter(wanted).map(named).collect()
    }

    pub(crate) fn is_imbed(&self) -> bool {
        self.peer.is_none()
    }

    /// What tells it from the others of imbed.
    pub(crate) fn setting(&self) -> &str {
        self.name.strip_prefix("imbed ").unwrap_or(&self.name)
    }

    /// The same, preparing a batch while the model works on another.
    pub(crate) fn overlapped(&self) -> Self {
        Self { overlaps: true, ..self.clone() }
    }

    /// How it is named where it stands for what was found.
    pub(crate) fn shown(&self) -> String {
        format!("{}{}", self.name, if self.overlaps { ", overlapped" } else { "" })
    }
}

/// What all of them are given for one model.
pub(crate) struct Course<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) checkpoint: PathBuf,
    pub(crate) photos: PathBuf,
    /// What a peer may be asked for, `NAME=VALUE`.
    pub(crate) options: &'a [String],
    /// The peers' Python, and what they want beside the checkpoint.
    pub(crate) python: PathBuf,
    pub(crate) ready: PathBuf,
    /// A folder for what is written.
    pub(crate) scratch: PathBuf,
    /// Where models run, `cuda:0`; `None` is the processor.
    pub(crate) gpu: Option<String>,
}

impl Course<'_> {
    /// From the start of the process to the vectors of the photos, or of the first `limit`, in a file; in a `.npy` file
    /// if `npy` names one.
    pub(crate) fn whole(&self, who: &Contestant, limit: Option<usize>, npy: Option<&Path>) -> Command {
        let out = self.scratch.join("out.parquet");
        let mut command = if let Some(args) = &who.peer {
            let mut command = self.peer(who, args);
            command.arg("--images").arg(&self.photos).arg("--out").arg(&out);
            if let Some(npy) = npy {
                command.arg("--npy").arg(npy);
            }
            command
        } else {
            let mut command = Command::new(&self.programs.imbed);
            command.arg("embed").arg(&self.photos).arg("--model").arg(&self.checkpoint).args(["--dtype", &who.dtype]);
            if let Some(provider) = who.provider {
                command.args(["--provider", provider]);
            }
            if let Some(gpu) = &self.gpu {
                command.args(["--device", gpu]);
            }
            for option in self.options {
                command.args(["--option", option]);
            }
            command.arg("--output").arg(npy.unwrap_or(&out)).args(["--overwrite", "--quiet"]);
            command
        };
        if let Some(limit) = limit {
            command.arg("--limit").arg(limit.to_string());
        }
        command
    }

    /// The model alone, for so many seconds after its start.
    pub(crate) fn model(&self, who: &Contestant, batch: usize, seconds: usize) -> Option<Command> {
        let (batch, seconds) = (batch.to_string(), seconds.to_string());
        match &who.peer {
            None => {
                let mut command = self.helper("model");
                command.args([&batch, &seconds]).arg(format!("dtype={}", who.dtype)).args(self.options);
                command.args(who.provider.map(|provider| format!("provider={provider}")));
                command.args(self.gpu.as_ref().map(|gpu| format!("device={gpu}")));
                Some(command)
            }
            Some(args) if who.model_alone => {
                let mut command = self.peer(who, args);
                command.args(["--batch", &batch, "--model-only", &seconds]);
                Some(command)
            }
            Some(_) => None,
        }
    }

    /// Thousand million operations a second of the device, by number type: what its cores do on registers, or, on a GPU, what its
    /// vendor's library makes of one large product.
    pub(crate) fn ceilings(&self) -> Result<Value> {
        let Some(gpu) = &self.gpu else { return self.programs.ceilings() };
        if self.python.as_os_str().is_empty() {
            return Ok(Value::Null);
        }
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(crate::step::root().join("xtask/bench/gpu_products.py")).args(["--device", gpu]);
        Ok(process::run(&mut command)?.said)
    }

    /// Images that a model alone is given at once.
    pub(crate) fn batch(&self) -> usize {
        if self.gpu.is_some() { 256 } else { 32 }
    }

    /// All but the model, for so many seconds.
    pub(crate) fn prepare(&self, seconds: usize) -> Command {
        let mut command = self.helper("prepare");
        command.arg(&self.photos).arg(seconds.to_string()).args(self.options);
        command
    }

    fn helper(&self, task: &str) -> Command {
        let mut command = Command::new(&self.programs.helper);
        command.arg(task).arg(&self.checkpoint);
        command
    }

    fn peer(&self, who: &Contestant, args: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        let script = crate::step::root().join("xtask/bench/peer.py");
        command.arg("-B").arg(script).args(args).args(["--threads", &machine::cores().to_string()]);
        command.arg("--model").arg(self.ready.join("checkpoint")).arg("--graphs").arg(self.ready.join("graphs"));
        if let Some(gpu) = &self.gpu {
            command.args(["--device", gpu]);
        }
        if who.overlaps {
            command.arg("--overlap");
        }
        // What a compiler made in the warm-up is there in the rounds.
        command.env("TORCHINDUCTOR_CACHE_DIR", self.ready.join("compiled"));
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_chosen_by_number_type_and_by_name() {
        let names = |dtypes: &[&str], only: &[&str]| -> Vec<String> {
            let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
            Contestant::peers(&owned(dtypes), &owned(only)).into_iter().map(|c| c.name).collect()
        };
        assert_eq!(names(&["int8"], &[]), ["onnxruntime int8"]);
        assert_eq!(names(&["f32", "bf16"], &["daft"]), ["daft, its own batch f32", "daft, batch 32 f32"]);
        assert_eq!(names(&["f32", "bf16"], &[]).len(), 10);
        let on_gpu = Contestant::peers_on_gpu(&["bf16".to_owned()], &[]);
        assert_eq!(
            on_gpu.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
            ["transformers bf16", "sentence-transformers bf16"]
        );
    }
}
