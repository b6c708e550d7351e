#include "jobs/client/job_option.h"

#include "core/base/file_system.h"
#include "jobs/model/job_surroundings.h"
#include "jobs/spec/job_file.h"

namespace caracal {

void JobOption::Declare(CLI::App& app) {
  app.add_option("JOB", path, "job file, text format or JSON")
      ->type_name("FILE")
      ->required();
  DeclareOverrides(app);
}

void JobOption::DeclareOverrides(CLI::App& app) {
  // One value each, so that a JOB after it isn't taken for another.
  app.add_option("--set", overrides,
                 "change a field, as in attention.window=32; repeatable, a "
                 "later one of the same field wins; lists: a,b")
      ->type_name("FIELD=VALUE")
      ->allow_extra_args(false);
}

absl::StatusOr<proto::Job> JobOption::Load() const {
  FileSystem* files = FileSystem::Posix();
  return LoadJob(path, overrides, files,
                 [&](const proto::Job& job, std::vector<Problem>* problems) {
                   return CheckJobAround(job, files, problems);
                 });
}

}  // namespace caracal
