#include "jobs/launch/stuck_launcher.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace caracal {
namespace {

// Also of a process that is gone by now.
bool HasEnded(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  std::getline(file, line);
  // "7 (name) Z ...", where a name may hold anything.
  const size_t name_end = line.rfind(") ");
  return name_end == std::string::npos || line[name_end + 2] == 'Z' ||
         line[name_end + 2] == 'X';
}

}  // namespace

std::vector<ChildProcess> ChildrenOf(int pid) {
  std::vector<ChildProcess> children;
  std::error_code error;
  // Each of its threads has those that it forked.
  for (std::filesystem::directory_iterator
           task(absl::StrCat("/proc/", pid, "/task"), error),
       end;
       !error && task != end; task.increment(error)) {
    std::ifstream file(task->path() / "children");
    for (int child = 0; file >> child;) {
      children.push_back({child, HasEnded(child)});
    }
  }
  return children;
}

bool StuckLauncher::Look(const std::vector<ChildProcess>& children) {
  const bool any_ended =
      std::any_of(children.begin(), children.end(),
                  [](const ChildProcess& child) { return child.ended; });
  had_children_ = had_children_ || !children.empty();
  if (!any_ended && (!children.empty() || !had_children_)) {
    idle_since_.reset();
    return false;
  }
  const absl::Duration now = clock_->Now();
  if (!idle_since_.has_value()) idle_since_ = now;
  return now - *idle_since_ >= patience_;
}

}  // namespace caracal
