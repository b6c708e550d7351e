#include "core/collective/thread_collective.h"

#include <algorithm>
#include <cstring>

namespace caracal {

class ThreadCollective : public Collective {
 public:
  ThreadCollective(ThreadGroup* group, int rank) : group_(group), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(group_->data_.size()); }

  absl::Status AllReduceSum(TensorView data) override {
    return AllReduce(data, [](float a, float b) { return a + b; });
  }
  absl::Status AllReduceMax(TensorView data) override {
    return AllReduce(data, [](float a, float b) { return std::max(a, b); });
  }
  absl::Status Barrier() override {
    group_->barrier_.arrive_and_wait();
    return absl::OkStatus();
  }

 private:
  template <typename F>
  absl::Status AllReduce(TensorView data, F combine) {
    group_->data_[rank_] = data;
    group_->barrier_.arrive_and_wait();
    // Every rank combines in rank order, so all get the same bits.
    std::vector<float> result(group_->data_[0].f32(),
                              group_->data_[0].f32() + data.size());
    for (int r = 1; r < size(); ++r) {
      const float* other = group_->data_[r].f32();
      for (int64_t i = 0; i < data.size(); ++i) {
        result[i] = combine(result[i], other[i]);
      }
    }
    group_->barrier_.arrive_and_wait();  // All have read before any writes.
    std::memcpy(data.data, result.data(), result.size() * sizeof(float));
    return absl::OkStatus();
  }

  ThreadGroup* group_;
  int rank_;
};

std::unique_ptr<Collective> ThreadGroup::Join(int rank) {
  return std::make_unique<ThreadCollective>(this, rank);
}

}  // namespace caracal
