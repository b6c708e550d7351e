"""Libraries of CUDA sources: one nvcc action per .cu, CcInfo in and out.

nvcc drives the C++ toolchain's compiler for the host part. Without
--config=cuda the targets are incompatible: //... leaves them out, so that a
machine without the toolkit builds everything else.
"""

load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")
load("@local_cuda//:defs.bzl", "CUDA_TAGS", "NVCC")

# Keeps a target out of every build but --config=cuda.
REQUIRES_CUDA = select({
    "//tools/cuda:with_cuda": [],
    "//conditions:default": ["//tools/cuda:never"],
})

# Machine code for Hopper (compute_90a has wgmma), PTX for later chips; a
# source that keeps to sm_80 adds PTX of its own to run there.
HOPPER = ["-gencode=arch=compute_90a,code=sm_90a"]
PORTABLE = HOPPER + ["-gencode=arch=compute_80,code=compute_80"]

_NVCC_FLAGS = [
    "-std=c++20",
    "-O3",
    "--expt-relaxed-constexpr",
    "-Xcompiler=-Wall,-fPIC",
]

def _cuda_objects_impl(ctx):
    cc_toolchain = find_cpp_toolchain(ctx)
    feature_configuration = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = cc_toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )
    infos = [dep[CcInfo] for dep in ctx.attr.deps]
    context = cc_common.create_compilation_context(
        headers = depset(ctx.files.hdrs + ctx.files.textual_hdrs),
    )
    merged = cc_common.merge_cc_infos(
        direct_cc_infos = [CcInfo(compilation_context = context)],
        cc_infos = infos,
    ).compilation_context

    objects = []
    for src in ctx.files.srcs:
        out = ctx.actions.declare_file(
            "_cuda/%s/%s.o" % (ctx.label.name, src.basename),
        )
        args = ctx.actions.args()
        args.add("-ccbin", cc_toolchain.compiler_executable)
        args.add_all(_NVCC_FLAGS)
        args.add_all(ctx.attr.gencode)
        args.add_all(ctx.attr.copts)
        args.add("-I.")
        args.add_all(merged.includes, before_each = "-I")
        args.add_all(merged.quote_includes, before_each = "-I")
        args.add_all(merged.system_includes, before_each = "-isystem")
        args.add("-c", src)
        args.add("-o", out)
        ctx.actions.run(
            executable = NVCC,
            arguments = [args],
            inputs = depset(
                [src],
                transitive = [merged.headers, cc_toolchain.all_files],
            ),
            outputs = [out],
            mnemonic = "CudaCompile",
            progress_message = "Compiling %s" % src.short_path,
            # nvcc starts gcc, which looks for its parts on the PATH.
            use_default_shell_env = True,
        )
        objects.append(out)

    outputs = cc_common.create_compilation_outputs(
        objects = depset(objects),
        pic_objects = depset(objects),
    )
    linking, _ = cc_common.create_linking_context_from_compilation_outputs(
        actions = ctx.actions,
        name = ctx.label.name,
        feature_configuration = feature_configuration,
        cc_toolchain = cc_toolchain,
        compilation_outputs = outputs,
        linking_contexts = [info.linking_context for info in infos],
        disallow_dynamic_library = True,
        alwayslink = ctx.attr.alwayslink,
    )
    return [
        DefaultInfo(files = depset(objects)),
        cc_common.merge_cc_infos(cc_infos = [CcInfo(
            compilation_context = merged,
            linking_context = linking,
        )]),
    ]

_cuda_objects = rule(
    implementation = _cuda_objects_impl,
    attrs = {
        "srcs": attr.label_list(allow_files = [".cu"]),
        "hdrs": attr.label_list(allow_files = [".h"]),
        "textual_hdrs": attr.label_list(allow_files = [".h"]),
        "deps": attr.label_list(providers = [CcInfo]),
        "copts": attr.string_list(),
        # For what registers itself when a program starts, as tests do.
        "alwayslink": attr.bool(),
        "gencode": attr.string_list(),
        "_cc_toolchain": attr.label(
            default = Label("@bazel_tools//tools/cpp:current_cc_toolchain"),
        ),
    },
    provides = [CcInfo],
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
    incompatible_use_toolchain_transition = True,
)

def cuda_library(name, srcs = [], gencode = HOPPER, deps = [], tags = [], **kwargs):
    """A cc_library of .cu sources and their headers.

    Args:
      name: of the target.
      srcs: .cu files.
      gencode: HOPPER, PORTABLE or a list of -gencode flags of one's own.
      deps: cc_library and cuda_library targets.
      tags: beside "gpu".
      **kwargs: hdrs, textual_hdrs, copts, alwayslink, visibility, testonly.
    """
    _cuda_objects(
        name = name,
        srcs = srcs,
        gencode = gencode,
        deps = deps + ["@local_cuda//:cudart"],
        tags = tags + CUDA_TAGS,
        target_compatible_with = REQUIRES_CUDA,
        **kwargs
    )

def cuda_test(name, tags = [], linkopts = [], **kwargs):
    """A cc_test that needs a GPU; its binary also runs where it is carried."""
    native.cc_test(
        name = name,
        tags = tags + CUDA_TAGS,
        linkopts = linkopts + ["-static-libstdc++", "-static-libgcc"],
        target_compatible_with = REQUIRES_CUDA,
        **kwargs
    )

def cuda_binary(name, tags = [], linkopts = [], **kwargs):
    """A cc_binary that needs a GPU; it also runs where it is carried."""
    native.cc_binary(
        name = name,
        tags = tags + CUDA_TAGS,
        linkopts = linkopts + ["-static-libstdc++", "-static-libgcc"],
        target_compatible_with = REQUIRES_CUDA,
        **kwargs
    )
