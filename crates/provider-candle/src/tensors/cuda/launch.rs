//! Starting a kernel of `kernels.cu` on candle's tensors.

use std::{marker::PhantomData, sync::Arc};

use candle_core::{
    CpuStorage, CudaDevice, CudaStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor,
    backend::BackendStorage,
    cuda_backend::{
        CudaDType, WrapErr,
        cudarc::driver::{CudaFunction, CudaSlice, CudaStream, CudaView, DeviceRepr, LaunchArgs, LaunchConfig},
    },
};

const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));
/// Threads of a block.
const THREADS: u32 = 256;
/// Blocks that keep the largest GPU busy.
const BLOCKS: u32 = 132 * 16;

/// A type that the kernels are there for, with the name that they have it by.
pub(super) trait Number: CudaDType + DeviceRepr {
    const NAME: &'static str;
}

impl Number for f32 {
    const NAME: &'static str = "f32";
}

impl Number for half::f16 {
    const NAME: &'static str = "f16";
}

impl Number for half::bf16 {
    const NAME: &'static str = "bf16";
}

/// Runs an expression with `$T` as the storage's type.
macro_rules! by_number {
    ($storage:expr, $T:ident => $run:expr) => {{
        use candle_core::backend::BackendStorage;
        match $storage.dtype() {
            candle_core::DType::F32 => {
                type $T = f32;
                $run
            }
            candle_core::DType::F16 => {
                type $T = half::f16;
                $run
            }
            candle_core::DType::BF16 => {
                type $T = half::bf16;
                $run
            }
            other => candle_core::bail!("no kernel for {other:?}"),
        }
    }};
}
pub(super) use by_number;

/// What `run` makes of the storage of `x`.
pub(super) fn made(
    name: &'static str,
    x: &Tensor,
    run: impl Fn(&CudaStorage, &Layout) -> Result<(CudaStorage, Shape)>,
) -> Result<Tensor> {
    struct Made<F>(&'static str, F);

    impl<F: Fn(&CudaStorage, &Layout) -> Result<(CudaStorage, Shape)>> CustomOp1 for Made<F> {
        fn name(&self) -> &'static str {
            self.0
        }

        fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
            candle_core::bail!("{} is computed on a GPU alone", self.0)
        }

        fn cuda_fwd(&self, storage: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
            (self.1)(storage, layout)
        }
    }

    x.apply_op1_no_bwd(&Made(name, run))
}

/// The numbers of a contiguous tensor.
pub(super) fn numbers<'a, T: CudaDType>(storage: &'a CudaStorage, layout: &Layout) -> Result<CudaView<'a, T>> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        candle_core::bail!("a kernel was given a tensor that is not contiguous")
    };
    Ok(storage.as_cuda_slice::<T>()?.slice(start..end))
}

/// What `run` makes of the numbers of `tensor`, of which there must be so many.
pub(super) fn with<T: CudaDType, R>(
    tensor: &Tensor,
    count: usize,
    run: impl FnOnce(CudaView<'_, T>) -> Result<R>,
) -> Result<R> {
    if tensor.elem_count() != count {
        candle_core::bail!("a kernel was given {} numbers where it reads {count}", tensor.elem_count())
    }
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cuda(storage) => run(numbers(storage, layout)?),
        _ => candle_core::bail!("a kernel was given a tensor that is not on the GPU"),
    }
}

/// A kernel for numbers of one type.
pub(super) struct Kernel<T> {
    device: CudaDevice,
    stream: Arc<CudaStream>,
    function: CudaFunction,
    /// Numbers that a thread takes at once.
    pack: usize,
    number: PhantomData<T>,
}

impl<T: Number> Kernel<T> {
    /// That of this name on the device of `storage`: with packs of 16 bytes where rows of `columns` are whole packs and all
    /// tensors begin with one.
    pub(super) fn new(storage: &CudaStorage, name: &str, columns: usize, starts: &[usize]) -> Result<Self> {
        let pack = 16 / size_of::<T>();
        let fits = columns.is_multiple_of(pack) && starts.iter().all(|start| start.is_multiple_of(pack));
        Self::with_pack(storage, name, if fits { pack } else { 1 })
    }

    /// That which takes single numbers.
    pub(super) fn single(storage: &CudaStorage, name: &str) -> Result<Self> {
        Self::with_pack(storage, name, 1)
    }

    fn with_pack(storage: &CudaStorage, name: &str, pack: usize) -> Result<Self> {
        let device = storage.device().clone();
        let function = device.get_or_load_custom_func(&format!("{name}_{}_{pack}", T::NAME), "imbed", PTX)?;
        Ok(Self {
            stream: device.cuda_stream(),
            function: function.into_cuda_function(),
            device,
            pack,
            number: PhantomData,
        })
    }

    /// Room for so many numbers, which the kernel fills.
    pub(super) fn room(&self, size: usize) -> Result<CudaSlice<T>> {
        // SAFETY: every kernel writes every number of its result, and no other is started on it before.
        unsafe { self.device.alloc::<T>(size) }
    }

    pub(super) fn arguments(&self) -> LaunchArgs<'_> {
        self.stream.launch_builder(&self.function)
    }

    /// As many threads as there are packs of so many numbers, up to what keeps a GPU busy; the kernels go round.
    pub(super) fn over(&self, size: usize) -> LaunchConfig {
        let blocks = size.div_ceil(self.pack).div_ceil(THREADS as usize).clamp(1, BLOCKS as usize);
        LaunchConfig { grid_dim: (blocks as u32, 1, 1), block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 }
    }

    /// What was filled, as candle holds it.
    pub(super) fn storage(&self, filled: CudaSlice<T>) -> CudaStorage {
        CudaStorage::wrap_cuda_slice(filled, self.device.clone())
    }
}

/// Starts a kernel. It has the arguments that the kernel of its name has in `kernels.cu`, over tensors of these sizes.
pub(super) fn launch(mut arguments: LaunchArgs<'_>, config: LaunchConfig) -> Result<()> {
    // SAFETY: the callers, all in the module above, give each kernel the arguments that it declares, and tensors whose lengths
    // are the products of the sizes that they give beside them: `with` and the callers have looked.
    unsafe { arguments.launch(config) }.w()?;
    Ok(())
}
