//! Which of a model's files are read: one graph with its weights, and the configuration beside it or in the folder above.
//!
//! The same for a folder on this machine and for a name on the hub.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use imbed_core::{
    Error, ErrorKind, FetchScope, Result,
    fetch::{FileChoice, Files, Wanted},
};

use crate::{graph::Graph, options::Variant};

/// The folder of graphs in a model on the hub.
const FOLDER: &str = "onnx";
/// Names without suffix and extension, the preferred first: of a model of images and texts, the part for images.
const STEMS: [&str; 2] = ["vision_model", "model"];
/// The configuration, and the recipe of preprocessing by its usual name and by that of newer checkpoints.
const CONFIGURATION: [&[&str]; 2] = [&["config.json"], &["preprocessor_config.json", "processor_config.json"]];

/// One graph of those that a model is published as.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OnnxFiles {
    /// The number type; `None` where the user names none.
    pub(crate) variant: Option<Variant>,
    /// The graph, where the user names it or it is known.
    pub(crate) file: Option<String>,
}

/// A graph, and those that would have been preferred.
struct Picked {
    graph: String,
    passed_over: Vec<String>,
}

impl OnnxFiles {
    /// The graph's name among `files`.
    pub(crate) fn graph(&self, files: &dyn Files) -> Result<String> {
        self.pick(files).map(|picked| picked.graph)
    }

    fn pick(&self, files: &dyn Files) -> Result<Picked> {
        if let Some(file) = &self.file {
            if files.lacks(file) {
                return Err(Error::new(ErrorKind::UnknownModel, format!("there is no file '{file}'")).hint(has(files)));
            }
            return Ok(Picked { graph: file.clone(), passed_over: Vec::new() });
        }
        let usual = usual(self.variant.unwrap_or(Variant::F32));
        if let Some(place) = usual.iter().position(|name| files.has(name)) {
            return Ok(Picked { graph: usual[place].clone(), passed_over: usual[..place].to_vec() });
        }
        let all = graphs(files);
        let near: Vec<&String> = all.iter().filter(|name| matches!(folder_of(name), "" | FOLDER)).collect();
        if let ([only], None) = (near.as_slice(), self.variant)
            && variant_of(only).is_none()
        {
            return Ok(Picked { graph: (*only).clone(), passed_over: usual });
        }
        // Of a cache that has none of them it is not known which of them there is.
        if let Some(unknown) = usual.iter().rev().find(|name| !files.lacks(name) && name.starts_with(FOLDER)) {
            return Ok(Picked { graph: unknown.clone(), passed_over: usual });
        }
        let suffix = self.variant.unwrap_or(Variant::F32).suffix();
        let wanted = format!("model{suffix}.onnx or vision_model{suffix}.onnx");
        let message = format!("there is no {wanted}, neither in {FOLDER}/ nor at the top");
        // There is a model, but not as the option dtype wants it.
        let others = self.variant.is_some() && !all.is_empty();
        let kind = if others { ErrorKind::BadOption } else { ErrorKind::UnknownModel };
        Err(Error::new(kind, message).hint(has(files)))
    }
}

impl FileChoice for OnnxFiles {
    fn wanted(&self, files: &dyn Files, scope: FetchScope) -> Result<Wanted> {
        let Picked { graph, passed_over } = self.pick(files)?;
        let mut wanted = Wanted { files: Vec::new(), if_there: passed_over };
        for names in CONFIGURATION {
            let places = places(&graph, names);
            let found = places.iter().position(|place| files.has(place));
            wanted.files.extend(found.map(|place| places[place].clone()));
            wanted.if_there.extend(places.into_iter().take(found.unwrap_or(usize::MAX)));
        }
        if scope == FetchScope::Everything {
            wanted.files.extend(weights(files, &graph)?);
        }
        // Last, so that it is not here without what is small.
        wanted.files.push(graph);
        Ok(wanted)
    }

    fn others(&self) -> Vec<Arc<dyn FileChoice>> {
        let other = |variant| Arc::new(Self { variant: Some(variant), file: None }) as Arc<dyn FileChoice>;
        Variant::ALL.into_iter().filter(|variant| Some(*variant) != self.variant).map(other).collect()
    }

    fn arguments(&self) -> String {
        let mut arguments = format!("--provider {}", crate::NAME);
        match (self.variant, &self.file) {
            (Some(variant), _) => arguments.extend([" --dtype ", &variant.to_string()]),
            (None, Some(file)) if !usual(Variant::F32).contains(file) => arguments.extend([" --option file=", file]),
            _ => {}
        }
        arguments
    }
}

/// The names that a graph of this variant has, the preferred first.
fn usual(variant: Variant) -> Vec<String> {
    let suffix = variant.suffix();
    let name = |folder: &str, stem: &str| format!("{folder}{stem}{suffix}.onnx");
    let folders = [format!("{FOLDER}/"), String::new()];
    folders.iter().flat_map(|folder| STEMS.iter().map(move |stem| name(folder, stem))).collect()
}

/// The variant that a graph's usual name says.
fn variant_of(name: &str) -> Option<Variant> {
    Variant::ALL.into_iter().find(|variant| usual(*variant).iter().any(|usual| usual == name))
}

/// Every graph among `files`, by name.
fn graphs(files: &dyn Files) -> Vec<String> {
    let is_graph = |name: &String| Path::new(name).extension().is_some_and(|e| e == "onnx");
    files.names().into_iter().filter(is_graph).collect()
}

/// What may be chosen instead, for a hint.
fn has(files: &dyn Files) -> String {
    let graphs = graphs(files);
    let is_there = |variant: &Variant| graphs.iter().any(|name| variant_of(name) == Some(*variant));
    let variants: Vec<String> = Variant::ALL.iter().filter(|v| is_there(v)).map(ToString::to_string).collect();
    if !variants.is_empty() {
        return format!("it has dtype {}", variants.join(", "));
    }
    let more = if graphs.len() > 8 { ", …" } else { "" };
    match graphs.as_slice() {
        [] => "it has no .onnx file".to_owned(),
        _ => format!("choose with --option file= one of {}{more}", graphs[..graphs.len().min(8)].join(", ")),
    }
}

/// The folder in a file's name; nothing for one at the top.
fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn in_folder(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Where a file of these names is looked for: beside the graph, then in the folder above.
fn places(graph: &str, names: &[&str]) -> Vec<String> {
    let beside = folder_of(graph);
    let above = if beside.is_empty() { None } else { Some(folder_of(beside)) };
    let places = |name: &&str| [beside].into_iter().chain(above).map(|f| in_folder(f, name)).collect::<Vec<_>>();
    names.iter().flat_map(places).collect()
}

/// The files beside `graph` that hold weights: what it says itself, or until it is here, those that are named as such.
fn weights(files: &dyn Files, graph: &str) -> Result<Vec<String>> {
    let folder = folder_of(graph);
    let Some(path) = files.path(graph) else {
        let is_data =
            |name: &String| name.strip_prefix(graph).is_some_and(|rest| rest == ".data" || rest.starts_with("_data"));
        return Ok(files.names().into_iter().filter(is_data).collect());
    };
    let external = Graph::open(&path)?.external;
    external.iter().map(|name| checked(&path, name).map(|()| in_folder(folder, name))).collect()
}

/// Refuses the name of a file with weights that would reach outside the graph's folder.
pub(crate) fn checked(graph: &Path, name: &str) -> Result<()> {
    if !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(());
    }
    let message = format!("{}: its weights are in '{name}', which is not beside it", graph.display());
    Err(Error::new(ErrorKind::Model, message).hint("such a model is not read; fetch it from where it was published"))
}

/// A folder on this machine: what is at its top and in its `onnx/`.
pub(crate) struct Folder<'a>(pub(crate) &'a Path);

impl Files for Folder<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.join(name).is_file()
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        let path = self.0.join(name);
        path.is_file().then_some(path)
    }

    fn names(&self) -> BTreeSet<String> {
        let in_one = |folder: &'static str| {
            let entries = fs::read_dir(self.0.join(folder)).into_iter().flatten().flatten();
            let names = entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name());
            names.filter_map(move |name| Some(in_folder(folder, name.to_str()?)))
        };
        in_one("").chain(in_one(FOLDER)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a hub lists them, or as a cache has them that knows of no others.
    struct Listed {
        names: &'static [&'static str],
        cached: bool,
    }

    impl Files for Listed {
        fn has(&self, name: &str) -> bool {
            self.names.contains(&name)
        }
        fn lacks(&self, name: &str) -> bool {
            !self.cached && !self.has(name)
        }
        fn path(&self, _: &str) -> Option<PathBuf> {
            None
        }
        fn names(&self) -> BTreeSet<String> {
            self.names.iter().map(ToString::to_string).collect()
        }
    }

    fn listed(names: &'static [&'static str]) -> Listed {
        Listed { names, cached: false }
    }

    fn of(variant: Option<Variant>) -> OnnxFiles {
        OnnxFiles { variant, file: None }
    }

    fn named(file: &str) -> OnnxFiles {
        OnnxFiles { variant: None, file: Some(file.to_owned()) }
    }

    #[test]
    fn the_part_for_images_comes_before_the_whole_and_the_hubs_folder_before_the_top() {
        let all = listed(&["model.onnx", "onnx/model.onnx", "onnx/vision_model.onnx", "onnx/model_quantized.onnx"]);
        assert_eq!(of(None).graph(&all).unwrap(), "onnx/vision_model.onnx");
        assert_eq!(of(Some(Variant::Q8)).graph(&all).unwrap(), "onnx/model_quantized.onnx");
        assert_eq!(of(None).graph(&listed(&["model.onnx"])).unwrap(), "model.onnx");
    }

    #[test]
    fn a_single_file_is_taken_by_any_name_but_not_for_another_variant() {
        let one = listed(&["resnet50.onnx", "readme.txt"]);
        assert_eq!(of(None).graph(&one).unwrap(), "resnet50.onnx");
        assert_eq!(of(Some(Variant::F16)).graph(&one).unwrap_err().kind(), ErrorKind::BadOption);
        assert_eq!(of(None).graph(&listed(&["onnx/model_q4.onnx"])).unwrap_err().kind(), ErrorKind::UnknownModel);
        assert_eq!(of(Some(Variant::F16)).graph(&listed(&[])).unwrap_err().kind(), ErrorKind::UnknownModel);
    }

    #[test]
    fn a_variant_that_is_missing_is_an_error_that_lists_those_that_are_there() {
        let some = listed(&["onnx/model_fp16.onnx", "onnx/model_q4.onnx"]);
        for (variant, kind) in [(None, ErrorKind::UnknownModel), (Some(Variant::Q8), ErrorKind::BadOption)] {
            let error = of(variant).graph(&some).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert_eq!(error.hint_text().unwrap(), "it has dtype f16, q4");
        }
        let others = of(None).graph(&listed(&["visual/model.onnx", "textual/model.onnx"])).unwrap_err();
        assert!(others.hint_text().unwrap().contains("file= one of textual/model.onnx, visual/model.onnx"), "{others}");
    }

    #[test]
    fn a_file_may_be_named() {
        let files = listed(&["visual/model.onnx", "visual/preprocessor_config.json", "config.json"]);
        let wanted = named("visual/model.onnx").wanted(&files, FetchScope::Everything).unwrap();
        assert_eq!(wanted.files, ["config.json", "visual/preprocessor_config.json", "visual/model.onnx"]);
        assert!(named("model.onnx").graph(&files).unwrap_err().message().contains("'model.onnx'"));
    }

    #[test]
    fn configuration_is_wanted_from_beside_the_graph_or_one_folder_above() {
        let files = listed(&["config.json", "preprocessor_config.json", "onnx/config.json", "onnx/model.onnx"]);
        let wanted = of(None).wanted(&files, FetchScope::Configuration).unwrap();
        assert_eq!(wanted.files, ["onnx/config.json", "preprocessor_config.json", "onnx/model.onnx"]);
        assert_eq!(wanted.if_there, ["onnx/vision_model.onnx", "onnx/preprocessor_config.json"]);
        let newer = listed(&["processor_config.json", "model.onnx"]);
        let wanted = of(None).wanted(&newer, FetchScope::Configuration).unwrap();
        assert_eq!(wanted.files, ["processor_config.json", "model.onnx"]);
    }

    #[test]
    fn weights_outside_the_graph_come_with_everything_and_are_those_of_this_variant() {
        let files = listed(&[
            "onnx/model.onnx",
            "onnx/model.onnx_data",
            "onnx/model.onnx_data_1",
            "onnx/model_fp16.onnx",
            "onnx/model_fp16.onnx_data",
        ]);
        let wanted = |scope| of(None).wanted(&files, scope).unwrap().files;
        assert_eq!(wanted(FetchScope::Configuration), ["onnx/model.onnx"]);
        assert_eq!(
            wanted(FetchScope::Everything),
            ["onnx/model.onnx_data", "onnx/model.onnx_data_1", "onnx/model.onnx"]
        );
        let torch = listed(&["model.onnx", "model.onnx.data"]);
        assert_eq!(of(None).wanted(&torch, FetchScope::Everything).unwrap().files, ["model.onnx.data", "model.onnx"]);
    }

    #[test]
    fn a_cache_does_not_tell_what_it_does_not_have() {
        let cache = |names| Listed { names, cached: true };
        let whole = of(None).wanted(&cache(&["onnx/model.onnx"]), FetchScope::Configuration).unwrap();
        assert!(whole.if_there.contains(&"onnx/vision_model.onnx".to_owned()), "{whole:?}");
        for names in [&[][..], &["onnx/model_fp16.onnx"]] {
            let empty = of(None).wanted(&cache(names), FetchScope::Configuration).unwrap();
            assert_eq!(empty.files, ["onnx/model.onnx"], "{names:?}");
        }
    }

    #[test]
    fn the_choice_can_be_made_again_by_its_arguments() {
        assert_eq!(of(None).arguments(), "--provider onnx");
        assert_eq!(of(Some(Variant::Q8)).arguments(), "--provider onnx --dtype q8");
        assert_eq!(named("a/b.onnx").arguments(), "--provider onnx --option file=a/b.onnx");
        assert_eq!(named("onnx/model.onnx").arguments(), "--provider onnx");
        assert_eq!(of(None).others().len(), Variant::ALL.len());
    }

    #[test]
    fn weights_must_not_be_outside_the_folder() {
        for name in ["model.onnx_data", "parts/1.bin"] {
            assert!(checked(Path::new("model.onnx"), name).is_ok(), "{name}");
        }
        for name in ["../model.onnx_data", "/etc/hostname", ""] {
            assert!(checked(Path::new("model.onnx"), name).unwrap_err().message().contains(name), "{name}");
        }
    }
}
