#include "jobs/client/probe_option.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status.h"

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
  for (const absl::string_view text :
       absl::StrSplit(lengths, ',', absl::SkipWhitespace())) {
    int64_t length;
    if (!absl::SimpleAtoi(text, &length) || length < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("--probe-lengths: found '", text,
                       "', expected numbers of tokens with commas between"));
    }
    options.lengths.push_back(length);
  }
  options.samples = samples;
  return options;
}

}  // namespace caracal
