#include "jobs/launch/gang_processes.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "jobs/launch/descriptor.h"

namespace caracal {

bool IsOfGang(pid_t pid, const std::string& folder) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/environ"));
  const std::string mark = absl::StrCat(kGangVariable, "=", folder);
  for (std::string entry; std::getline(file, entry, '\0');) {
    if (entry == mark) return true;
  }
  return false;
}

std::vector<pid_t> GangProcesses(const std::string& folder) {
  std::vector<pid_t> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error), end;
       !error && entry != end; entry.increment(error)) {
    int pid = 0;
    if (absl::SimpleAtoi(entry->path().filename().string(), &pid) &&
        pid != getpid() && IsOfGang(pid, folder)) {
      found.push_back(pid);
    }
  }
  return found;
}

int KillGangProcesses(const std::string& folder) {
  int found = 0;
  for (const pid_t pid : GangProcesses(folder)) {
    const Descriptor process(syscall(SYS_pidfd_open, pid, 0));
    // Looked at again: now it can't become another one.
    if (!process.is_open() || !IsOfGang(pid, folder)) continue;
    ++found;
    syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
  }
  return found;
}

absl::StatusOr<uint64_t> StartTimeOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(file, line);
  // "7 (name) S ...", where a name may hold anything. The 22nd field.
  const size_t name_end = line.rfind(") ");
  if (name_end != std::string::npos) {
    std::istringstream fields(line.substr(name_end + 2));
    std::string skipped;
    for (int field = 3; field < 22; ++field) fields >> skipped;
    uint64_t ticks = 0;
    if (fields >> ticks) return ticks;
  }
  return absl::NotFoundError(absl::StrCat("no process ", pid));
}

}  // namespace caracal
