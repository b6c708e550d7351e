// A probe's result as JSON: an entry of `probes` of an attribution
// (result_json.h, docs/formats/attribution.md).
#ifndef CARACAL_EVAL_ATTRIBUTION_PROBE_JSON_H_
#define CARACAL_EVAL_ATTRIBUTION_PROBE_JSON_H_

#include "absl/status/status.h"
#include "eval/attribution/json_reader.h"
#include "eval/attribution/probe_result.h"

namespace caracal::json_reader {

Json ToJson(const ProbeResult& probe);

// kInvalidArgument also for answers whose numbers contradict one another.
absl::Status Read(const Node& node, ProbeResult* out);

}  // namespace caracal::json_reader

#endif  // CARACAL_EVAL_ATTRIBUTION_PROBE_JSON_H_
