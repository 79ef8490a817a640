//! The names that a table of tensors refers to. They are words here: nothing is imported or called.

use safetensors::Dtype;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    /// A dictionary, which is all that an `OrderedDict` is for us.
    OrderedDict,
    /// A function that makes a tensor of a storage; `typed` where the storage tells the type of the numbers, and else an
    /// argument does.
    Tensor { typed: bool },
    /// A function that makes a parameter of a tensor, which stays what it is.
    Parameter,
    /// A storage of numbers of this type, or of plain bytes.
    Storage(Option<Dtype>),
    /// A type of numbers.
    Dtype(Dtype),
    /// Something whose value does not matter for weights.
    Idle,
}

impl Global {
    /// The global `module.name`, if it is one of those that weights need.
    pub(super) fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::Tensor { typed: true },
            ("torch._utils", "_rebuild_tensor_v3") => Self::Tensor { typed: false },
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Self::Parameter,
            ("torch.storage" | "torch", "UntypedStorage") => Self::Storage(None),
            ("torch", "Size" | "device" | "strided") | ("torch.serialization", "_get_layout") => Self::Idle,
            ("torch", name) => match name.strip_suffix("Storage") {
                Some(kind) => Self::Storage(Some(storage(kind)?)),
                None => Self::Dtype(dtype(name)?),
            },
            _ => return None,
        })
    }
}

/// The numbers of `torch.<kind>Storage`.
fn storage(kind: &str) -> Option<Dtype> {
    Some(match kind {
        "Float" => Dtype::F32,
        "Half" => Dtype::F16,
        "BFloat16" => Dtype::BF16,
        "Double" => Dtype::F64,
        "Long" => Dtype::I64,
        "Int" => Dtype::I32,
        "Short" => Dtype::I16,
        "Char" => Dtype::I8,
        "Byte" => Dtype::U8,
        "Bool" => Dtype::BOOL,
        "ComplexFloat" => Dtype::C64,
        _ => return None,
    })
}

/// The numbers of `torch.<name>`.
fn dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "float32" => Dtype::F32,
        "float16" => Dtype::F16,
        "bfloat16" => Dtype::BF16,
        "float64" => Dtype::F64,
        "int64" => Dtype::I64,
        "int32" => Dtype::I32,
        "int16" => Dtype::I16,
        "int8" => Dtype::I8,
        "uint64" => Dtype::U64,
        "uint32" => Dtype::U32,
        "uint16" => Dtype::U16,
        "uint8" => Dtype::U8,
        "bool" => Dtype::BOOL,
        "complex64" => Dtype::C64,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        "float8_e4m3fnuz" => Dtype::F8_E4M3FNUZ,
        "float8_e5m2fnuz" => Dtype::F8_E5M2FNUZ,
        "float8_e8m0fnu" => Dtype::F8_E8M0,
        _ => return None,
    })
}
