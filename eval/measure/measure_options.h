// What an attribution is to measure.
#ifndef CARACAL_EVAL_MEASURE_MEASURE_OPTIONS_H_
#define CARACAL_EVAL_MEASURE_MEASURE_OPTIONS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/model/component_mode.h"
#include "core/model/mode_overrides.h"

namespace caracal {

// Which linear parts are removed one at a time; a pass each.
enum class Ablate : uint8_t { kNothing, kLayers, kHeads };

struct MeasureOptions {
  // Modes to run; empty: all of the oracle's, sinks_only where there are
  // sinks. hybrid, swa_only, teacher and teacher_swa give the differences.
  std::vector<ComponentMode> modes = {};
  // Another mode: hybrid with these laid over it, named by ModeAtName(). They
  // must suit the model (CheckModeOverrides). Empty: none.
  std::vector<ModeOverride> mode_at = {};
  int64_t rows = 0;     // the first so many of the data; 0: all
  int64_t skip = 0;     // rows passed over first
  int64_t seq_len = 0;  // targets scored a row; 0: all
  int64_t micro_batch = 4;
  bool reset_at_document = false;  // documents of a row don't see each other
  // teacher_swa again with these numbers of sinks; measured in rising order,
  // each once.
  std::vector<int64_t> baseline_sinks = {0, 4};
  bool drops = true;  // also run hybrid without the window, without the sinks
  Ablate ablate = Ablate::kNothing;
  int bootstrap_samples = 1000;
  uint64_t seed = 0;
  // After each finished pass: its name, passes done, passes in all.
  std::function<void(const std::string&, int, int)> progress = nullptr;
  // Looked at before every micro-batch; null: never stops.
  const std::atomic<bool>* stop = nullptr;
};

// "at layers=0-3:la_only heads=1:none": the mode's name in results.
std::string ModeAtName(const std::vector<ModeOverride>& overrides);

}  // namespace caracal

#endif  // CARACAL_EVAL_MEASURE_MEASURE_OPTIONS_H_
