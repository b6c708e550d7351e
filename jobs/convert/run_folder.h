// What `caracal run` writes, by name.
#ifndef CARACAL_JOBS_CONVERT_RUN_FOLDER_H_
#define CARACAL_JOBS_CONVERT_RUN_FOLDER_H_

#include <string>

#include "core/base/file_system.h"

namespace caracal {

struct RunFolder {
  std::string path;

  std::string job() const { return JoinPath(path, "job.textproto"); }
  std::string metrics() const { return JoinPath(path, "metrics.jsonl"); }
  std::string checkpoints() const { return JoinPath(path, "checkpoints"); }
  std::string attribution() const { return JoinPath(path, "attribution.json"); }
  std::string gamma_sweep() const { return JoinPath(path, "gamma_sweep.json"); }
  std::string report() const { return JoinPath(path, "report.html"); }
  // Held while a run is going on, so that two never write the same folder.
  std::string lock() const { return JoinPath(path, "run.lock"); }
};

// Whether there is a run to go on with: a start that failed before its first
// step leaves the job at most.
inline bool HasTrained(FileSystem* files, const RunFolder& run) {
  return files->Exists(run.metrics()) || files->Exists(run.checkpoints());
}
inline bool HoldsRun(FileSystem* files, const RunFolder& run) {
  return HasTrained(files, run) || files->Exists(run.job());
}

}  // namespace caracal

#endif  // CARACAL_JOBS_CONVERT_RUN_FOLDER_H_
