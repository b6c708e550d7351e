#include "jobs/launch/slurm/slurm_gang_folder.h"

#include <cerrno>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "core/base/file_system.h"
#include "core/base/random.h"
#include "core/base/status.h"
#include "core/io/json.h"
#include "jobs/launch/slurm/batch_script.h"

namespace caracal {
namespace {

constexpr absl::string_view kMarkBegins = "caracal:";
constexpr size_t kMarkBytes = 16;
constexpr size_t kMaxClaimBytes = 1 << 20;

std::string File(const GangFolder& folder, const char* name) {
  return JoinPath(folder.path(), name);
}

absl::Status WriteArguments(const std::string& file,
                            const std::vector<std::string>& arguments) {
  std::string text;
  for (const std::string& argument : arguments) {
    if (argument.find('\0') != argument.npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": an argument has a zero byte"));
    }
    absl::StrAppend(&text, argument, absl::string_view("\0", 1));
  }
  return FileSystem::Posix()->WriteFileAtomically(file, text);
}

}  // namespace

absl::StatusOr<SlurmSubmission> PrepareSubmission(
    const GangFolder& folder, const std::vector<std::string>& command,
    const std::vector<std::string>& afterwards) {
  FileSystem* const files = FileSystem::Posix();
  RETURN_IF_ERROR(WriteArguments(File(folder, "command"), command));
  RETURN_IF_ERROR(WriteArguments(File(folder, "afterwards"), afterwards));
  const std::string mark = absl::StrCat(kMarkBegins, RandomHex(kMarkBytes));
  const std::string script = File(folder, "batch.sh");
  RETURN_IF_ERROR(files->WriteFileAtomically(script, kBatchScript));
  RETURN_IF_ERROR(
      files->WriteFileAtomically(File(folder, "mark"), mark + "\n"));
  return SlurmSubmission{
      .mark = mark,
      .script = {script, folder.path(), mark, absl::StrCat(command.size()),
                 absl::StrCat(afterwards.size())}};
}

absl::StatusOr<std::string> ReadMark(const GangFolder& folder) {
  const std::string file = File(folder, "mark");
  ASSIGN_OR_RETURN(std::string mark, FileSystem::Posix()->ReadFile(file));
  if (!absl::StartsWith(mark, kMarkBegins) ||
      mark.size() != kMarkBegins.size() + 2 * kMarkBytes + 1) {
    return absl::DataLossError(file + ": not the mark of a gang");
  }
  mark.pop_back();
  return mark;
}

absl::StatusOr<std::string> ReadClaimingJob(const GangFolder& folder) {
  const std::string file = File(folder, "claim");
  ASSIGN_OR_RETURN(const std::string text, FileSystem::Posix()->ReadFile(file));
  const absl::StatusOr<nlohmann::json> json =
      ParseBoundedJson(text, kMaxClaimBytes);
  int64_t number = 0;
  if (!json.ok() || !json->is_object() ||
      !JsonFields(*json).Get("slurm_job", &number).ok() || number < 1) {
    return absl::DataLossError(file + " does not name a job of Slurm");
  }
  return absl::StrCat(number);
}

absl::StatusOr<int> ReadRanksStatus(const GangFolder& folder) {
  const std::string file = File(folder, "status");
  ASSIGN_OR_RETURN(const std::string text, FileSystem::Posix()->ReadFile(file));
  absl::string_view number = text;
  int status = 0;
  if (!absl::ConsumePrefix(&number, "exit ") ||
      !absl::ConsumeSuffix(&number, "\n") ||
      !absl::SimpleAtoi(number, &status) || status < 0 || status > 255) {
    return absl::DataLossError(file + " does not tell an exit status");
  }
  return status;
}

}  // namespace caracal
