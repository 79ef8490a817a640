//! The options that only this provider knows, typed.

use std::{num::NonZeroU16, thread::available_parallelism};

use imbed_core::{EmbedOptions, Error, ErrorKind, Result, options::OptionSpec, preprocess::RecipeOptions};

/// Every option of this provider, in the order in which the docs list them; all but the first are for `TorchScript`.
pub(crate) const SPECS: &[OptionSpec] = &[
    OptionSpec {
        name: "threads",
        values: "1, 2, 3, …",
        summary: "threads of one model call on the processor (default: OMP_NUM_THREADS, or one per core)",
    },
    OptionSpec {
        name: "output",
        values: "a name | 0, 1, 2, …",
        summary: "TorchScript: which of several outputs is the embedding, by its key or its place (default: image_embeds, \
                  pooler_output, last_hidden_state, or the only one)",
    },
    OptionSpec {
        name: "embedding_width",
        values: "1, 2, 3, …",
        summary: "TorchScript: numbers per vector, where config.json does not say it",
    },
    OptionSpec {
        name: "prefix_tokens",
        values: "0, 1, 2, …",
        summary: "TorchScript: tokens before those of the patches, which pooling=mean leaves out (default: as config.json says)",
    },
    OptionSpec {
        name: "channels",
        values: "rgb | bgr",
        summary: "TorchScript: the order of the input's channels (default rgb)",
    },
    RecipeOptions::SPECS[0],
    RecipeOptions::SPECS[1],
    RecipeOptions::SPECS[2],
    RecipeOptions::SPECS[3],
    RecipeOptions::SPECS[4],
    RecipeOptions::SPECS[5],
];

/// What [`SPECS`] lists, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct TorchOptions {
    pub(crate) threads: Option<NonZeroU16>,
    pub(crate) script: ScriptOptions,
}

/// The options about a `TorchScript` file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ScriptOptions {
    pub(crate) output: Option<String>,
    pub(crate) embedding_width: Option<usize>,
    pub(crate) prefix_tokens: Option<usize>,
    pub(crate) bgr: bool,
    pub(crate) recipe: RecipeOptions,
}

impl TorchOptions {
    /// Reads this provider's part of `options`.
    pub(crate) fn read(options: &EmbedOptions) -> Result<Self> {
        let mut read = Self::default();
        options.read_extra(crate::NAME, SPECS, |name, text| read.set(name, text))?;
        Ok(read)
    }

    /// The same for a checkpoint, whose configuration says all that the options about `TorchScript` say.
    pub(crate) fn read_for_checkpoint(options: &EmbedOptions) -> Result<Self> {
        let read = Self::read(options)?;
        match options.extra.keys().find(|name| *name != SPECS[0].name) {
            None => Ok(read),
            Some(name) => Err(Error::new(
                ErrorKind::BadOption,
                format!("the option {name} is for TorchScript files, and the model is a checkpoint"),
            )
            .hint("leave it away: the checkpoint's configuration says it")),
        }
    }

    /// Sets the option `name`; `None` where `text` is nothing that it takes.
    fn set(&mut self, name: &str, text: &str) -> Option<()> {
        let script = &mut self.script;
        match name {
            "threads" => self.threads = Some(text.parse().ok()?),
            "output" => script.output = Some((!text.is_empty()).then(|| text.to_owned())?),
            "embedding_width" => script.embedding_width = Some(text.parse().ok().filter(|width| *width > 0)?),
            "prefix_tokens" => script.prefix_tokens = Some(text.parse().ok()?),
            "channels" => {
                script.bgr = match text {
                    "rgb" => false,
                    "bgr" => true,
                    _ => return None,
                }
            }
            recipe => script.recipe.set(recipe, text)?,
        }
        Some(())
    }

    /// Threads of one call on the processor. libtorch's own choice is left alone only where the user made it: it takes
    /// one thread for two cores that share their arithmetic.
    pub(crate) fn threads(&self) -> Option<i32> {
        let asked = self.threads.map(|threads| i32::from(threads.get()));
        if asked.is_none() && std::env::var_os("OMP_NUM_THREADS").is_some_and(|threads| !threads.is_empty()) {
            return None;
        }
        asked.or_else(|| available_parallelism().ok().and_then(|cores| i32::try_from(cores.get()).ok()))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use imbed_core::options::OptionMap;

    use super::*;

    /// The options that a user types.
    pub(crate) fn options(pairs: &[(&'static str, &'static str)]) -> EmbedOptions {
        pairs.iter().copied().collect::<OptionMap>().read(SPECS).unwrap()
    }

    #[test]
    fn every_option_that_is_listed_is_read() {
        for spec in SPECS {
            let samples = ["1", "rgb", "bicubic", "a"];
            let read = samples.iter().any(|text| TorchOptions::default().set(spec.name, text).is_some());
            assert!(read, "{}", spec.name);
        }
        assert!(TorchOptions::default().set("nobody", "1").is_none());
    }

    #[test]
    fn a_value_that_an_option_does_not_take_names_the_option() {
        for (name, text) in [("threads", "0"), ("embedding_width", "0"), ("prefix_tokens", "-1"), ("channels", "grb")] {
            let error = TorchOptions::read(&options(&[(name, text)])).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BadOption);
            assert!(error.message().contains(name) && error.hint_text().unwrap().starts_with(name), "{error}");
        }
    }

    #[test]
    fn a_checkpoint_takes_threads_and_refuses_what_is_about_scripts() {
        assert_eq!(TorchOptions::read_for_checkpoint(&options(&[("threads", "3")])).unwrap().threads(), Some(3));
        let error = TorchOptions::read_for_checkpoint(&options(&[("crop", "224")])).unwrap_err();
        assert!(error.message().contains("crop") && error.message().contains("TorchScript"), "{error}");
    }
}
