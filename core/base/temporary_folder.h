// For tests: a fresh folder, removed with all it holds at the end of a scope.
#ifndef CARACAL_CORE_BASE_TEMPORARY_FOLDER_H_
#define CARACAL_CORE_BASE_TEMPORARY_FOLDER_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "kernels/common/check.h"

namespace caracal {

class TemporaryFolder {
 public:
  TemporaryFolder() : path_(::testing::TempDir() + "/caracal_XXXXXX") {
    CARACAL_CHECK(mkdtemp(path_.data()) != nullptr) << path_;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  // The path of a file of this name in the folder.
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace caracal

#endif  // CARACAL_CORE_BASE_TEMPORARY_FOLDER_H_
