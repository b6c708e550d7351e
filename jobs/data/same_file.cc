#include "jobs/data/same_file.h"

#include <filesystem>
#include <system_error>

namespace caracal {

bool SameFile(const std::string& a, const std::string& b) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (fs::equivalent(a, b, error)) return true;
  // Of a file that is not there yet the folder may be a link.
  const fs::path x = fs::weakly_canonical(a, error);
  if (error) return a == b;
  const fs::path y = fs::weakly_canonical(b, error);
  return error ? a == b : x == y;
}

}  // namespace caracal
