#include "jobs/coordinator/service/slurm_flags.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace caracal {
namespace {

constexpr char kGroup[] = "With --launcher slurm";

// "a, b" -> a and b; "": none.
std::vector<std::string> NamesOf(const std::string& flag,
                                 const std::string& text) {
  std::vector<std::string> out;
  if (text.empty()) return out;
  for (const absl::string_view part : absl::StrSplit(text, ',')) {
    out.emplace_back(absl::StripAsciiWhitespace(part));
    if (out.back().empty()) {
      throw CLI::ValidationError(
          flag, absl::StrCat("'", text,
                             "' has an empty name; expected names with commas "
                             "between, or '' for none"));
    }
  }
  return out;
}

}  // namespace

void DeclareSlurmFlags(CLI::App& app, SlurmOptions* options,
                       SlurmRules* rules) {
  const auto text = [&](const char* name, std::string* value,
                        const char* help) {
    app.add_option(name, *value, help)->group(kGroup);
  };
  text("--slurm-partition", &options->partition,
       "of gangs whose job names none");
  text("--slurm-account", &options->account, "likewise");
  text("--slurm-qos", &options->qos, "likewise");
  text("--slurm-gres", &options->gres, "likewise, as in gpu:8");
  text("--slurm-memory", &options->memory, "of a node, as in 64G");
  app.add_option_function<int64_t>(
         "--slurm-time",
         [options](int64_t minutes) {
           options->time_limit = absl::Minutes(minutes);
         },
         "minutes; before they are over a gang saves, and a new one goes on")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->group(kGroup);
  app.add_option_function<int64_t>(
         "--slurm-save-before",
         [options](int64_t seconds) {
           options->save_before_limit = absl::Seconds(seconds);
         },
         "seconds before the limit at which it saves (120)")
      ->check(CLI::Range(int64_t{1}, int64_t{64800}))
      ->group(kGroup);
  app.add_option_function<double>(
         "--slurm-poll",
         [options](double seconds) {
           options->poll_interval = absl::Seconds(seconds);
         },
         "seconds between two looks at the queue (5)")
      ->check(CLI::Range(0.1, 3600.0))
      ->group(kGroup);
  text("--slurm-mpi", &options->mpi, "srun's --mpi (pmix)");
  app.add_option("--slurm-option", options->more,
                 "one more option for sbatch, as --name=value; repeatable")
      ->allow_extra_args(false)
      ->group(kGroup);
  const auto allow = [&](const char* name, auto* allowed, const char* help) {
    app.add_option_function<std::string>(
           name,
           [name, allowed](const std::string& names) {
             *allowed = NamesOf(name, names);
           },
           help)
        ->type_name("NAME,...")
        ->group(kGroup);
  };
  allow("--slurm-allow-partitions", &rules->partitions,
        "partitions that jobs may name; '': none; by default any");
  allow("--slurm-allow-accounts", &rules->accounts, "likewise");
  allow("--slurm-allow-qos", &rules->qos, "likewise");
  allow("--slurm-allow-reservations", &rules->reservations, "likewise");
}

absl::Status CheckNoSlurmFlags(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group() == kGroup && option->count() > 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          option->get_name(), " has an effect only with --launcher slurm"));
    }
  }
  return absl::OkStatus();
}

}  // namespace caracal
