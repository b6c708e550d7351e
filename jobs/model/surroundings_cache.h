// What jobs meet, remembered: opening a model and its data takes far longer
// than checking one more job beside them.
#ifndef CARACAL_JOBS_MODEL_SURROUNDINGS_CACHE_H_
#define CARACAL_JOBS_MODEL_SURROUNDINGS_CACHE_H_

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "core/base/file_system.h"
#include "jobs/spec/problem.h"
#include "jobs/spec/surroundings.h"
#include "proto/job.pb.h"

namespace caracal {

// Which file, or which files of a folder, stand at a path, by what stat() tells
// of each: whoever writes one changes it. "" where there is nothing.
std::string FileSignature(const std::string& path);

// Thread-safe.
class SurroundingsCache {
 public:
  using Reader = std::function<absl::StatusOr<std::optional<JobSurroundings>>(
      const proto::Job& job, std::vector<Problem>* problems)>;
  // What these files hold (ReadAround); they outlive it.
  explicit SurroundingsCache(FileSystem* files);
  explicit SurroundingsCache(Reader reader) : reader_(std::move(reader)) {}

  // As CheckJobAround. Files are only opened when they are not those that were
  // there the last time. That they can't be is not remembered.
  absl::Status Check(const proto::Job& job, std::vector<Problem>* problems);

 private:
  static constexpr size_t kMost = 256;

  const Reader reader_;
  absl::Mutex mutex_;
  // By paths and signatures of model, data and validation data.
  std::map<std::string, JobSurroundings> known_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace caracal

#endif  // CARACAL_JOBS_MODEL_SURROUNDINGS_CACHE_H_
