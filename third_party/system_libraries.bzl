"""System libraries as repositories with upstream's label names.

A later move to source builds changes WORKSPACE and this file only.
"""

def _lib(name, linkopts = [], deps = [], hdrs = [], includes = [], defines = []):
    return struct(
        name = name,
        linkopts = linkopts,
        deps = deps,
        hdrs = hdrs,
        includes = includes,
        defines = defines,
    )

def _absl(name, libs = []):
    return _lib(name, linkopts = ["-labsl_" + lib for lib in libs])

# Link order matters with static archives only; these are shared libraries.
_LIBRARIES = {
    "absl": [
        _absl("status", ["status", "cord", "strings"]),
        _absl("statusor", ["statusor", "status", "cord", "strings"]),
        _absl("strings", [
            "strings",
            "str_format_internal",
            "strings_internal",
            "raw_logging_internal",
            "throw_delegate",
        ]),
        _absl("synchronization", ["synchronization", "time", "base"]),
        _absl("time", ["time", "time_zone", "strings"]),
        _absl("span"),
        _absl("function_ref"),
        _absl("flat_hash_map", ["raw_hash_set", "hash", "city", "low_level_hash"]),
    ],
    "benchmark": [
        _lib("benchmark", ["-lbenchmark", "-lpthread"]),
        _lib("benchmark_main", ["-lbenchmark_main", "-lbenchmark", "-lpthread"]),
    ],
    "cli11": [_lib("cli11")],
    "grpc": [
        _lib("grpc++", ["-lgrpc++", "-lgrpc", "-lgpr"]),
        _lib("grpc++_reflection", ["-lgrpc++_reflection", "-lgrpc++"]),
        _lib("grpc++_error_details", ["-lgrpc++_error_details", "-lgrpc++"]),
    ],
    "gtest": [
        _lib(
            "gtest",
            ["-lgmock", "-lgtest", "-lpthread"],
            deps = ["@caracal//tools/cc:test_headers"],
        ),
        _lib(
            "gtest_main",
            ["-lgmock_main", "-lgmock", "-lgtest", "-lpthread"],
            deps = ["@caracal//tools/cc:test_headers"],
        ),
    ],
    "hdf5": [_lib(
        "hdf5",
        ["-lhdf5_serial_hl", "-lhdf5_serial"],
        hdrs = ["include/hdf5/serial"],
        includes = ["include/hdf5/serial"],
    )],
    # The library was built with these: its types depend on them. No server or
    # client of ours uses TLS through it.
    "httplib": [_lib(
        "httplib",
        ["-lcpp-httplib", "-lpthread"],
        defines = ["CPPHTTPLIB_OPENSSL_SUPPORT"],
    )],
    "mpi": [_lib(
        "mpi",
        ["-lmpi"],
        hdrs = ["lib/x86_64-linux-gnu/openmpi/include"],
        includes = ["lib/x86_64-linux-gnu/openmpi/include"],
    )],
    "nlohmann_json": [_lib("json")],
    "openblas": [_lib("openblas", ["-lopenblas", "-lpthread"])],
    "openssl": [
        _lib("crypto", ["-lcrypto"]),
        _lib("ssl", ["-lssl"], deps = [":crypto"]),
    ],
    "pcre2": [_lib("pcre2-8", ["-lpcre2-8"])],
    "protobuf": [_lib("protobuf", ["-lprotobuf", "-lpthread"])],
    "sqlite": [_lib("sqlite3", ["-lsqlite3"])],
    "xxhash": [_lib("xxhash", ["-lxxhash"])],
    "zlib": [_lib("zlib", ["-lz"])],
    "zstd": [_lib("zstd", ["-lzstd"])],
}

def _build_file(libs):
    out = ['package(default_visibility = ["//visibility:public"])']
    for lib in libs:
        hdrs = "glob(%s)" % [d + "/**" for d in lib.hdrs] if lib.hdrs else "[]"
        out.append("cc_library(name = {}, linkopts = {}, hdrs = {}, includes = {}, defines = {}, deps = {})".format(
            repr(lib.name),
            lib.linkopts,
            hdrs,
            lib.includes,
            lib.defines,
            lib.deps + ["@caracal//tools/cc:common_headers"],
        ))
    return "\n".join(out) + "\n"

def system_libraries():
    for repo, libs in _LIBRARIES.items():
        native.new_local_repository(
            name = repo,
            path = "/usr",
            build_file_content = _build_file(libs),
        )

    # No library, but what the page draws its charts with.
    native.new_local_repository(
        name = "chartjs",
        path = "/usr/share/javascript/chart.js",
        build_file_content = """exports_files(["chart.min.js"])\n""",
    )
