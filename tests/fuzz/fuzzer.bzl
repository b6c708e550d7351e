"""A libFuzzer target and its regression test from one entry function."""

def fuzzer(name, corpus, deps):
    """Targets around LLVMFuzzerTestOneInput in <name>.cc.

    <name>       the libFuzzer binary: bazel run --config=fuzz, manual
    <name>_test  runs the entry on `corpus` and on seeded mutations of it
    """
    native.cc_library(
        name = name + "_entry",
        testonly = True,
        srcs = [name + ".cc"],
        alwayslink = True,
        deps = deps,
    )
    native.cc_binary(
        name = name,
        testonly = True,
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = [":" + name + "_entry"],
    )
    native.cc_test(
        name = name + "_test",
        size = "small",
        srcs = ["//tests/fuzz:replay.cc"],
        args = ["$(rootpaths %s)" % label for label in corpus],
        data = corpus,
        deps = [
            ":" + name + "_entry",
            "//kernels/common:check",
        ],
    )
