"""Turns files into a C++ source that holds them: embed.py OUT.cc NAME=FILE..."""

import hashlib
import sys

TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Of a string literal; the compiler's limit is 64 KiB.
PIECE = 8000


def literal(data):
    """`data` as adjacent string literals; octal escapes end by themselves."""
    out = []
    for start in range(0, len(data), PIECE):
        text = "".join(
            chr(b) if 32 <= b < 127 and b not in b'"\\?' else f"\\{b:03o}"
            for b in data[start : start + PIECE])
        out.append(f'    "{text}"')
    return "\n".join(out) or '    ""'


def main():
    files = []
    for argument in sys.argv[2:]:
        name, path = argument.split("=", 1)
        with open(path, "rb") as file:
            files.append((name, file.read()))
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write('#include "jobs/coordinator/web/embedded_file.h"\n\n')
        out.write("namespace caracal {\nnamespace {\n\n")
        for i, (_, data) in enumerate(files):
            out.write(f"constexpr char kData{i}[] =\n{literal(data)};\n")
        out.write("\nconstexpr EmbeddedFile kFiles[] = {\n")
        for i, (name, data) in enumerate(files):
            kind = TYPES[name.rsplit(".", 1)[1]]
            tag = hashlib.sha256(data).hexdigest()[:20]
            out.write(f'    {{"/{name}", "{kind}", "\\"{tag}\\"", '
                      f"{{kData{i}, {len(data)}}}}},\n")
        out.write("};\n\n}  // namespace\n\n")
        out.write("absl::Span<const EmbeddedFile> EmbeddedFiles() "
                  "{ return kFiles; }\n\n}  // namespace caracal\n")


if __name__ == "__main__":
    main()
