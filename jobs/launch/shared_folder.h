// A folder in memory for what mpirun and the ranks' transport share. Both leave
// their files behind when they are killed.
#ifndef CARACAL_JOBS_LAUNCH_SHARED_FOLDER_H_
#define CARACAL_JOBS_LAUNCH_SHARED_FOLDER_H_

#include <string>

namespace caracal {

// A fresh folder, removed at the end of its scope. Those of processes that were
// killed are removed when the next one is made: a living process holds a lock
// on its own.
class SharedFolder {
 public:
  explicit SharedFolder(const std::string& parent = "/dev/shm");
  SharedFolder(const SharedFolder&) = delete;
  SharedFolder& operator=(const SharedFolder&) = delete;
  ~SharedFolder();
  // "" where there can be none.
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int lock_ = -1;  // a descriptor that children don't inherit
};

}  // namespace caracal

#endif  // CARACAL_JOBS_LAUNCH_SHARED_FOLDER_H_
