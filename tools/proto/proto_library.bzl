"""C++ messages from .proto files with the system protoc."""

def cc_proto(name, srcs, imports = [], deps = [], **kwargs):
    """cc_library of the messages in `srcs` (paths from the workspace root).

    `imports`: files that they import; deps has the messages of those.
    """
    package = native.package_name()
    stems = [src[:-len(".proto")] for src in srcs]
    native.genrule(
        name = name + "_generate",
        srcs = srcs + imports,
        outs = [s + ext for s in stems for ext in [".pb.h", ".pb.cc"]],
        cmd = "protoc -I. --cpp_out=$(GENDIR) " + " ".join(
            [package + "/" + src for src in srcs],
        ),
    )
    native.cc_library(
        name = name,
        srcs = [s + ".pb.cc" for s in stems],
        hdrs = [s + ".pb.h" for s in stems],
        copts = ["-w"],
        deps = deps + ["@protobuf//:protobuf"],
        **kwargs
    )

def cc_grpc(name, srcs, deps, imports = [], **kwargs):
    """cc_library of the services in `srcs`; deps has their messages."""
    package = native.package_name()
    stems = [src[:-len(".proto")] for src in srcs]
    native.genrule(
        name = name + "_generate",
        srcs = srcs + imports,
        outs = [s + ext for s in stems for ext in [".grpc.pb.h", ".grpc.pb.cc"]],
        cmd = "protoc -I. --grpc_out=$(GENDIR) " +
              "--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin " + " ".join(
            [package + "/" + src for src in srcs],
        ),
    )
    native.cc_library(
        name = name,
        srcs = [s + ".grpc.pb.cc" for s in stems],
        hdrs = [s + ".grpc.pb.h" for s in stems],
        copts = ["-w"],
        deps = deps + ["@grpc//:grpc++"],
        **kwargs
    )
