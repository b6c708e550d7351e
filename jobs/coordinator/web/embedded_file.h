// The page's files, which are part of the program.
#ifndef CARACAL_JOBS_COORDINATOR_WEB_EMBEDDED_FILE_H_
#define CARACAL_JOBS_COORDINATOR_WEB_EMBEDDED_FILE_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace caracal {

struct EmbeddedFile {
  absl::string_view path;  // "/index.html"
  absl::string_view type;  // as in Content-Type
  absl::string_view etag;  // with its quotes; another one for other contents
  absl::string_view contents;
};

// Made by embed.py.
absl::Span<const EmbeddedFile> EmbeddedFiles();

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_WEB_EMBEDDED_FILE_H_
