//! The adapters of this machine, asked of their drivers.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use flowc_platform::processor_kind;

use crate::adapter::{Adapter, Limits, Sort};
use crate::evidence::Drivers;

/// Iterations of an invocation on llvmpipe, which ends loops after 65,535 without an error.
const LLVMPIPE: u32 = 60_000;

/// What a future gives. Those of native adapters are ready when they are made.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// The adapters of this machine, as their drivers have them. Variables of wgpu's own are ignored: they would decide about results
/// unseen.
pub(crate) fn open() -> Vec<(wgpu::Adapter, Adapter)> {
    let backends = wgpu::Backends::VULKAN | wgpu::Backends::METAL | wgpu::Backends::DX12;
    let descriptor = wgpu::InstanceDescriptor {
        backends,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    };
    let adapters = wait(wgpu::Instance::new(descriptor).enumerate_adapters(backends));
    let (settings, drivers) = (Drivers::settings(), Drivers::find());
    adapters.into_iter().map(|adapter| (adapter.clone(), described(&adapter, &settings, &drivers))).collect()
}

/// What is remembered of an adapter. `settings` are what its driver is told by variables.
fn described(adapter: &wgpu::Adapter, settings: &str, drivers: &Drivers) -> Adapter {
    let wgpu::AdapterInfo { name, vendor, device, device_type, driver, driver_info, backend, .. } = adapter.get_info();
    let sort = match device_type {
        wgpu::DeviceType::DiscreteGpu => Sort::Discrete,
        wgpu::DeviceType::IntegratedGpu => Sort::Integrated,
        wgpu::DeviceType::VirtualGpu => Sort::Virtual,
        wgpu::DeviceType::Cpu => Sort::Cpu,
        wgpu::DeviceType::Other => Sort::Other,
    };
    let processor = if sort == Sort::Cpu { format!(", {}", processor_kind()) } else { String::new() };
    // Some tell no version, and another one may give other bits.
    let version = if driver_info.trim().is_empty() { drivers.contents() } else { driver_info };
    let identity = format!("{backend} {vendor:x}:{device:x} {name}, {driver} {version}{processor}{settings}");
    let (limits, features) = (adapter.limits(), adapter.features());
    let limits = Limits {
        binding: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
        buffer: limits.max_buffer_size,
        buffers: limits.max_storage_buffers_per_shader_stage,
        groups: limits.max_compute_workgroups_per_dimension,
        invocations: limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x),
        iterations: (driver == "llvmpipe").then_some(LLVMPIPE),
        workgroup_memory: limits.max_compute_workgroup_storage_size,
        int64: features.contains(wgpu::Features::SHADER_INT64),
        f16: features.contains(wgpu::Features::SHADER_F16),
        subgroups: features.contains(wgpu::Features::SUBGROUP),
    };
    Adapter { name, sort, identity, limits }
}
