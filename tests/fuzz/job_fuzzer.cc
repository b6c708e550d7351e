// Feeds arbitrary text to the reader of job files, as text format and as JSON:
// names, expansion, validation, and back to text.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/fault_file_system.h"
#include "jobs/spec/job_file.h"
#include "kernels/common/check.h"

namespace caracal {
namespace {

void Read(const std::string& text, const std::string& path) {
  std::vector<Problem> problems;
  const proto::Job job = ParseJob(text, path, nullptr, &problems);
  for (const Problem& problem : problems) {
    CARACAL_CHECK(!problem.message.empty());
  }
  if (problems.empty()) {
    const std::string written = JobText(job);
    const proto::Job again = ParseJob(written, "again", nullptr, &problems);
    CARACAL_CHECK(problems.empty())
        << problems[0].field << ": " << problems[0].message;
    CARACAL_CHECK(JobText(again) == written);
  }
  FaultFileSystem files;
  CARACAL_CHECK(files.Append(path, text).ok());
  const auto loaded = LoadJob(path, {}, &files);
  if (!loaded.ok()) CARACAL_CHECK(!loaded.status().message().empty());
}

}  // namespace
}  // namespace caracal

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  caracal::Read(text, "/job.textproto");
  caracal::Read(text, "/job.json");
  return 0;
}
