#include "jobs/train/layer_chain.h"

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/device/device.h"
#include "core/model/ops/stream.h"

namespace caracal {

LayerChain::LayerChain(Llama* model, Gang* gang, MicroBatches* source)
    : model_(model),
      gang_(gang),
      source_(source),
      place_(gang->place().layer),
      ahead_(gang->shape().layer - 1 - place_) {
  for (int64_t i = 0; i <= ahead_; ++i) {
    slots_.push_back(std::make_unique<Slot>(*source_));
  }
}

absl::Status LayerChain::Step(Execution& exec,
                              const TransferObjective& objective,
                              TransferSums* sums, FunctionRef<void()> last) {
  const int64_t end = done_ + source_->per_step();
  for (; done_ < end; ++done_) {
    const int64_t wanted = std::min(source_->count(), done_ + ahead_ + 1);
    while (prepared_ < wanted) RETURN_IF_ERROR(Prepare(exec));
    if (done_ + 1 == end) last();
    Slot& slot = *slots_[done_ % slots_.size()];
    Execution students = exec;
    students.arena = &slot.arena;
    model_->TransferStudents(students, slot.tokens, objective, slot.kept.data(),
                             sums);
    exec.Fail(students.status);
  }
  return absl::OkStatus();
}

absl::Status LayerChain::Prepare(Execution& exec) {
  const int64_t index = prepared_++;
  Slot& slot = *slots_[index % slots_.size()];
  RETURN_IF_ERROR(source_->Fill(index, &slot.rows));
  slot.tokens = slot.rows.Rows(0, slot.rows.count());
  slot.kept.resize(model_->layers());
  if (exec.device != nullptr && slot.device_arena == nullptr) {
    ASSIGN_OR_RETURN(slot.device_arena, exec.device->NewArena());
    slot.arena.set_companion(slot.device_arena.get());
  }
  slot.arena.Reset();
  Execution teacher = exec;
  teacher.arena = &slot.arena;
  teacher.layer_done = nullptr;
  TensorView x;
  if (!first()) {
    const auto receive = [&]() -> absl::Status {
      const int64_t place = received_++ % 2;
      ASSIGN_OR_RETURN(incoming_[place],
                       StartReceive(exec, slot.tokens, &in_[place]));
      return absl::OkStatus();
    };
    if (received_ == index) RETURN_IF_ERROR(receive());
    RETURN_IF_ERROR(gang_->from_before().Wait());
    // The rank before runs one further ahead: it sends this one whatever
    // happens here.
    if (received_ < source_->count()) RETURN_IF_ERROR(receive());
    x = incoming_[index % 2];
  }
  RETURN_IF_ERROR(Teacher(teacher, slot.tokens, x, slot.kept.data()));
  exec.Fail(teacher.status);
  return absl::OkStatus();
}

absl::Status LayerChain::Teacher(Execution& exec, const TokenBatch& tokens,
                                 TensorView x, TransferKept* kept) {
  const TensorView after = model_->TransferTeacher(exec, tokens, x, kept);
  return last() ? absl::OkStatus() : SendOn(exec, after);
}

absl::Status LayerChain::Repeat(Execution& exec,
                                const TransferObjective& objective,
                                TransferSums* sums) {
  RETURN_IF_ERROR(Drain());
  BatchBuffer rows(source_->rows(), source_->seq_len(),
                   source_->reset_at_document());
  for (int64_t i = done_ - source_->per_step(); i < done_; ++i) {
    RETURN_IF_ERROR(source_->Fill(i, &rows));
    RETURN_IF_ERROR(RunOne(exec, rows.Rows(0, rows.count()), objective, sums));
  }
  return Drain();
}

absl::Status LayerChain::Run(Execution& exec, BatchBuffer& rows,
                             int64_t micro_batch,
                             const TransferObjective& objective,
                             TransferSums* sums) {
  RETURN_IF_ERROR(Drain());
  for (int64_t begin = 0; begin < rows.count(); begin += micro_batch) {
    const int64_t n = std::min(micro_batch, rows.count() - begin);
    RETURN_IF_ERROR(RunOne(exec, rows.Rows(begin, n), objective, sums));
  }
  return Drain();
}

absl::Status LayerChain::RunOne(Execution& exec, const TokenBatch& tokens,
                                const TransferObjective& objective,
                                TransferSums* sums) {
  exec.arena->Reset();
  std::vector<TransferKept> kept(model_->layers());
  TensorView x;
  if (!first()) {
    ASSIGN_OR_RETURN(x, StartReceive(exec, tokens, &aside_));
    RETURN_IF_ERROR(gang_->from_before().Wait());
  }
  RETURN_IF_ERROR(Teacher(exec, tokens, x, kept.data()));
  model_->TransferStudents(exec, tokens, objective, kept.data(), sums);
  return absl::OkStatus();
}

absl::Status LayerChain::Drain() {
  if (!first()) RETURN_IF_ERROR(gang_->from_before().Wait());
  if (!last()) RETURN_IF_ERROR(gang_->to_after().Wait());
  return absl::OkStatus();
}

absl::StatusOr<TensorView> LayerChain::StartReceive(const Execution& exec,
                                                    const TokenBatch& tokens,
                                                    Tensor* buffer) {
  TensorView into;
  RETURN_IF_ERROR(PlaceStream(exec, StreamRows(exec, tokens.rows()).size(),
                              model_->weights().config.hidden_size, buffer,
                              &into));
  // The operation has a share in its memory: after an error elsewhere it may
  // outlive this object.
  gang_->from_before().Start(
      [into, from = place_ - 1, share = *buffer](Collective& links) {
        return links.Receive(into, from);
      });
  return into;
}

absl::Status LayerChain::SendOn(const Execution& exec, const TensorView& x) {
  // The one before is taken by now, or nearly so.
  RETURN_IF_ERROR(gang_->to_after().Wait());
  TensorView out;
  RETURN_IF_ERROR(PlaceStream(exec, x.shape[0], x.shape[1], &out_, &out));
  CopyStream(exec, x, out);
  gang_->to_after().Start(
      [out, to = place_ + 1, share = out_](Collective& links) {
        return links.Send(out, to);
      });
  return absl::OkStatus();
}

}  // namespace caracal
