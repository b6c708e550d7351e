#include "jobs/launch/slurm/slurm_options.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status.h"

namespace caracal {
namespace {

// Options of sbatch by which a gang is started once, found again, and its end
// told. It takes their beginnings, too.
constexpr const char* kOurs[] = {
    "--array",         "--chdir",
    "--clusters",      "--comment",
    "--cpus-per-task", "--error",
    "--help",          "--input",
    "--job-name",      "--kill-on-invalid-dep",
    "--no-requeue",    "--ntasks",
    "--open-mode",     "--output",
    "--parsable",      "--quiet",
    "--requeue",       "--signal",
    "--test-only",     "--time",
    "--usage",         "--version",
    "--wait",          "--workdir",
    "--wrap",
};

bool IsPlain(absl::string_view text, absl::string_view more) {
  for (const char c : text) {
    if (!absl::ascii_isalnum(c) && more.find(c) == more.npos) return false;
  }
  return true;
}

absl::Status CheckValue(absl::string_view name, absl::string_view value) {
  if (IsPlain(value, "_-.,:=@+/*") && !absl::StartsWith(value, "-")) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "Slurm's ", name, " is '", value,
      "'; expected letters, digits and _-.,:=@+/*, not - at its beginning"));
}

// "--mem" of "--mem=64G".
absl::string_view NameOf(absl::string_view option) {
  return option.substr(0, option.find('='));
}

// Whether one option takes the other's place: sbatch wants memory in one way.
bool IsInsteadOf(absl::string_view asked, absl::string_view other) {
  return asked == other ||
         (asked == "--mem" && absl::StartsWith(other, "--mem-per-"));
}

absl::Status CheckMore(absl::string_view option) {
  const absl::string_view name = NameOf(option);
  if (!absl::StartsWith(name, "--") || name.size() < 3 || !IsPlain(name, "-")) {
    return absl::InvalidArgumentError(
        absl::StrCat("Slurm's option '", option,
                     "' is not of the form --name=value or --name"));
  }
  for (const char c : option) {
    if (absl::ascii_iscntrl(c)) {
      return absl::InvalidArgumentError(
          absl::StrCat("Slurm's option ", name, " has a control character"));
    }
  }
  for (const absl::string_view ours : kOurs) {
    if (absl::StartsWith(ours, name)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "Slurm's option ", name, " is for Caracal to set (", ours, ")"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDuration(absl::string_view name, absl::Duration value,
                           absl::Duration unit, absl::Duration least,
                           absl::Duration most) {
  if (value >= least && value <= most && absl::Floor(value, unit) == value) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "Slurm's ", name, " is ", absl::FormatDuration(value),
      "; expected a multiple of ", absl::FormatDuration(unit), " from ",
      absl::FormatDuration(least), " to ", absl::FormatDuration(most)));
}

}  // namespace

absl::Duration LeastTimeLimit(absl::Duration save_before_limit) {
  return save_before_limit + absl::Minutes(2);
}

absl::Status CheckSlurmOptions(const SlurmOptions& o) {
  for (const auto& [name, value] :
       {std::pair{"partition", &o.partition}, std::pair{"account", &o.account},
        std::pair{"qos", &o.qos}, std::pair{"gres", &o.gres},
        std::pair{"memory", &o.memory}, std::pair{"mpi", &o.mpi}}) {
    RETURN_IF_ERROR(CheckValue(name, *value));
  }
  if (o.mpi.empty()) return absl::InvalidArgumentError("Slurm's mpi is empty");
  for (const std::string& option : o.more) RETURN_IF_ERROR(CheckMore(option));
  const absl::Duration zero = absl::ZeroDuration();
  const absl::Duration tick = absl::Milliseconds(1);
  RETURN_IF_ERROR(CheckDuration("time limit", o.time_limit, absl::Minutes(1),
                                zero, absl::Hours(24 * 3650)));
  const absl::Duration least = LeastTimeLimit(o.save_before_limit);
  if (o.time_limit > zero && o.time_limit < least) {
    return absl::InvalidArgumentError(absl::StrCat(
        "Slurm's time limit is ", absl::FormatDuration(o.time_limit),
        ", but gangs are asked to save ",
        absl::FormatDuration(o.save_before_limit),
        " before it, or up to a minute earlier; expected at least ",
        absl::FormatDuration(least)));
  }
  // sbatch keeps it in 16 bits.
  RETURN_IF_ERROR(CheckDuration("time to save before the limit",
                                o.save_before_limit, absl::Seconds(1),
                                absl::Seconds(1), absl::Hours(18)));
  RETURN_IF_ERROR(CheckDuration("poll interval", o.poll_interval, tick,
                                absl::Milliseconds(10), absl::Hours(1)));
  RETURN_IF_ERROR(CheckDuration("limit of a command", o.command_limit, tick,
                                absl::Milliseconds(10), absl::Hours(1)));
  return CheckDuration("grace", o.grace, tick, zero, absl::Hours(1));
}

std::vector<std::string> SbatchOptions(
    const SlurmOptions& o, const std::vector<std::string>& of_gang) {
  std::vector<std::string> out;
  const auto add = [&out](absl::string_view name, absl::string_view value) {
    if (!value.empty()) out.push_back(absl::StrCat("--", name, "=", value));
  };
  add("partition", o.partition);
  add("account", o.account);
  add("qos", o.qos);
  add("gres", o.gres);
  add("mem", o.memory);
  if (o.time_limit > absl::ZeroDuration()) {
    add("time", absl::StrCat(absl::ToInt64Minutes(o.time_limit)));
  }
  add("signal",
      absl::StrCat("B:TERM@", absl::ToInt64Seconds(o.save_before_limit)));
  out.insert(out.end(), o.more.begin(), o.more.end());
  std::erase_if(out, [&of_gang](const std::string& option) {
    return std::any_of(of_gang.begin(), of_gang.end(),
                       [&](const std::string& asked) {
                         return IsInsteadOf(NameOf(asked), NameOf(option));
                       });
  });
  out.insert(out.end(), of_gang.begin(), of_gang.end());
  return out;
}

}  // namespace caracal
