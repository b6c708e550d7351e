#include "tests/model/golden_student.h"

#include <google/protobuf/text_format.h>

#include "core/base/status.h"
#include "jobs/spec/expand.h"
#include "jobs/train/student_config.h"

namespace caracal::golden {
namespace {

uint64_t SplitMix64(uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

// FNV-1a, 32 bits.
uint32_t HashOfName(const std::string& name) {
  uint32_t hash = 0x811C9DC5;
  for (const char c : name) {
    hash = (hash ^ static_cast<uint8_t>(c)) * 0x01000193;
  }
  return hash;
}

double ScaleOf(ParameterGroup group) {
  switch (group) {
    case ParameterGroup::kFeatureMap:
    case ParameterGroup::kFeatureBias:
      return 0.5;
    case ParameterGroup::kWindowFactor:
      return 1;
    case ParameterGroup::kLora:
      return 0.125;
  }
  return 0;
}

}  // namespace

proto::Job GoldenJobOf(const std::string& text, int64_t batch,
                       int64_t lora_rank, double lora_alpha) {
  proto::Job job;
  CARACAL_CHECK(google::protobuf::TextFormat::ParseFromString(text, &job))
      << text;
  job.mutable_budget()->set_batch(static_cast<int32_t>(batch));
  job.mutable_budget()->set_transfer_steps(1);
  job.mutable_budget()->set_finetune_steps(1);
  job.mutable_lora()->set_rank(static_cast<int32_t>(lora_rank));
  job.mutable_lora()->set_alpha(lora_alpha);
  return ExpandJob(job);
}

absl::Status SetInitialStudent(GoldenModel* model, const proto::Job& job) {
  ASSIGN_OR_RETURN(const StudentConfig config,
                   StudentConfigOf(job, model->weights().config));
  model->SetStudent(config);
  return absl::OkStatus();
}

absl::Status SetHashedStudent(GoldenModel* model, const proto::Job& job) {
  RETURN_IF_ERROR(SetInitialStudent(model, job));
  Adapters& adapters = model->adapters();
  for (const Parameter& p : adapters.parameters().parameters()) {
    const uint64_t first = uint64_t{HashOfName(p.name)} << 32;
    const double scale = ScaleOf(p.group);
    const bool is_map = p.group == ParameterGroup::kFeatureMap;
    for (int64_t e = 0; e < p.value.size(); ++e) {
      const double u =
          static_cast<double>(SplitMix64(first + e) >> 40) / (1 << 24);
      double start = 0;
      if (p.group == ParameterGroup::kWindowFactor) start = p.value.f32()[e];
      if (is_map) {
        const int64_t columns = p.value.shape[2];
        const int64_t row = e / columns % p.value.shape[1];
        start = row == e % columns ? 1 : 0;
      }
      p.value.f32()[e] = static_cast<float>(start + scale * (2 * u - 1));
    }
  }
  adapters.lora_active = true;
  return absl::OkStatus();
}

}  // namespace caracal::golden
