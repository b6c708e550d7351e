// The parameters a conversion trains, in one flat buffer.
#ifndef CARACAL_CORE_MODEL_PARAMETERS_H_
#define CARACAL_CORE_MODEL_PARAMETERS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/device/device.h"
#include "core/tensor/tensor.h"

namespace caracal {

enum class ParameterGroup : uint8_t {
  kFeatureMap,
  kFeatureBias,
  kWindowFactor,
  kLora
};
inline constexpr int kParameterGroups = 4;

// "feature_map", "feature_bias", "window_factor", "lora".
absl::string_view NameOf(ParameterGroup group);

inline constexpr int kParameterRank = 3;  // dimensions, at most

// Which part of a tensor of the whole model this rank holds, and which other
// ranks of the tensor-parallel group do.
struct ParameterSlice {
  std::array<int64_t, kParameterRank> whole = {};  // shape, as many as used
  std::array<int64_t, kParameterRank> begin = {};  // of the part
  // Other ranks hold the same part. Each has the gradient of what it computes
  // itself: the sum over them is the tensor's.
  bool shared = false;
  // Of the ranks that hold this part the one that answers for it where it
  // counts once: norms, checkpoints.
  bool owned = true;
  int layer = 0;  // whose it is, counted from the rank's first
};

// One trained tensor, fp32. `grad` is defined while the tensor is trained.
struct Parameter {
  std::string name;  // "layers.3.feature_map_q", "layers.3.lora.q.A", ...
  ParameterGroup group;
  ParameterSlice slice;
  TensorView value;
  TensorView grad;
  int64_t offset = 0;  // elements from the start of the flat buffer
  // What passes and the optimizer work on: value and grad themselves, or their
  // twins on a device, which start at multiples of 256 bytes.
  TensorView step_value;
  TensorView step_grad;
};

// Names, values and gradients of all trained tensors. Values lie one after
// another, one group after another, so that an optimizer step is one kernel
// call per trained group. Addresses are stable once Allocate() was called.
class ParameterStore {
 public:
  // Declares a tensor, before Allocate(). Returns its index. Without a slice it
  // is whole, and this rank's alone.
  int Add(std::string name, ParameterGroup group,
          std::initializer_list<int64_t> shape);
  int Add(std::string name, ParameterGroup group,
          std::initializer_list<int64_t> shape, const ParameterSlice& slice);
  // Lays out and zeroes the values.
  void Allocate();

  // Makes twins of values and gradients on a device, which it borrows. From now
  // on the values are in one place at a time: on the device from UseOnDevice(),
  // which every pass calls, until UseOnHost(). Who reads or writes `value`
  // calls the latter before. kResourceExhausted.
  absl::Status PlaceOn(Device* device);
  Device* device() const { return device_; }  // null: the host's
  void UseOnDevice();
  absl::Status UseOnHost();
  // Likewise of the gradients, to be read; they stay on the device.
  absl::Status GradientsToHost();
  // Of what could not tell its own: kResourceExhausted of SetTrained().
  const absl::Status& device_status() const { return device_status_; }

  // Makes gradients for the groups in `groups` and none for the others.
  void SetTrained(const std::vector<ParameterGroup>& groups);
  void ZeroGradients();

  const std::vector<Parameter>& parameters() const { return parameters_; }
  const Parameter& operator[](int index) const { return parameters_[index]; }
  // Null when there is none of that name.
  const Parameter* Find(absl::string_view name) const;

  // The trained part as contiguous runs of the flat buffers, one a group. In
  // each, parameters follow one another layer by layer.
  struct Run {
    ParameterGroup group;
    TensorView value;  // [n]
    TensorView grad;   // [n]
    std::vector<const Parameter*> parameters;
    // What passes and the optimizer work on: value and grad themselves, or the
    // parameters' twins on a device, in the same order, with gaps of zeros
    // between them.
    TensorView step_value, step_grad;
  };
  // Where an element of a run, or its end, lies in step_value and step_grad.
  int64_t StepOffset(int run, int64_t element) const;
  const std::vector<Run>& trained_runs() const { return runs_; }
  std::vector<const Parameter*> trained() const;
  int64_t trained_size() const;  // elements

 private:
  std::vector<Parameter> parameters_;
  std::vector<Run> runs_;
  Tensor values_, grads_;
  Device* device_ = nullptr;
  Tensor step_values_, step_grads_;  // on it
  bool on_device_ = false;           // where the values are
  absl::Status device_status_;
};

// Elements [begin, end) of a trained run.
struct RunRange {
  int run = 0;
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
  TensorView Of(TensorView flat) const {
    return TensorView(flat.f32() + begin, {end - begin});
  }
};

// A block of rows (of the first dimension) of one parameter.
struct ParameterRows {
  const Parameter* parameter = nullptr;
  int64_t first_row = 0, rows = 0;
  int64_t begin = 0, size = 0;  // elements, from the run's first
};

// A range as rows of its parameters. It must cut none of them within a row.
std::vector<ParameterRows> RowsOf(const ParameterStore& store,
                                  const RunRange& range);

// All runs, whole.
std::vector<RunRange> WholeRuns(const ParameterStore& store);

}  // namespace caracal

#endif  // CARACAL_CORE_MODEL_PARAMETERS_H_
