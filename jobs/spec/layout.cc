#include "jobs/spec/layout.h"

#include <algorithm>

namespace caracal {
namespace {

int AtLeastOne(int ranks) { return std::max(1, ranks); }

}  // namespace

MeshShape TransferLayout(const proto::Job& job) {
  const proto::Parallel& p = job.parallel();
  return {.data = AtLeastOne(p.data()),
          .tensor = AtLeastOne(p.tensor()),
          .layer = AtLeastOne(p.layer())};
}

MeshShape FinetuneLayout(const proto::Job& job) {
  const MeshShape transfer = TransferLayout(job);
  const proto::FinetuneParallel& own = job.parallel().finetune();
  MeshShape shape = {.data = transfer.data * transfer.layer,
                     .tensor = transfer.tensor};
  if (own.has_tensor()) {
    shape.tensor = AtLeastOne(own.tensor());
    shape.data = AtLeastOne(transfer.ranks() / shape.tensor);
  }
  if (own.has_data()) {
    shape.data = AtLeastOne(own.data());
    if (!own.has_tensor()) {
      shape.tensor = AtLeastOne(transfer.ranks() / shape.data);
    }
  }
  return shape;
}

MeshShape LayoutOf(const proto::Job& job, const proto::Stage& stage) {
  return stage.has_transfer() ? TransferLayout(job) : FinetuneLayout(job);
}

}  // namespace caracal
