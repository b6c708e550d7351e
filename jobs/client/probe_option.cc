#include "jobs/client/probe_option.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"
#include "eval/probe/probe.h"

namespace caracal {

void ProbeOption::Declare(CLI::App& app) {
  CLI::Option* probe = app.add_option(
      "--probe", kinds,
      "text probes that need the past, with commas between: passkey, recall");
  app.add_option("--probe-lengths", lengths,
                 "tokens of their prompts, with commas between (256,512,1024, "
                 "as far as they fit the context)")
      ->needs(probe);
  app.add_option("--probe-samples", samples,
                 absl::StrCat("prompts of each probe and length (",
                              kDefaultProbeSamples, ")"))
      ->check(CLI::Range(2, 4096))
      ->needs(probe);
}

absl::StatusOr<ProbeOptions> ProbeOption::Options() const {
  ProbeOptions options;
  for (const absl::string_view name :
       absl::StrSplit(kinds, ',', absl::SkipWhitespace())) {
    absl::StatusOr<ProbeKind> kind =
        ProbeKindFromName(absl::StripAsciiWhitespace(name));
    if (!kind.ok()) return Annotate(kind.status(), "--probe");
    options.kinds.push_back(*kind);
  }
  absl::StatusOr<std::vector<int64_t>> parsed = ParseProbeLengths(lengths);
  if (!parsed.ok()) return Annotate(parsed.status(), "--probe-lengths");
  options.lengths = *std::move(parsed);
  options.samples = samples;
  return options;
}

}  // namespace caracal
