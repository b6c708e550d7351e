"""Finds the CUDA toolkit, or writes empty stand-ins where there is none."""

def _cuda_configure_impl(ctx):
    root = ctx.os.environ.get("CUDA_HOME", "/usr/local/cuda")
    nvcc = root + "/bin/nvcc"
    found = ctx.path(nvcc).exists
    nccl = found and ctx.path(root + "/include/nccl.h").exists
    ctx.file("defs.bzl", "\n".join([
        "HAVE_CUDA = %s" % found,
        "HAVE_NCCL = %s" % nccl,
        "NVCC = %r" % nvcc,
        # Tags of CUDA targets: out of //... where they could not build.
        "CUDA_TAGS = %s" % (["gpu"] if found else ["gpu", "manual"]),
        # Likewise of what needs NCCL.
        "NCCL_TAGS = %s" % (["gpu"] if nccl else ["gpu", "manual"]),
        "",
    ]))
    if found:
        ctx.symlink(root, "cuda")
        build = """
cc_library(
    name = "cudart",
    hdrs = glob(["cuda/include/**/*.h", "cuda/include/**/*.hpp"]),
    includes = ["cuda/include"],
    linkopts = ["-L%s/lib64", "-lcudart_static", "-ldl", "-lrt", "-lpthread"],
    visibility = ["//visibility:public"],
)
cc_library(
    name = "nccl",
    linkopts = ["-L%s/lib64", "-lnccl"],
    deps = [":cudart"],
    visibility = ["//visibility:public"],
)
# Shared (the toolkit's static one is larger than all of our binaries): a
# carried binary finds it in the same place or through the loader's cache.
cc_library(
    name = "cublas_lt",
    linkopts = ["-L%s/lib64", "-Wl,-rpath,%s/lib64", "-lcublasLt"],
    visibility = ["//visibility:public"],
    deps = [":cudart"],
)
""" % (root, root, root, root)
    else:
        build = """
cc_library(name = "cudart", visibility = ["//visibility:public"])
cc_library(name = "nccl", visibility = ["//visibility:public"])
cc_library(name = "cublas_lt", visibility = ["//visibility:public"])
"""
    ctx.file("BUILD.bazel", build)

cuda_configure = repository_rule(
    implementation = _cuda_configure_impl,
    environ = ["CUDA_HOME"],
    local = True,
)
