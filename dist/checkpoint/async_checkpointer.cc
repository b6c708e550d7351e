#include "dist/checkpoint/async_checkpointer.h"

#include <cstring>
#include <utility>

#include "core/collective/agree.h"
#include "core/io/hdf5/hdf5.h"
#include "dist/checkpoint/writer.h"

namespace caracal {
namespace {

uint64_t BytesOf(const CheckpointTensor& tensor) {
  return hdf5::ElementCount(tensor.shape) * SizeOf(tensor.dtype);
}

}  // namespace

AsyncCheckpointer::AsyncCheckpointer(FileSystem* file_system,
                                     AfterWrite after_write, Collective* ranks)
    : file_system_(file_system),
      after_write_(std::move(after_write)),
      ranks_(ranks),
      thread_([this] { Run(); }) {}

AsyncCheckpointer::~AsyncCheckpointer() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

absl::Status AsyncCheckpointer::Start(const std::string& folder,
                                      const CheckpointContents& contents) {
  absl::Status previous = Wait();
  // Assignment keeps the memory of strings and lists that are there already.
  folder_ = folder;
  contents_ = contents;
  uint64_t bytes = 0;
  for (const CheckpointTensor& tensor : contents.tensors) {
    bytes += BytesOf(tensor);
  }
  if (data_.size() < bytes) data_.resize(bytes);
  char* next = data_.data();
  for (CheckpointTensor& tensor : contents_.tensors) {
    if (tensor.data == nullptr) continue;  // for WriteCheckpoint to judge
    const uint64_t size = BytesOf(tensor);
    if (size > 0) std::memcpy(next, tensor.data, size);
    tensor.data = next;
    next += size;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    in_flight_ = true;
  }
  changed_.notify_all();
  return previous;
}

absl::Status AsyncCheckpointer::Wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return !in_flight_; });
  return std::exchange(result_, absl::OkStatus());
}

void AsyncCheckpointer::Run() {
  while (true) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return in_flight_ || stopping_; });
      if (!in_flight_) return;
    }
    absl::Status result =
        WriteCheckpoint(file_system_, folder_, contents_, ranks_);
    if (result.ok() && after_write_ != nullptr) {
      if (ranks_ == nullptr || ranks_->rank() == 0) {
        result = after_write_(folder_);
      }
      if (ranks_ != nullptr) result = AgreeOn(*ranks_, result);
    }
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      result_ = std::move(result);
      in_flight_ = false;
    }
    changed_.notify_all();
  }
}

}  // namespace caracal
