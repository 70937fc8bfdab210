//! The runtime of origin, load and relay: io_uring with the cheap flags, on this thread.

use std::future::Future;

/// Runs `main` to its end.
pub(crate) fn block_on<F: Future>(main: F) -> Result<F::Output, String> {
    let mut builder = io_uring::IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_coop_taskrun();
    let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
        .with_entries(4096)
        .uring_builder(builder)
        .enable_timer()
        .build()
        .map_err(|error| format!("no io_uring: {error}"))?;
    Ok(runtime.block_on(main))
}
