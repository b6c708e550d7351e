#include "dist/nccl/device_groups.h"

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "dist/nccl/nccl_api.h"
#include "dist/nccl/nccl_collective.h"
#include "dist/nccl/nccl_queue.h"
#include "dist/nccl/peer_exchange.h"

namespace caracal {
namespace {

constexpr char kTensorGroup[] = "tensor group";

// A chain's receives are posted a micro-batch ahead and spin until the rows are
// there, while passes run: they get few multiprocessors.
constexpr int kLinkBlocks = 2;

absl::StatusOr<std::shared_ptr<void>> NewStream() {
  cudaStream_t stream = nullptr;
  const cudaError_t error =
      cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  if (error != cudaSuccess) {
    return CudaStatus(error, "cudaStreamCreateWithFlags",
                      "for collectives behind the passes");
  }
  return std::shared_ptr<void>(
      stream, [](void* s) { cudaStreamDestroy(static_cast<cudaStream_t>(s)); });
}

}  // namespace

absl::StatusOr<AxisGroups> OnDevice(
    AxisGroups host, Device* device, absl::Duration stall,
    absl::FunctionRef<void(const std::string& line)> note) {
  const auto place = [&](const char* name, const std::shared_ptr<void>& stream,
                         std::unique_ptr<Collective>* group) -> absl::Status {
    if ((*group)->size() == 1) return absl::OkStatus();
    ASSIGN_OR_RETURN(
        *group, NcclCollective::Create(std::move(*group), stream, name, stall));
    return absl::OkStatus();
  };
  // Rows of the residual stream go between products.
  const auto place_tensor =
      [&](const std::shared_ptr<void>& stream) -> absl::Status {
    if (host.tensor->size() == 1) return absl::OkStatus();
    ASSIGN_OR_RETURN(std::unique_ptr<NcclCollective> group,
                     NcclCollective::Create(std::move(host.tensor), stream,
                                            kTensorGroup, stall));
    absl::StatusOr<std::unique_ptr<PeerExchange>> exchange =
        PeerExchange::Create(group->control(), stream.get(), kTensorGroup,
                             stall);
    if (exchange.ok()) {
      group->set_exchange(*std::move(exchange));
    } else if (absl::IsUnavailable(exchange.status())) {
      note(absl::StrCat(
          "tensor ranks reach each other by NCCL only, which is slower: ",
          exchange.status().message()));
    } else {
      return exchange.status();
    }
    host.tensor = std::move(group);
    return absl::OkStatus();
  };
  const std::shared_ptr<void> callers(device->stream(), [](void*) {});
  ASSIGN_OR_RETURN(const std::shared_ptr<void> own, NewStream());
  RETURN_IF_ERROR(place("data group", callers, &host.data));
  RETURN_IF_ERROR(place_tensor(callers));
  RETURN_IF_ERROR(place("second data group", own, &host.data_behind));
  RETURN_IF_ERROR(place("second tensor group", own, &host.tensor_behind));
  ASSIGN_OR_RETURN(host.behind, NcclQueue::Create(std::move(host.data_behind),
                                                  own, device->stream()));
  const auto place_links =
      [&](const char* name, std::unique_ptr<Collective>& group,
          std::unique_ptr<CollectiveQueue>* queue) -> absl::Status {
    if (host.shape.layer == 1) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::shared_ptr<void> stream, NewStream());
    ASSIGN_OR_RETURN(auto links,
                     NcclCollective::Create(std::move(group), stream, name,
                                            stall, kLinkBlocks));
    ASSIGN_OR_RETURN(
        *queue, NcclQueue::Create(std::move(links), stream, device->stream()));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(place_links("layer chain", host.layer, &host.even_links));
  RETURN_IF_ERROR(
      place_links("second layer chain", host.layer_behind, &host.odd_links));
  return host;
}

}  // namespace caracal
