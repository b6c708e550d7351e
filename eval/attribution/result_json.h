// An attribution result as JSON: what `caracal attribute --json` prints and
// `caracal report` reads back.
//
//   settings        model, data, window, sinks, window_kind, feature_map,
//                   features, rows, tokens_per_row, layers, heads, recipe,
//                   rows_digest, seed, job_digest
//   modes           {mode: {loss, per_row, second_half, interval}}, with
//                   row_tokens where rows have unequal numbers of scored
//                   tokens: the weights of per_row in loss; `hybrid`
//                   has also the means la_mass, la_output_share,
//                   teacher_out_mass, la_gap, sink_mass and
//                   teacher_sink_mass; beside the modes stands `masses`, with
//                   the same names, [layers][heads]
//   baselines       {teacher_swa_s0, teacher_swa_s4, swa_only_s4}, as modes
//   by_position     [{begin, end, la_mass, la_output_share, teacher_out_mass,
//                   sink_mass, teacher_sink_mass}]
//   gamma           [layers][heads]
//   ablation        [{layer, head, cost: {mean, low, high}}], loss without the
//                   linear part of that layer, or head of it, - loss(hybrid)
//   reach           a share
//   drop            {component: {mean, low, high}}, loss(removed) -
//                   loss(hybrid): positive when the component helps
//   what_la_brings  {mean, low, high}, loss(swa_only) - loss(hybrid)
//   ustar           {mean, low, high}, loss(teacher_swa) - loss(teacher)
//   what_attention_brings  {mean, low, high}, loss(none) - loss(hybrid)
//   shapley         {component: {mean, low, high}}, whose means sum to
//                   what_attention_brings
//   probes          text probes (docs/formats/attribution.md)
//
// What was not measured is null or left out.
#ifndef CARACAL_EVAL_ATTRIBUTION_RESULT_JSON_H_
#define CARACAL_EVAL_ATTRIBUTION_RESULT_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "eval/attribution/result.h"

namespace caracal {

// Text that is not UTF-8 gets replacement characters. Ends with a new line.
std::string AttributionToJson(const AttributionResult& result);

// kInvalidArgument, naming the key, what was found and what was expected; only
// `modes` has to be there, and unknown keys are passed over, so that files of
// other versions can be read. `source` names the text in messages.
absl::StatusOr<AttributionResult> AttributionFromJson(absl::string_view json,
                                                      absl::string_view source);

}  // namespace caracal

#endif  // CARACAL_EVAL_ATTRIBUTION_RESULT_JSON_H_
