#include "jobs/coordinator/service/housekeeping_flags.h"

#include <string>

namespace caracal {
namespace {

void AddDays(CLI::App& app, const std::string& name, absl::Duration* value,
             const std::string& help) {
  app.add_option_function<double>(
         name,
         [value](double days) {
           *value =
               days > 0 ? absl::Hours(24 * days) : absl::InfiniteDuration();
         },
         help + "; 0: never, which is the default")
      ->type_name("DAYS")
      ->check(CLI::Range(0.0, 1e5));
}

}  // namespace

void DeclareHousekeepingFlags(CLI::App& app, HousekeepingOptions* options,
                              absl::Duration* retention) {
  AddDays(app, "--keep-events", &options->keep_events,
          "days after a job's end when its events are removed");
  AddDays(app, "--keep-gangs", &options->keep_gangs,
          "days after a job's end when the folders of its gangs are removed, "
          "with their logs");
  AddDays(app, "--retention-days", retention,
          "days after their end when jobs and evaluations are forgotten (run "
          "folders stay)");
}

}  // namespace caracal
