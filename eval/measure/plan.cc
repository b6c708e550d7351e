#include "eval/measure/plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "core/model/batch_buffer.h"
#include "core/model/feature_map_name.h"
#include "eval/measure/pass_list.h"
#include "kernels/hybrid_attention/hybrid_attention.h"
#include "xxhash.h"

namespace caracal {
namespace {

constexpr int64_t kMostPartialBytes = 2 << 20;
constexpr int64_t kRowBytes = 32;        // of a row's sums
constexpr int64_t kMassBytes = 48;       // of a head's or a bucket's means
constexpr int64_t kMostTogether = 4096;  // rows through the model
// More than are ever measured; bounds what a plan of others makes us do.
constexpr int64_t kMostRows = int64_t{1} << 22;

// What all rows say before any is run.
struct RowFacts {
  std::vector<int64_t> longest;  // (rows) tokens of the longest sequence
  double reach = 0;
  std::string digest;  // of tokens, targets and masks, in order
};

absl::StatusOr<RowFacts> ReadRows(const Llama& model, PackedDataset& data,
                                  const MeasureOptions& options, int64_t rows,
                                  int64_t seq_len) {
  const auto& config = model.adapters().config().attention;
  const int64_t batch_rows = std::min(options.micro_batch, rows);
  BatchBuffer buffer(batch_rows, seq_len, options.reset_at_document);
  RowFacts facts;
  double reached = 0, scored = 0;
  uint64_t digest = 0;  // chained through the seed
  for (int64_t begin = 0; begin < rows; begin += batch_rows) {
    if (options.stop != nullptr && *options.stop) {
      return absl::CancelledError("stopped while measuring");
    }
    const int64_t count = std::min(batch_rows, rows - begin);
    RETURN_IF_ERROR(buffer.Fill(
        data, count, [&](int64_t r) { return options.skip + begin + r; }));
    const TokenBatch batch = buffer.Rows(0, count);
    for (int64_t r = 0; r < count; ++r) {
      const int64_t first = r * seq_len;
      const int32_t* positions = buffer.positions() + first;
      const uint8_t* mask = buffer.mask() + first;
      facts.longest.push_back(
          1 + *std::max_element(positions, positions + seq_len));
      for (int64_t i = 0; i < seq_len; ++i) {
        if (!mask[i]) continue;
        ++scored;
        reached += !LinearSetEmpty(config, positions[i], seq_len);
      }
      for (const ConstTensorView* view : {&batch.tokens, &batch.targets}) {
        digest = XXH3_64bits_withSeed(
            static_cast<const int32_t*>(view->data) + first,
            seq_len * sizeof(int32_t), digest);
      }
      digest = XXH3_64bits_withSeed(mask, seq_len, digest);
    }
  }
  if (scored == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        data.path(), ": ", kLossMaskDataset, " leaves no target of rows ",
        options.skip, " to ", options.skip + rows - 1, " to be scored"));
  }
  facts.reach = reached / scored;
  facts.digest = absl::StrFormat("%016x", digest);
  return facts;
}

// The passes, and which rows need which of them: that hangs on the longest
// sequence of a row.
void AddPasses(const Llama& model, const MeasureOptions& options,
               const std::vector<int64_t>& longest,
               proto::MeasurementPlan* plan) {
  const Adapters& adapters = model.adapters();
  const auto passes = PassesOf(options, model);
  std::map<std::vector<int32_t>, int32_t> classes;  // by same_as
  std::map<int64_t, int32_t> class_of_length;
  for (const int64_t length : longest) {
    const auto [known, is_new] = class_of_length.try_emplace(length);
    if (is_new) {
      std::vector<int32_t> same_as;
      // By what decides losses, the pass that is run first.
      std::map<std::string, int32_t> first;
      for (const auto& [role, pass] : passes) {
        kernels::HybridAttentionConfig config = adapters.config().attention;
        config.sinks = pass.sinks;
        const auto number = static_cast<int32_t>(same_as.size());
        const int32_t source =
            first
                .try_emplace(
                    SameLosses(pass, config, length, adapters.lora_active),
                    number)
                .first->second;
        // Masses take a run of their own.
        same_as.push_back(pass.statistics ? number : source);
      }
      known->second =
          classes.try_emplace(same_as, classes.size()).first->second;
    }
    plan->add_class_of_row(known->second);
  }
  plan->set_classes(static_cast<int32_t>(classes.size()));
  if (classes.size() == 1) plan->clear_class_of_row();
  std::vector<const std::vector<int32_t>*> columns(classes.size());
  for (const auto& [same_as, number] : classes) columns[number] = &same_as;
  for (size_t p = 0; p < passes.size(); ++p) {
    proto::MeasurementPass& out = *plan->add_passes() =
        ToProto(passes[p].first, passes[p].second);
    for (const auto* column : columns) out.add_same_as((*column)[p]);
  }
}

absl::Status AddGamma(const Llama& model, proto::MeasurementPlan* plan) {
  Adapters& adapters = model.adapters();
  RETURN_IF_ERROR(adapters.parameters().UseOnHost());
  for (int64_t l = 0; l < model.layers(); ++l) {
    const bool softmax = adapters.config().IsSoftmaxLayer(l);
    for (int64_t h = 0; h < model.heads(); ++h) {
      plan->add_gamma(
          softmax ? NAN
                  : 1 / (1 + std::exp(-static_cast<double>(
                                 adapters.window_factor(l).value.f32()[h]))));
    }
  }
  return absl::OkStatus();
}

absl::Status Wrong(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("plan of a measurement: ", field, ": ", what));
}

absl::Status CheckPass(const proto::MeasurementPlan& plan, int number) {
  const proto::MeasurementPass& pass = plan.passes(number);
  const std::string field = absl::StrCat("passes[", number, "]");
  if (pass.same_as_size() != plan.classes()) {
    return Wrong(field, "same_as has not one entry for each class of rows");
  }
  for (int i = 0; i < pass.same_as_size(); ++i) {
    const int32_t source = pass.same_as(i);
    if (source < 0 || source > number ||
        plan.passes(source).same_as(i) != source ||
        (pass.statistics() && source != number)) {
      return Wrong(field, "same_as names a pass that is not run");
    }
  }
  return absl::OkStatus();
}

}  // namespace

AttributionSettings StudentSettings(const Llama& model) {
  const StudentConfig& student = model.adapters().config();
  AttributionSettings settings;
  settings.window = student.attention.window;
  settings.sinks = student.attention.sinks;
  settings.window_kind = kernels::NameOf(student.attention.window_kind);
  settings.feature_map = absl::StrCat(
      IsHalfSpace(student.attention.feature_map) ? "half-space " : "",
      NameOf(student.attention.feature_map));
  settings.features = student.features;
  settings.layers = model.layers();
  settings.heads = model.heads();
  return settings;
}

proto::MeasurementPlan EmptyPlan(const Llama& model) {
  proto::MeasurementPlan plan;
  *plan.mutable_settings() = ToProto(StudentSettings(model));
  return plan;
}

absl::StatusOr<proto::MeasurementPlan> PlanMeasurement(
    const Llama& model, PackedDataset& data, const MeasureOptions& options) {
  const int64_t seq_len =
      options.seq_len > 0 ? options.seq_len : data.seq_len();
  const int64_t available = data.rows() - options.skip;
  const int64_t rows =
      options.rows > 0 ? std::min(options.rows, available) : available;
  if (rows <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(data.path(), ": has ", data.rows(),
                     " rows; none is left after ", options.skip, " skipped"));
  }
  proto::MeasurementPlan plan = EmptyPlan(model);
  plan.set_rows(rows);
  plan.set_skip(options.skip);
  plan.set_seq_len(seq_len);
  plan.set_micro_batch(std::min(options.micro_batch, rows));
  plan.set_reset_at_document(options.reset_at_document);
  plan.set_bootstrap_samples(options.bootstrap_samples);
  plan.set_seed(options.seed);
  ASSIGN_OR_RETURN(const RowFacts facts,
                   ReadRows(model, data, options, rows, seq_len));
  plan.set_reach(facts.reach);
  plan.mutable_settings()->set_rows_digest(facts.digest);
  AddPasses(model, options, facts.longest, &plan);
  RETURN_IF_ERROR(AddGamma(model, &plan));
  // Before it is measured, not after.
  RETURN_IF_ERROR(CheckPlan(plan));
  return plan;
}

absl::Status CheckPlan(const proto::MeasurementPlan& plan) {
  const proto::MeasurementSettings& settings = plan.settings();
  if (plan.rows() == 0 && plan.passes_size() == 0) return absl::OkStatus();
  if (plan.rows() < 1 || plan.skip() < 0) return Wrong("rows", "are none");
  if (plan.rows() > kMostRows) {
    return Wrong("rows", absl::StrCat("are ", plan.rows(),
                                      ", expected at most ", kMostRows));
  }
  if (plan.seq_len() < 1) return Wrong("seq_len", "is not above 0");
  if (plan.micro_batch() < 1 || plan.micro_batch() > kMostTogether) {
    return Wrong("micro_batch",
                 absl::StrCat("is not from 1 to ", kMostTogether));
  }
  if (settings.layers() < 1 || settings.heads() < 1 ||
      plan.gamma_size() / settings.layers() != settings.heads() ||
      plan.gamma_size() % settings.layers() != 0) {
    return Wrong("gamma", "is not [layers, heads]");
  }
  if (plan.bootstrap_samples() < 1) {
    return Wrong("bootstrap_samples", "are none");
  }
  if (plan.classes() < 1) return Wrong("classes", "are none");
  if (plan.class_of_row_size() == 0 ? plan.classes() != 1
                                    : plan.class_of_row_size() != plan.rows()) {
    return Wrong("class_of_row", "has not one entry for each row");
  }
  for (const int32_t row_class : plan.class_of_row()) {
    if (row_class < 0 || row_class >= plan.classes()) {
      return Wrong("class_of_row", "names a class that there is not");
    }
  }
  for (int i = 0; i < plan.passes_size(); ++i) {
    RETURN_IF_ERROR(CheckPass(plan, i));
  }
  return absl::OkStatus();
}

int SourceOf(const proto::MeasurementPlan& plan, int pass, int64_t row) {
  const int row_class = plan.class_of_row_size() == 0
                            ? 0
                            : plan.class_of_row(static_cast<int>(row));
  return plan.passes(pass).same_as(row_class);
}

std::vector<int64_t> RowsToRun(const proto::MeasurementPlan& plan, int pass,
                               int64_t begin, int64_t end) {
  std::vector<int64_t> rows;
  for (int64_t row = begin; row < end; ++row) {
    if (SourceOf(plan, pass, row) == pass) rows.push_back(row);
  }
  return rows;
}

std::vector<proto::MeasurementShard> CutPlan(const proto::MeasurementPlan& plan,
                                             int64_t rows) {
  std::vector<proto::MeasurementShard> shards;
  for (int p = 0; p < plan.passes_size(); ++p) {
    const int64_t mass_bytes =
        kMassBytes * (plan.gamma_size() + kPositionBuckets);
    const int64_t batch_bytes = plan.micro_batch() * kRowBytes +
                                (plan.passes(p).statistics() ? mass_bytes : 0);
    const int64_t most = std::max<int64_t>(kMostPartialBytes / batch_bytes, 1);
    const int64_t batches = std::clamp<int64_t>(
        rows / plan.micro_batch() + (rows % plan.micro_batch() != 0), 1, most);
    const int64_t step = batches * plan.micro_batch();
    for (int64_t begin = 0; begin < plan.rows(); begin += step) {
      const int64_t end = std::min(begin + step, plan.rows());
      if (RowsToRun(plan, p, begin, end).empty()) continue;
      proto::MeasurementShard& shard = shards.emplace_back();
      shard.set_pass(p);
      shard.set_begin(begin);
      shard.set_end(end);
    }
  }
  return shards;
}

absl::Status CheckShard(const proto::MeasurementPlan& plan,
                        const proto::MeasurementShard& shard) {
  if (shard.pass() < 0 || shard.pass() >= plan.passes_size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a part of a measurement: there is no pass ", shard.pass()));
  }
  if (shard.begin() < 0 || shard.begin() >= shard.end() ||
      shard.end() > plan.rows() || shard.begin() % plan.micro_batch() != 0 ||
      (shard.end() % plan.micro_batch() != 0 && shard.end() != plan.rows())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a part of a measurement: rows ", shard.begin(), " to ", shard.end(),
        " are not whole micro-batches of the plan's"));
  }
  return absl::OkStatus();
}

proto::MeasurementSettings ToProto(const AttributionSettings& settings) {
  proto::MeasurementSettings out;
  out.set_model(settings.model);
  out.set_data(settings.data);
  out.set_window(settings.window);
  out.set_sinks(settings.sinks);
  out.set_window_kind(settings.window_kind);
  out.set_feature_map(settings.feature_map);
  out.set_features(settings.features);
  out.set_layers(settings.layers);
  out.set_heads(settings.heads);
  out.set_recipe(settings.recipe);
  out.set_rows_digest(settings.rows_digest);
  out.set_seed(settings.seed);
  out.set_job_digest(settings.job_digest);
  out.set_finished_as(settings.finished_as);
  return out;
}

AttributionSettings SettingsFromProto(const proto::MeasurementPlan& plan) {
  const proto::MeasurementSettings& in = plan.settings();
  return {.model = in.model(),
          .data = in.data(),
          .window = in.window(),
          .sinks = in.sinks(),
          .window_kind = in.window_kind(),
          .feature_map = in.feature_map(),
          .features = in.features(),
          .rows = plan.rows(),
          .tokens_per_row = plan.seq_len(),
          .layers = in.layers(),
          .heads = in.heads(),
          .recipe = in.recipe(),
          .rows_digest = in.rows_digest(),
          .seed = in.seed(),
          .job_digest = in.job_digest(),
          .finished_as = in.finished_as()};
}

}  // namespace caracal
