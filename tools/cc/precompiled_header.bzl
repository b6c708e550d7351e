"""Headers that are parsed once, for all sources that name them.

A source is compiled with a precompiled header if its flags have `-include
<package>/<name>.h` and its target depends on the header's; .bazelrc says which
sources. Beside other flags (another -O, say) the compiler reads the header as
any other.
"""

load("@bazel_tools//tools/build_defs/cc:action_names.bzl", "CPP_COMPILE_ACTION_NAME")
load("@bazel_tools//tools/cpp:toolchain_utils.bzl", "find_cpp_toolchain")

def _precompiled_header_impl(ctx):
    cc_toolchain = find_cpp_toolchain(ctx)
    features = cc_common.configure_features(
        ctx = ctx,
        cc_toolchain = cc_toolchain,
        requested_features = ctx.features,
        unsupported_features = ctx.disabled_features,
    )

    # Not in the source tree: the compiler would find that one first, without
    # what was made of it.
    header = ctx.actions.declare_file(ctx.label.name + ".h")
    guard = "CARACAL_PRECOMPILED_%s_H_" % ctx.label.name.upper()
    ctx.actions.write(header, "\n".join(
        ["#ifndef " + guard, "#define " + guard] +
        ["#include <%s>" % name for name in ctx.attr.headers] +
        ["#endif", ""],
    ))

    # Where the compiler looks for it.
    compiled = ctx.actions.declare_file(ctx.label.name + ".h.gch")
    cpp = ctx.fragments.cpp
    variables = cc_common.create_compile_variables(
        feature_configuration = features,
        cc_toolchain = cc_toolchain,
        source_file = header.path,
        output_file = compiled.path,
        user_compile_flags = cpp.copts + cpp.cxxopts + ctx.attr.copts +
                             ["-x", "c++-header"],
        # As the objects of programs are.
        use_pic = ctx.var["COMPILATION_MODE"] != "opt",
    )
    ctx.actions.run(
        executable = cc_common.get_tool_for_action(
            feature_configuration = features,
            action_name = CPP_COMPILE_ACTION_NAME,
        ),
        arguments = cc_common.get_memory_inefficient_command_line(
            feature_configuration = features,
            action_name = CPP_COMPILE_ACTION_NAME,
            variables = variables,
        ),
        inputs = depset([header], transitive = [cc_toolchain.all_files]),
        outputs = [compiled],
        mnemonic = "CppPrecompile",
        progress_message = "Precompiling %s" % header.short_path,
        use_default_shell_env = True,
    )
    return [
        DefaultInfo(files = depset([header, compiled])),
        CcInfo(compilation_context = cc_common.create_compilation_context(
            headers = depset([header, compiled]),
        )),
    ]

precompiled_header = rule(
    implementation = _precompiled_header_impl,
    attrs = {
        "headers": attr.string_list(
            doc = "System headers, as sources include them.",
        ),
        "copts": attr.string_list(
            doc = "What the sources' flags have beside --copt and --cxxopt.",
        ),
        "_cc_toolchain": attr.label(
            default = Label("@bazel_tools//tools/cpp:current_cc_toolchain"),
        ),
    },
    provides = [CcInfo],
    fragments = ["cpp"],
    toolchains = ["@bazel_tools//tools/cpp:toolchain_type"],
    incompatible_use_toolchain_transition = True,
)
