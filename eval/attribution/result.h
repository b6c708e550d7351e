// What an attribution run measured: the plain structs that eval/attribution
// fills, result_json.h stores and eval/report shows.
//
// Losses are in nats per scored token. A row is one sequence of
// settings.tokens_per_row scored targets; every mode scores the same rows in
// the same order, so that differences between modes are paired. NaN means not
// measured. No locks: plain values.
#ifndef CARACAL_EVAL_ATTRIBUTION_RESULT_H_
#define CARACAL_EVAL_ATTRIBUTION_RESULT_H_

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "eval/attribution/probe_result.h"
#include "eval/statistics/interval.h"
#include "eval/statistics/seeds.h"

namespace caracal {

struct AttributionSettings {
  std::string model;  // name or path, for people
  std::string data;
  int64_t window = 0;       // W, tokens
  int64_t sinks = 0;        // S, tokens
  std::string window_kind;  // kernels::NameOf(WindowKind)
  std::string feature_map;  // "hedgehog", ...
  int64_t features = 0;     // F
  int64_t rows = 0;
  int64_t tokens_per_row = 0;
  int64_t layers = 0;
  int64_t heads = 0;  // query heads
  // What trained the student: a preset's name, or "stages" for stages that a
  // job wrote out itself. Empty: nothing did.
  std::string recipe;
  // Of the tokens and masks that were scored, in order: equal where two runs
  // measured on the same text. Empty: not known.
  std::string rows_digest;
  // What the student was trained with, as text; empty: not known, or nothing
  // trained it. And a fingerprint of its job without that seed: runs of one
  // fingerprint differ in their seed alone.
  std::string seed;
  std::string job_digest;
  // The component mode that the trained model is meant to run in, as
  // core/model/component_mode.h names it: "hybrid", "la_only", ... Empty: not
  // known, or nothing trained it; then it is the hybrid.
  std::string finished_as;
};

// One way of running attention over all rows.
struct ModeResult {
  std::string mode;  // "hybrid", "teacher_swa_s4", ...
  double loss = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> per_row;  // (rows) mean loss of each row
  // Mean over the targets of the second half of each row, where the linear
  // part has most to do.
  double second_half = std::numeric_limits<double>::quiet_NaN();
  Interval interval;  // of `loss`, over rows
  // (rows) scored tokens behind each of per_row, its weight in `loss`. Empty:
  // all rows have as many.
  std::vector<double> row_tokens;
  // (seeds, rows) of several runs that differ in their seed alone, whose mean
  // per_row then is (pool_seeds.h); empty in the result of one run.
  SeedsAndRows per_seed = {};
};

using HeadGrid = std::vector<std::vector<double>>;  // (layers, heads)

// Means over the rows of attention whose linear set is not empty; NaN when no
// row has one.
struct AttentionMasses {
  HeadGrid la_mass;           // linear part of the denominator
  HeadGrid la_output_share;   // norm of the linear part of the output
  HeadGrid teacher_out_mass;  // the teacher's softmax mass outside A_n
  // What student and teacher put on the sink positions left of the window: the
  // first S tokens, whose keys the softmax part has, or the first four where
  // S = 0, and then they are part of la_mass and teacher_out_mass. May be
  // empty.
  HeadGrid sink_mass, teacher_sink_mass;

  bool empty() const { return la_mass.empty(); }
  // la_mass - teacher_out_mass; clearly negative: the linear part is bypassed.
  HeadGrid LaGap() const;
};

// The mean of all entries that are not NaN (layers kept as softmax are); NaN
// when there are none.
double GridMean(const HeadGrid& grid);

// Masses grow with position: their means over layers, heads and the targets
// [begin, end) of a row.
struct PositionMasses {
  int64_t begin = 0;
  int64_t end = 0;
  double la_mass = std::numeric_limits<double>::quiet_NaN();
  double la_output_share = std::numeric_limits<double>::quiet_NaN();
  double teacher_out_mass = std::numeric_limits<double>::quiet_NaN();
  double sink_mass = std::numeric_limits<double>::quiet_NaN();
  double teacher_sink_mass = std::numeric_limits<double>::quiet_NaN();
};

// Attention's mass by class of key; sums to 1.
struct KeyClasses {
  double window = std::numeric_limits<double>::quiet_NaN();
  double sinks =
      std::numeric_limits<double>::quiet_NaN();            // left of the window
  double past = std::numeric_limits<double>::quiet_NaN();  // all others
};
// From the mass outside A_n and that on sink positions, as above.
KeyClasses SplitByKey(double outside, double on_sinks, int64_t sinks);

// loss(component removed) - loss(hybrid): what removing it costs. Positive:
// the component helps.
struct ComponentDrop {
  std::string component;  // "la", "swa" or "sinks"
  Interval drop;
};

// What a component contributes to what all of attention brings (shapley.h):
// the loss it takes away. Positive: the component helps.
struct ComponentValue {
  std::string component;  // "swa", "la" or "sinks"
  Interval value;
};

// What removing the linear part of one layer, or of one head, costs: loss
// without it - loss(hybrid).
struct LinearAblation {
  int64_t layer = 0;
  int64_t head = -1;  // -1: all of the layer
  Interval cost;
};

struct AttributionResult {
  AttributionSettings settings;
  std::vector<ModeResult> modes;
  // The untrained teacher with a bare window, `teacher_swa_s0`, and with a
  // window and the first four tokens, `teacher_swa_s4`. And where S < 4,
  // `swa_only_s4`: the student with the first four tokens kept visible in the
  // linear part's place.
  std::vector<ModeResult> baselines;
  AttentionMasses masses;
  std::vector<PositionMasses> by_position;  // may be empty
  // Share of scored tokens whose predicting row has a non-empty linear set.
  double reach = std::numeric_limits<double>::quiet_NaN();
  std::vector<ComponentDrop> drop;
  // u = loss(swa_only) - loss(hybrid).
  Interval what_la_brings;
  // u* = loss(teacher_swa) - loss(teacher): what the past outside the window
  // and sinks is worth to the teacher.
  Interval ustar;
  // loss(none) - loss(hybrid): what all of attention brings to the student.
  Interval what_attention_brings;
  // Sums to what_attention_brings; no "sinks" where there are none. May be
  // empty.
  std::vector<ComponentValue> shapley;
  HeadGrid gamma;  // the softmax part's weight; NaN in layers kept as softmax
  std::vector<LinearAblation> ablation;  // may be empty
  std::vector<ProbeResult> probes;       // may be empty

  // Looks in modes, then in baselines; nullptr when there is none.
  const ModeResult* Find(absl::string_view mode) const;
};

}  // namespace caracal

#endif  // CARACAL_EVAL_ATTRIBUTION_RESULT_H_
