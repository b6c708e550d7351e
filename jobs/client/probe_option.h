// The text probes that a command is to ask.
#ifndef CARACAL_JOBS_CLIENT_PROBE_OPTION_H_
#define CARACAL_JOBS_CLIENT_PROBE_OPTION_H_

#include <cstdint>
#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "eval/probe/measure_probes.h"

namespace caracal {

// Outlives the app it is declared on.
struct ProbeOption {
  std::string kinds, lengths;
  int64_t samples = kDefaultProbeSamples;

  void Declare(CLI::App& app);
  // Whether any is asked for.
  bool given() const { return !kinds.empty(); }
  // Kinds, lengths and samples; the rest is the caller's. kInvalidArgument
  // naming the option.
  absl::StatusOr<ProbeOptions> Options() const;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_CLIENT_PROBE_OPTION_H_
