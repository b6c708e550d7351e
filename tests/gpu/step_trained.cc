#include "tests/gpu/step_trained.h"

#include <algorithm>

namespace caracal::kernels {

void Trained::Add(int64_t rows, int64_t columns, const Block& block) {
  Part part{full_, columns, block, false};
  part.everywhere = ranks_.place().tensor > 1 && block.rows == rows &&
                    block.columns == columns;
  parts_.push_back(part);
  full_ += (rows * columns + 3) / 4 * 4;
}

void Trained::Allocate() {
  for (const bool everywhere : {false, true}) {
    for (Part& part : parts_) {
      if (part.everywhere != everywhere) continue;
      part.offset = total_;
      total_ += (part.size() + 3) / 4 * 4;
    }
  }
  const std::vector<float> zeros(total_);
  param_ = F32(zeros), grad_ = F32(zeros), m_ = F32(zeros), v_ = F32(zeros);
  const F32 all = RandomOnDevice<float>(full_, 0.05, 7);
  std::vector<AdamWCudaTensor> lists[2];
  for (const Part& part : parts_) {
    CopyBlock(all.data() + part.full_offset, part.full_columns, part.block,
              param_.data() + part.offset, part.block.columns);
    const auto view = [&](const F32& from) {
      return TensorView(from.data() + part.offset, {part.size()});
    };
    lists[part.everywhere].push_back(
        {view(param_), view(grad_), view(m_), view(v_), {}});
  }
  for (int i = 0; i < 2; ++i) {
    Table& t = tables_[i];
    t.tensors = lists[i].size();
    t.memory = DeviceArray<char>(AdamWCudaTableBytes(t.tensors));
    t.table = MakeAdamWCudaTable(ranks_.context(), lists[i].data(), t.tensors,
                                 t.memory.data());
  }
  squares_ =
      DeviceArray<double>(std::vector<double>(ranks_.place().tensor + 1));
}

void Trained::Zero() const {
  CARACAL_CUDA_CHECK(cudaMemsetAsync(grad_.data(), 0, total_ * sizeof(float),
                                     ranks_.stream()));
}

void Trained::AddRanks(size_t begin, size_t end) {
  const bool everywhere = ranks_.place().tensor > 1;
  int64_t from = total_, to = 0;
  for (size_t i = begin; i < end; ++i) {
    if (parts_[i].everywhere != everywhere) continue;
    from = std::min(from, parts_[i].offset);
    to = std::max(to, parts_[i].offset + parts_[i].size());
  }
  if (from >= to) return;
  tickets_.push_back(ranks_.Sum(TensorView(grad_.data() + from, {to - from})));
}

void Trained::Configure(int64_t step) {
  AdamWConfig config;
  config.lr = 1e-4;
  config.step = step;
  for (const Table& t : tables_) {
    if (t.tensors == 0) continue;
    const std::vector<AdamWConfig> configs(t.tensors, config);
    AdamWCudaConfigure(ranks_.context(), t.table, configs.data());
  }
}

void Trained::Step() {
  const Context ctx = ranks_.context();
  const Place& place = ranks_.place();
  for (const int ticket : tickets_) ranks_.Wait(ticket);
  tickets_.clear();
  const Workspace sums{sums_.data(), sums_.size()};
  SumOfSquaresCuda(ctx, tables_[0].table, AdamWCudaPart::kGrad,
                   squares_.data() + place.tensor_rank, sums);
  ranks_.Wait(ranks_.GatherSmall(
      TensorView(squares_.data(), DType::kI64, {place.tensor})));
  if (tables_[1].tensors > 0) {
    SumOfSquaresCuda(ctx, tables_[1].table, AdamWCudaPart::kGrad,
                     squares_.data() + place.tensor, sums);
  }
  ClipCuda(ctx, squares_.data(), place.tensor + 1, 1.0, clip_.data());
  for (const Table& t : tables_) {
    if (t.tensors > 0) AdamWStepCuda(ctx, t.table, clip_.data());
  }
}

void Trained::GradientTo(std::vector<float>* all) const {
  const Place& place = ranks_.place();
  const std::vector<float> grad = grad_.Host();
  for (const Part& part : parts_) {
    const bool first = place.tensor_rank == 0 && place.data_rank == 0;
    if (!first && (part.everywhere || place.data > 1)) continue;
    CopyBlock(grad.data() + part.offset, part.block.columns,
              {0, part.block.rows, 0, part.block.columns},
              all->data() + part.full_offset +
                  part.block.row * part.full_columns + part.block.column,
              part.full_columns);
  }
}

}  // namespace caracal::kernels
