//! What a deployment asks of this program and this machine: refused by name, where it cannot be had.

use std::error::Error;
use std::fs;

use protocol::worker::{Device, WorkerSettings};

/// Where the driver states its version.
const DRIVER: &str = "/proc/driver/nvidia/version";

/// Before the jail: whether this build may compute that at all.
pub(crate) fn check(settings: &WorkerSettings) -> Result<(), String> {
    refused(settings, cfg!(feature = "cuda")).map_or(Ok(()), Err)
}

fn refused(settings: &WorkerSettings, with_gpu: bool) -> Option<String> {
    if let Some(why) = settings.device.refuses(settings.profile) {
        return Some(why.to_owned());
    }
    match (settings.device, with_gpu) {
        (Device::Gpu, false) => Some(
            "device = \"gpu\" is asked for, and this engine computes on the processor only: build one with \
             `cargo xtask engine --cuda`, or deploy with device = \"cpu\""
                .to_owned(),
        ),
        // Its mathematical library is the machine's: a digest that does not cover that pins no bits.
        (Device::Cpu, true) => Some(
            "this engine is built for a GPU and computes nowhere else: deploy with device = \"gpu\", or use the engine \
             that `cargo xtask engine` builds"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The driver's version, which its kernel module states. To be read before the jail.
pub(crate) fn driver_version() -> Result<String, Box<dyn Error>> {
    let text = fs::read_to_string(DRIVER).map_err(|error| {
        format!("{DRIVER}: {error}: no driver for NVIDIA's GPUs is loaded; load it, or deploy with device = \"cpu\"")
    })?;
    version_of(&text).ok_or_else(|| format!("{DRIVER} states no version").into())
}

/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 …`, with other words by the module's sort.
fn version_of(text: &str) -> Option<String> {
    let is_version = |word: &&str| {
        word.contains('.') && word.chars().all(|letter| letter.is_ascii_digit() || letter == '.')
    };
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_owned)
}

/// In the jail: the GPUs that will be used, in words, as they are pinned by the lock and stand in every record.
/// Refused when there is none, or they have no room for the weights.
pub(crate) fn gpus(driver: &str, model_bytes: u64) -> Result<String, String> {
    described(&llama::gpus(), driver, model_bytes)
}

fn described(gpus: &[llama::Gpu], driver: &str, model_bytes: u64) -> Result<String, String> {
    if gpus.is_empty() {
        return Err(format!(
            "the driver {driver} gives this engine no GPU (its reason is in the log): it may be too old for the \
             engine's CUDA, or the GPU of a kind that the engine has no kernels for; or deploy with device = \"cpu\""
        ));
    }
    let free_bytes: u64 = gpus.iter().map(|gpu| gpu.memory_free_bytes).sum();
    if free_bytes < model_bytes {
        return Err(format!(
            "the weights need {} MiB of the GPU's memory, and {} of {} MiB are free: end what else uses it, take a \
             smaller model, or deploy with device = \"cpu\"",
            model_bytes >> 20,
            free_bytes >> 20,
            gpus.iter().map(|gpu| gpu.memory_bytes).sum::<u64>() >> 20,
        ));
    }
    let names: Vec<&str> = gpus.iter().map(|gpu| gpu.name.as_str()).collect();
    Ok(format!("GPU : {}, driver {driver}", names.join(" + ")))
}

#[cfg(test)]
mod tests {
    use protocol::worker::{EngineProfile, Speculation, VERSION};

    use super::*;

    fn settings(device: Device, profile: EngineProfile) -> WorkerSettings {
        WorkerSettings {
            version: VERSION,
            supervisor_pid: 1,
            profile,
            device,
            context_tokens: 512,
            slots: 1,
            queue_max: 1,
            threads: 1,
            kept_bytes_max: 0,
            speculation: Speculation::Off,
            accept: Vec::new(),
        }
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_name() {
        use Device::{Cpu, Gpu};
        use EngineProfile::{Fast, Reproducible};
        for (device, profile, with_gpu, words) in [
            (Cpu, Reproducible, false, None),
            (Cpu, Fast, false, None),
            (Gpu, Fast, true, None),
            (Gpu, Fast, false, Some("cargo xtask engine --cuda")),
            (Gpu, Reproducible, true, Some("`reproducible` cannot be had on a GPU")),
            (Gpu, Reproducible, false, Some("`reproducible` cannot be had on a GPU")),
            (Cpu, Fast, true, Some("device = \"gpu\"")),
            (Cpu, Reproducible, true, Some("device = \"gpu\"")),
        ] {
            let refused = refused(&settings(device, profile), with_gpu);
            assert_eq!(refused.is_some(), words.is_some(), "{device:?} {profile:?} {with_gpu}: {refused:?}");
            assert!(words.is_none_or(|words| refused.as_ref().is_some_and(|why| why.contains(words))));
        }
    }

    #[test]
    fn no_gpu_and_too_small_a_gpu_are_refused() {
        let gpu = |free| llama::Gpu { name: "A".to_owned(), memory_free_bytes: free, memory_bytes: 16 << 30 };
        assert!(described(&[], "1.2", 1).unwrap_err().contains("no GPU"));
        let small = described(&[gpu(1 << 30)], "1.2", 2 << 30).unwrap_err();
        assert!(small.contains("need 2048 MiB") && small.contains("1024 of 16384 MiB"), "{small}");
        assert_eq!(
            described(&[gpu(1 << 30), gpu(1 << 30)], "1.2", 2 << 30).unwrap(),
            "GPU : A + A, driver 1.2"
        );
    }

    #[test]
    fn the_driver_states_its_version() {
        for (text, version) in [
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23 10:11:16 UTC 2025\nGCC version: gcc version 12.2.0",
                Some("580.95.05"),
            ),
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.133.20  Release Build  (root@host)",
                Some("570.133.20"),
            ),
            ("NVRM version:", None),
            ("", None),
        ] {
            assert_eq!(version_of(text).as_deref(), version);
        }
    }

    /// This build's own answer.
    #[test]
    fn this_build_refuses_the_other_device() {
        let other = if cfg!(feature = "cuda") { Device::Cpu } else { Device::Gpu };
        assert!(check(&settings(other, EngineProfile::Fast)).is_err());
    }
}
