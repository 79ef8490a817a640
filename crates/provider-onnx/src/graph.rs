//! What an ONNX file says about itself: its inputs, its outputs, and which of them hang together.
//!
//! Field numbers are those of `onnx.proto3`. Weights are passed over: only their names are read, as older files list
//! weights among the inputs, and the names of the files that hold weights outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    fs::File,
    io::{Read, Seek},
    path::Path,
};

use imbed_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::protobuf::{Value, Wire};

/// How deep graphs may stand in the attributes of nodes (`If`, `Loop`).
const DEPTH: usize = 16;
/// The most axes that a tensor may have.
const AXES: usize = 32;

/// A graph without its weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Graph {
    /// What must be given, in order.
    pub(crate) inputs: Vec<TensorInfo>,
    /// What can be asked for, in order.
    pub(crate) outputs: Vec<TensorInfo>,
    /// Files beside this one that hold weights.
    pub(crate) external: BTreeSet<String>,
    nodes: Vec<Node>,
}

/// One operation, as far as names go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    reads: Vec<String>,
    writes: Vec<String>,
}

/// An input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TensorInfo {
    pub(crate) name: String,
    pub(crate) element: Element,
    /// `None` where the file does not say how many axes there are.
    pub(crate) shape: Option<Vec<Axis>>,
}

/// The length of one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Axis {
    /// Always this.
    Fixed(usize),
    /// Any, under a name such as `batch_size`; the name may be empty.
    Any(String),
}

impl Axis {
    /// The length, where it is fixed.
    pub(crate) fn fixed(&self) -> Option<usize> {
        match self {
            Self::Fixed(length) => Some(*length),
            Self::Any(_) => None,
        }
    }
}

/// A tensor's number type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Element {
    F32,
    F16,
    Bf16,
    F64,
    U8,
    I32,
    I64,
    Bool,
    /// Another one, by ONNX's number; 0 where the file says none.
    Other(u64),
}

impl Element {
    fn from_onnx(number: u64) -> Self {
        match number {
            1 => Self::F32,
            2 => Self::U8,
            6 => Self::I32,
            7 => Self::I64,
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            16 => Self::Bf16,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::F32 => f.write_str("f32"),
            Self::F16 => f.write_str("f16"),
            Self::Bf16 => f.write_str("bf16"),
            Self::F64 => f.write_str("f64"),
            Self::U8 => f.write_str("u8"),
            Self::I32 => f.write_str("i32"),
            Self::I64 => f.write_str("i64"),
            Self::Bool => f.write_str("bool"),
            Self::Other(0) => f.write_str("of no type"),
            Self::Other(number) => write!(f, "type {number}"),
        }
    }
}

/// `name: f32 [N, 3, 224, 224]`.
impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ", self.name, self.element)?;
        let Some(shape) = &self.shape else { return f.write_str("of any shape") };
        let axis = |axis: &Axis| match axis {
            Axis::Fixed(length) => length.to_string(),
            Axis::Any(name) if name.is_empty() => "?".to_owned(),
            Axis::Any(name) => name.clone(),
        };
        write!(f, "[{}]", shape.iter().map(axis).collect::<Vec<_>>().join(", "))
    }
}

/// Inputs or outputs in one line, for messages.
pub(crate) fn list(tensors: &[TensorInfo]) -> String {
    if tensors.is_empty() {
        return "none".to_owned();
    }
    tensors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Graph {
    /// Reads the description of the model in `path`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::io(path.display(), e))?;
        let length = file.metadata().map_err(|e| Error::io(path.display(), e))?.len();
        Self::read(file, length).map_err(|e| e.context(path.display()))
    }

    /// Reads the description of the model in `file`.
    pub(crate) fn read(file: impl Read + Seek, length: u64) -> Result<Self> {
        let mut wire = Wire::new(file);
        let mut found = None;
        while let Some(field) = wire.field(length)? {
            match (field.number, field.value) {
                (7, Value::Until(end)) if found.is_none() => found = Some(model_graph(&mut wire, end)?),
                (_, value) => wire.skip(value)?,
            }
        }
        found.ok_or_else(|| {
            Error::new(ErrorKind::Model, "not an ONNX model: it holds no graph").hint("give a file that ends in .onnx")
        })
    }

    /// The inputs that the tensor `output` depends on.
    pub(crate) fn needed_for(&self, output: &str) -> Vec<&TensorInfo> {
        let mut writer = BTreeMap::new();
        for (i, node) in self.nodes.iter().enumerate() {
            writer.extend(node.writes.iter().map(|name| (name.as_str(), i)));
        }
        let mut wanted = vec![output];
        let mut seen = BTreeSet::from([output]);
        while let Some(name) = wanted.pop() {
            for read in writer.get(name).map_or(&[][..], |node| &self.nodes[*node].reads) {
                if seen.insert(read) {
                    wanted.push(read);
                }
            }
        }
        self.inputs.iter().filter(|input| seen.contains(input.name.as_str())).collect()
    }
}

/// `ModelProto.graph`.
fn model_graph<R: Read + Seek>(wire: &mut Wire<R>, end: u64) -> Result<Graph> {
    let mut graph = Graph::default();
    let mut weights = BTreeSet::new();
    while let Some(field) = wire.field(end)? {
        match (field.number, field.value) {
            (1, Value::Until(end)) => {
                let node = node(wire, end, &mut graph.external, 0)?;
                graph.nodes.push(node);
            }
            (5, Value::Until(end)) => weights.extend(tensor(wire, end, &mut graph.external)?),
            (15, Value::Until(end)) => weights.extend(sparse_tensor(wire, end, &mut graph.external)?),
            (11, Value::Until(end)) => graph.inputs.push(value_info(wire, end)?),
            (12, Value::Until(end)) => graph.outputs.push(value_info(wire, end)?),
            (_, value) => wire.skip(value)?,
        }
    }
    graph.inputs.retain(|input| !weights.contains(&input.name));
    Ok(graph)
}

/// A `GraphProto` in an attribute: the names that its nodes read may stand outside it.
fn inner_graph<R: Read + Seek>(
    wire: &mut Wire<R>,
    end: u64,
    reads: &mut Vec<String>,
    external: &mut BTreeSet<String>,
    depth: usize,
) -> Result<()> {
    if depth >= DEPTH {
        return Err(wire.broken("graphs stand more than 16 deep in each other"));
    }
    while let Some(field) = wire.field(end)? {
        match (field.number, field.value) {
            (1, Value::Until(end)) => reads.extend(node(wire, end, external, depth + 1)?.reads),
            (5, Value::Until(end)) => drop(tensor(wire, end, external)?),
            // An output may be a name of the outer graph.
            (12, Value::Until(end)) => reads.push(value_info(wire, end)?.name),
            (_, value) => wire.skip(value)?,
        }
    }
    Ok(())
}

fn node<R: Read + Seek>(wire: &mut Wire<R>, end: u64, external: &mut BTreeSet<String>, depth: usize) -> Result<Node> {
    let mut node = Node::default();
    while let Some(field) = wire.field(end)? {
        match (field.number, field.value) {
            (1, Value::Until(end)) => node.reads.push(wire.text(end)?),
            (2, Value::Until(end)) => node.writes.push(wire.text(end)?),
            (5, Value::Until(end)) => attribute(wire, end, &mut node.reads, external, depth)?,
            (_, value) => wire.skip(value)?,
        }
    }
    // An empty name stands for an optional tensor that is left out.
    node.reads.retain(|name| !name.is_empty());
    node.writes.retain(|name| !name.is_empty());
    Ok(node)
}

fn attribute<R: Read + Seek>(
    wire: &mut Wire<R>,
    end: u64,
    reads: &mut Vec<String>,
    external: &mut BTreeSet<String>,
    depth: usize,
) -> Result<()> {
    while let Some(field) = wire.field(end)? {
        match (field.number, field.value) {
            (5 | 10, Value::Until(end)) => drop(tensor(wire, end, external)?),
            (6 | 11, Value::Until(end)) => inner_graph(wire, end, reads, external, depth)?,
            (_, value) => wire.skip(value)?,
        }
    }
    Ok(())
}

/// A `TensorProto`'s name; the file that holds its numbers goes to `external`.
fn tensor<R: Read + Seek>(wire: &mut Wire<R>, end: u64, external: &mut BTreeSet<String>) -> Result<Option<String>> {
    let (mut name, mut location, mut outside) = (None, None, false);
    while let Some(field) = wire.field(end)? {
        match (field.number, field.value) {
            (8, Value::Until(end)) => name = Some(wire.text(end)?),
            (13, Value::Until(end)) => {
                let (key, value) = entry(wire, end)?;
                if key == "location" {
                    location = Some(value);
                }
            }
            (14, Value::Varint(place)) => outside = place == 1,
            (_, value) => wire.skip(value)?,
        }
    }
    external.extend(location.filter(|_| outside));
    Ok(name)
}

/// A `SparseTensorProto`'s name, which is that of its values.
fn sparse_tensor<R: Read + Seek>(
    wire: &mut Wire<R>,
    end: u64,
    external: &mut BTreeSet<String>,
) -> Result<Option<String>> {
    let mut name = None;
    while let Some(field) = wire.field(end)? {
        match (field.number, field.value) {
            (1, Value::Until(end)) => name = tensor(wire, end, external)?,
            (2, Value::Until(end)) => drop(tensor(wire, end, external)?),
            (_, value) => wire.skip(value)?,
        }
    }
    Ok(name)
}

/// A `StringStringEntryProto`.
fn entry<R: Read + Seek>(wire: &mut Wire<R>, end: u64) -> Result<(String, String)> {
    let (mut key, mut text) = (String::new(), String::new());
    while let Some(field) = wire.field(end)? {
        match (field.number, field.value) {
            (1, Value::Until(end)) => key = wire.text(end)?,
            (2, Value::Until(end)) => text = wire.text(end)?,
            (_, value) => wire.skip(value)?,
        }
    }
    Ok((key, text))
}

fn value_info<R: Read + Seek>(wire: &mut Wire<R>, end: u64) -> Result<TensorInfo> {
    let mut info = TensorInfo { name: String::new(), element: Element::Other(0), shape: None };
    while let Some(field) = wire.field(end)? {
        match (field.number, field.value) {
            (1, Value::Until(end)) => info.name = wire.text(end)?,
            (2, Value::Until(end)) => tensor_type(wire, end, &mut info)?,
            (_, value) => wire.skip(value)?,
        }
    }
    Ok(info)
}

/// A `TypeProto`; what is not a tensor stays of no type.
fn tensor_type<R: Read + Seek>(wire: &mut Wire<R>, end: u64, info: &mut TensorInfo) -> Result<()> {
    while let Some(field) = wire.field(end)? {
        let (1, Value::Until(end)) = (field.number, field.value) else {
            wire.skip(field.value)?;
            continue;
        };
        while let Some(field) = wire.field(end)? {
            match (field.number, field.value) {
                (1, Value::Varint(number)) => info.element = Element::from_onnx(number),
                (2, Value::Until(end)) => info.shape = Some(shape(wire, end)?),
                (_, value) => wire.skip(value)?,
            }
        }
    }
    Ok(())
}

/// A `TensorShapeProto`.
fn shape<R: Read + Seek>(wire: &mut Wire<R>, end: u64) -> Result<Vec<Axis>> {
    let mut axes = Vec::new();
    while let Some(field) = wire.field(end)? {
        let (1, Value::Until(end)) = (field.number, field.value) else {
            wire.skip(field.value)?;
            continue;
        };
        if axes.len() == AXES {
            return Err(wire.broken("a tensor has more than 32 axes"));
        }
        let mut axis = Axis::Any(String::new());
        while let Some(field) = wire.field(end)? {
            match (field.number, field.value) {
                // Some exporters write a negative length or 0 for "any".
                (1, Value::Varint(length)) => match usize::try_from(length as i64) {
                    Ok(length) if length > 0 => axis = Axis::Fixed(length),
                    _ => {}
                },
                (2, Value::Until(end)) => axis = Axis::Any(wire.text(end)?),
                (_, value) => wire.skip(value)?,
            }
        }
        axes.push(axis);
    }
    Ok(axes)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::protobuf::tests::Message;

    /// A tensor's description: a length, or a name for any length.
    pub(crate) fn info(name: &str, element: Element, axes: &[&str]) -> TensorInfo {
        let axis = |text: &&str| text.parse().map_or_else(|_| Axis::Any((*text).to_owned()), Axis::Fixed);
        TensorInfo { name: name.to_owned(), element, shape: Some(axes.iter().map(axis).collect()) }
    }

    /// A graph whose outputs depend on the inputs that `wires` says.
    pub(crate) fn graph(inputs: &[TensorInfo], outputs: &[TensorInfo], wires: &[(&str, &[&str])]) -> Graph {
        let nodes = wires.iter().map(|(output, inputs)| Node {
            reads: inputs.iter().map(ToString::to_string).collect(),
            writes: vec![(*output).to_owned()],
        });
        Graph { inputs: inputs.to_vec(), outputs: outputs.to_vec(), external: BTreeSet::new(), nodes: nodes.collect() }
    }

    fn value(name: &str, element: u64, axes: &[Message]) -> Message {
        let shape = axes.iter().fold(Message::default(), |shape, axis| shape.message(1, axis));
        let tensor = Message::default().number(1, element).message(2, &shape);
        Message::default().text(1, name).message(2, &Message::default().message(1, &tensor))
    }

    fn fixed(length: u64) -> Message {
        Message::default().number(1, length)
    }

    fn written_node(reads: &[&str], writes: &[&str]) -> Message {
        let node = reads.iter().fold(Message::default(), |node, name| node.text(1, name));
        writes.iter().fold(node, |node, name| node.text(2, name))
    }

    fn weight(name: &str) -> Message {
        Message::default().text(8, name).bytes(9, &[7; 100])
    }

    fn model(graph: &Message) -> Vec<u8> {
        Message::default().number(1, 8).text(2, "a test").message(7, graph).0
    }

    fn read(bytes: &[u8]) -> Result<Graph> {
        Graph::read(Cursor::new(bytes), bytes.len() as u64)
    }

    fn small() -> Message {
        Message::default()
            .message(1, &written_node(&["x", "w"], &["h"]))
            .message(1, &written_node(&["h", ""], &["y"]))
            .message(1, &written_node(&["ids"], &["z"]))
            .message(5, &weight("w"))
            .message(11, &value("x", 1, &[Message::default().text(2, "N"), fixed(3), fixed(8), fixed(9)]))
            .message(11, &value("w", 1, &[fixed(3)]))
            .message(11, &value("ids", 7, &[fixed(u64::MAX)]))
            .message(12, &value("y", 1, &[Message::default(), fixed(5)]))
            .message(12, &value("z", 10, &[]))
    }

    #[test]
    fn inputs_and_outputs_are_read_and_weights_are_none_of_them() {
        let graph = read(&model(&small())).unwrap();
        assert_eq!(list(&graph.inputs), "x: f32 [N, 3, 8, 9]; ids: i64 [?]");
        assert_eq!(list(&graph.outputs), "y: f32 [?, 5]; z: f16 []");
    }

    #[test]
    fn an_output_depends_on_the_inputs_that_lead_to_it() {
        let graph = read(&model(&small())).unwrap();
        let names = |output: &str| graph.needed_for(output).iter().map(|i| i.name.clone()).collect::<Vec<_>>();
        assert_eq!(names("y"), ["x"]);
        assert_eq!(names("z"), ["ids"]);
        assert!(names("nobody").is_empty());
    }

    #[test]
    fn a_graph_within_an_attribute_reads_from_outside() {
        let inner = Message::default().message(1, &written_node(&["ids"], &["q"]));
        let attribute = Message::default().text(1, "then_branch").message(6, &inner);
        let branching = written_node(&["x"], &["y2"]).message(5, &attribute);
        let graph = read(&model(&small().message(1, &branching).message(12, &value("y2", 1, &[])))).unwrap();
        let names: Vec<&str> = graph.needed_for("y2").iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["x", "ids"]);
    }

    #[test]
    fn files_with_weights_outside_are_named() {
        let entry = |key: &str, text: &str| Message::default().text(1, key).text(2, text);
        let outside = weight("v")
            .message(13, &entry("location", "model.onnx_data"))
            .message(13, &entry("offset", "4096"))
            .number(14, 1);
        let inside = weight("u").message(13, &entry("location", "stale")).number(14, 0);
        let graph = read(&model(&small().message(5, &outside).message(5, &inside))).unwrap();
        assert_eq!(graph.external.into_iter().collect::<Vec<_>>(), ["model.onnx_data"]);
    }

    #[test]
    fn endless_nesting_and_absurd_ranks_are_refused() {
        let mut attribute = Message::default();
        for _ in 0..40 {
            let node = Message::default().message(5, &attribute);
            attribute = Message::default().message(6, &Message::default().message(1, &node));
        }
        let deep = small().message(1, &Message::default().message(5, &attribute));
        assert!(read(&model(&deep)).unwrap_err().message().contains("16 deep"));
        let wide = small().message(12, &value("wide", 1, &vec![fixed(1); 33]));
        assert!(read(&model(&wide)).unwrap_err().message().contains("32 axes"));
    }

    #[test]
    fn what_is_no_onnx_file_says_so() {
        for bytes in [&b""[..], b"PK\x03\x04 a zip", b"{\"a\": 1}", &Message::default().number(1, 8).0] {
            assert_eq!(read(bytes).unwrap_err().kind(), ErrorKind::Model, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_file_that_was_cut_or_changed_never_panics(
            cut in any::<prop::sample::Index>(),
            place in any::<prop::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let mut bytes = model(&small());
            let at = place.index(bytes.len());
            let _ = read(&bytes[..cut.index(bytes.len())]);
            bytes[at] = byte;
            let _ = read(&bytes);
        }
    }
}
