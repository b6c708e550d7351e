"""Tests that run as several ranks under mpirun."""

def mpi_test(name, srcs, ranks, deps, size = "small", tags = [], **kwargs):
    """GoogleTest cases that all ranks run side by side.

    One test target for each number in `ranks`: NAME_1, NAME_2, ...; NAME is the
    program. Rank 0 writes the record of the cases, so that each counts once a
    target; a failure on any rank fails the target and is shown.
    """
    native.cc_binary(
        name = name,
        testonly = True,
        srcs = srcs,
        deps = deps + [
            "//dist/mpi/testing:mpi_test_main",
            "@gtest//:gtest",
        ],
        **kwargs
    )
    for count in ranks:
        native.sh_test(
            name = "{}_{}".format(name, count),
            size = size,
            srcs = ["//tools/mpi:run_ranks.sh"],
            args = [str(count), "$(location :{})".format(name)],
            data = [":" + name],
            tags = tags + ["cpu:{}".format(count)],
        )
