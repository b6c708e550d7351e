#include "jobs/spec/fingerprint.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>
#include <xxhash.h>

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status.h"
#include "jobs/spec/bind.h"
#include "jobs/spec/field_rules.h"
#include "jobs/spec/set_field.h"

namespace caracal {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

// Clears what is as without the message, which older jobs do not have.
void ClearDefaultDecay(double all, proto::GroupWeightDecay* group) {
  if (group->feature_maps() == all) group->clear_feature_maps();
  if (group->feature_biases() == all) group->clear_feature_biases();
  if (group->window_factors() == all) group->clear_window_factors();
  if (group->lora() == all) group->clear_lora();
}

// The part of the job that the fingerprint is of.
proto::Job Identity(const proto::Job& expanded) {
  proto::Job job = expanded;
  job.clear_name();
  job.clear_expanded_from();
  job.clear_device();
  job.clear_threads();
  job.clear_parallel();
  job.clear_slurm();
  job.clear_checkpoint();
  // Of what is measured only this changes the model: its checkpoint has the
  // gamma that was chosen, by the loss in eval_mode.
  proto::Evaluation choice;
  if (expanded.evaluation().gamma_override_size() > 0) {
    *choice.mutable_gamma_override() = expanded.evaluation().gamma_override();
    if (expanded.evaluation().has_eval_mode()) {
      choice.set_eval_mode(expanded.evaluation().eval_mode());
    }
  }
  *job.mutable_evaluation() = choice;
  job.mutable_budget()->clear_micro_batch();
  for (proto::Stage& stage : *job.mutable_stages()) {
    if (!stage.finetune().has_curriculum()) continue;
    stage.mutable_finetune()->mutable_curriculum()->clear_when_away();
  }
  job.clear_model();
  job.mutable_data()->clear_path();
  job.mutable_data()->clear_validation();
  ClearDefaultDecay(job.optimizer().weight_decay(),
                    job.mutable_optimizer()->mutable_group_weight_decay());
  ClearDefaults(&job);
  return job;
}

// Whether a block of a stage that says nothing differs from none.
bool SwitchesOn(const Message& block) {
  return block.GetDescriptor() == proto::ClosedLoop::descriptor() ||
         block.GetDescriptor() == proto::EarlyStop::descriptor();
}

// Every scalar by its path, and every block whose presence says something:
// stage kinds and shapes, and what is switched on by an empty block, if
// `switches`.
void Flatten(const Message& message, const std::string& path, bool switches,
             std::map<std::string, std::string>* out) {
  const Reflection* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const std::string name = JoinField(path, field->name());
    const int size =
        field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < size; ++i) {
      const bool repeated = field->is_repeated();
      const std::string here = repeated ? FieldAt(name, i) : name;
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
        (*out)[here] = ScalarFieldText(message, field, repeated ? i : -1);
        continue;
      }
      const Message& inner =
          repeated ? reflection->GetRepeatedMessage(message, field, i)
                   : reflection->GetMessage(message, field);
      if (repeated || field->real_containing_oneof() != nullptr) {
        (*out)[here] = "{...}";
      }
      const size_t before = out->size();
      Flatten(inner, here, switches, out);
      if (switches && SwitchesOn(inner) && out->size() == before) {
        (*out)[here] = "{...}";
      }
    }
  }
}

std::map<std::string, std::string> FlatIdentity(const proto::Job& job,
                                                bool switches) {
  std::map<std::string, std::string> flat;
  Flatten(Identity(job), "", switches, &flat);
  return flat;
}

std::string Digest(const std::map<std::string, std::string>& fields) {
  std::string text;
  for (const auto& [field, value] : fields) {
    // Lengths make the text unambiguous whatever the values hold.
    absl::StrAppend(&text, field, "=", value.size(), ":", value, "\n");
  }
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return absl::StrFormat("%016x%016x", hash.high64, hash.low64);
}

}  // namespace

std::string JobFingerprint(const proto::Job& expanded) {
  return Digest(FlatIdentity(expanded, /*switches=*/false));
}

std::string JobFingerprintButForSeed(const proto::Job& expanded) {
  proto::Job job = expanded;
  job.clear_seed();
  std::map<std::string, std::string> fields =
      FlatIdentity(job, /*switches=*/true);
  fields["model.path"] = expanded.model().path();
  fields["data.path"] = expanded.data().path();
  return Digest(fields);
}

std::vector<std::pair<std::string, std::string>> FieldsOfGang(
    const proto::Job& expanded) {
  proto::Job job = expanded;
  job.clear_threads();
  job.clear_device();
  job.mutable_model()->clear_path();
  job.mutable_data()->clear_path();
  job.mutable_data()->clear_validation();
  std::map<std::string, std::string> fields;
  Flatten(job, "", /*switches=*/true, &fields);
  return {fields.begin(), fields.end()};
}

std::vector<std::string> JobDifferences(const proto::Job& before,
                                        const proto::Job& now) {
  const auto a = FlatIdentity(before, /*switches=*/true);
  const auto b = FlatIdentity(now, /*switches=*/true);
  std::vector<std::string> lines;
  const auto show = [](const std::map<std::string, std::string>& fields,
                       const std::string& field) {
    const auto found = fields.find(field);
    return found == fields.end() ? std::string("the default or unset")
                                 : found->second;
  };
  std::map<std::string, std::string> all = a;
  all.insert(b.begin(), b.end());
  for (const auto& [field, unused] : all) {
    const std::string was = show(a, field), is = show(b, field);
    if (was != is) {
      lines.push_back(absl::StrCat(field, ": was ", was, ", is ", is));
    }
  }
  return lines;
}

}  // namespace caracal
