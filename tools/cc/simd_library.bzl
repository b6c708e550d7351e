"""One source compiled once per instruction set, for run-time dispatch."""

# Namespace -> compiler flags. Explicit levels, never -march=native: a binary
# runs on any x86-64-v1 machine and picks its path from CPUID.
_ISAS = {
    "avx2": ["-march=x86-64-v3"],
    "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
}

def simd_library(name, srcs, hdrs = [], deps = [], textual_hdrs = [], **kwargs):
    """cc_library holding `srcs` compiled for AVX2 and for AVX-512.

    Each source must put all it defines into `namespace CARACAL_SIMD_NS` and
    instantiate no function template of the standard library (the linker might
    keep the AVX-512 copy of it for everybody).
    """
    variants = []
    for isa, copts in _ISAS.items():
        variant = name + "_" + isa
        native.cc_library(
            name = variant,
            srcs = srcs,
            hdrs = hdrs,
            textual_hdrs = textual_hdrs,
            copts = copts + [
                "-DCARACAL_SIMD_NS=" + isa,
                "-O3",
                "-ffp-contract=off",
                # GCC 12 warns about its own AVX-512 headers.
                "-Wno-uninitialized",
                "-Wno-maybe-uninitialized",
            ],
            deps = deps,
            visibility = ["//visibility:private"],
        )
        variants.append(":" + variant)
    native.cc_library(
        name = name,
        hdrs = hdrs,
        deps = variants + deps,
        **kwargs
    )
