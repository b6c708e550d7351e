#include "jobs/client/service/token_source.h"

#include <sys/stat.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"

namespace caracal {
namespace {

constexpr size_t kLongest = 1024;

// What an HTTP header may hold.
absl::StatusOr<std::string> Checked(absl::string_view text,
                                    const std::string& where) {
  text = absl::StripAsciiWhitespace(text);
  if (text.empty() || text.size() > kLongest ||
      !std::all_of(text.begin(), text.end(), [](char c) {
        return absl::ascii_isgraph(static_cast<unsigned char>(c));
      })) {
    return absl::InvalidArgumentError(
        absl::StrCat(where,
                     ": holds no token; expected one line, as caracal "
                     "token create prints it"));
  }
  return std::string(text);
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& path) {
  struct stat info;
  // Not of pipes, which a shell has made for this one use.
  if (stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
      (info.st_mode & 0077) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path,
                     ": others can read this token; chmod 600 it, and have it "
                     "replaced if they may have"));
  }
  ASSIGN_OR_RETURN(const std::string text, FileSystem::Posix()->ReadFile(path));
  return Checked(text, path);
}

}  // namespace

absl::StatusOr<std::string> FindToken(
    const std::string& token_file,
    const std::function<const char*(const char*)>& getenv) {
  if (!token_file.empty()) return ReadTokenFile(token_file);
  if (const char* token = getenv("CARACAL_TOKEN");
      token != nullptr && *token != '\0') {
    return Checked(token, "CARACAL_TOKEN");
  }
  std::string folder;
  if (const char* config = getenv("XDG_CONFIG_HOME");
      config != nullptr && *config == '/') {
    folder = config;
  } else if (const char* home = getenv("HOME");
             home != nullptr && *home == '/') {
    folder = JoinPath(home, ".config");
  }
  const std::string path = JoinPath(folder, "caracal/token");
  if (folder.empty() || !FileSystem::Posix()->Exists(path)) return "";
  return ReadTokenFile(path);
}

}  // namespace caracal
