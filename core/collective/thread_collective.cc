#include "core/collective/thread_collective.h"

#include <cstring>
#include <string>
#include <thread>

#include "core/collective/checks.h"
#include "core/collective/reduce.h"
#include "core/collective/traffic.h"

namespace caracal {
namespace {

char* At(void* data, int64_t element, DType dtype) {
  return static_cast<char*>(data) + element * SizeOf(dtype);
}

}  // namespace

class ThreadCollective : public Collective {
 public:
  ThreadCollective(ThreadGroup* group, int rank)
      : group_(group), rank_(rank), size_(group->calls_.size()) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  uint64_t traffic() const override { return traffic_; }

  absl::Status AllReduceSum(TensorView data) override {
    return AllReduce("AllReduceSum", Reduction::kSum, data);
  }
  absl::Status AllReduceMax(TensorView data) override {
    return AllReduce("AllReduceMax", Reduction::kMax, data);
  }

  absl::Status ReduceScatterSum(ConstTensorView data,
                                absl::Span<const int64_t> counts,
                                TensorView out) override {
    CheckReducible(data);
    const int64_t begin = CheckPieces(data, counts, out, rank_, size_);
    Meet("ReduceScatterSum", data.dtype, data.size(),
         const_cast<void*>(data.data));
    // This piece of the data is read by this rank only, so it may be `out`.
    ReducePiece(Reduction::kSum, data.dtype, begin, out.size(), out.data);
    Leave();
    traffic_ += ReduceScatterTraffic(counts, SizeOf(data.dtype), rank_);
    return absl::OkStatus();
  }

  absl::Status AllGather(ConstTensorView mine, absl::Span<const int64_t> counts,
                         TensorView all) override {
    CheckPieces(all, counts, mine, rank_, size_);
    Meet("AllGather", all.dtype, all.size(), const_cast<void*>(mine.data));
    int64_t begin = 0;
    for (int r = 0; r < size_; ++r) {
      Copy(group_->calls_[r].data, counts[r] * SizeOf(all.dtype),
           At(all.data, begin, all.dtype));
      begin += counts[r];
    }
    Leave();
    traffic_ += AllGatherTraffic(counts, SizeOf(all.dtype), rank_);
    return absl::OkStatus();
  }

  absl::Status Broadcast(TensorView data, int root) override {
    CheckView(data);
    CheckRank(root, *this);
    Meet("Broadcast", data.dtype, data.size(), data.data);
    Copy(group_->calls_[root].data, BytesOf(data), data.data);
    Leave();
    traffic_ += BroadcastTraffic(BytesOf(data), root, rank_, size_);
    return absl::OkStatus();
  }

  absl::Status Send(ConstTensorView data, int to) override {
    CheckView(data);
    CheckPeer(to, *this);
    ThreadGroup::Mailbox& box = group_->mailboxes_[rank_ * size_ + to];
    std::unique_lock<std::mutex> lock(box.mutex);
    box.data = data.data;
    box.bytes = BytesOf(data);
    box.full = true;
    box.changed.notify_all();
    box.changed.wait(lock, [&] { return !box.full; });
    traffic_ += BytesOf(data);
    return absl::OkStatus();
  }

  absl::Status Receive(TensorView data, int from) override {
    CheckView(data);
    CheckPeer(from, *this);
    ThreadGroup::Mailbox& box = group_->mailboxes_[from * size_ + rank_];
    std::unique_lock<std::mutex> lock(box.mutex);
    box.changed.wait(lock, [&] { return box.full; });
    CARACAL_CHECK_EQ(box.bytes, BytesOf(data));
    Copy(box.data, box.bytes, data.data);
    box.full = false;
    box.changed.notify_all();
    return absl::OkStatus();
  }

  absl::Status AllGatherBytes(const void* mine, size_t bytes,
                              void* all) override {
    Meet("AllGatherBytes", DType::kU8, bytes, const_cast<void*>(mine));
    for (int r = 0; r < size_; ++r) {
      Copy(group_->calls_[r].data, bytes, static_cast<char*>(all) + r * bytes);
    }
    Leave();
    traffic_ += AllGatherBytesTraffic(bytes, size_);
    return absl::OkStatus();
  }

  absl::Status Barrier() override {
    Meet("Barrier", DType::kU8, 0, nullptr);
    Leave();
    return absl::OkStatus();
  }

 private:
  // Every rank has brought its data when this returns.
  void Meet(const char* operation, DType dtype, uint64_t size, void* data) {
    group_->calls_[rank_] = {operation, dtype, size, data};
    group_->barrier_.arrive_and_wait();
    for (const ThreadGroup::Call& call : group_->calls_) {
      CARACAL_CHECK(std::string(call.operation) == operation &&
                    call.dtype == dtype && call.size == size)
          << "rank " << rank_ << " of " << size_ << " is in " << operation
          << " of " << size << " " << NameOf(dtype) << ", another in "
          << call.operation << " of " << call.size << " " << NameOf(call.dtype);
    }
  }
  // Nobody reads this rank's data any more when this returns.
  void Leave() { group_->barrier_.arrive_and_wait(); }

  static void Copy(const void* from, uint64_t bytes, void* to) {
    if (bytes > 0 && from != to) std::memcpy(to, from, bytes);
  }

  void ReducePiece(Reduction reduction, DType dtype, int64_t begin,
                   int64_t count, void* out) {
    if (count == 0) return;
    sources_.clear();
    for (const ThreadGroup::Call& call : group_->calls_) {
      sources_.push_back(At(call.data, begin, dtype));
    }
    ReduceInOrder(reduction, dtype, sources_, count, out);
  }

  absl::Status AllReduce(const char* operation, Reduction reduction,
                         TensorView data) {
    CheckReducible(data);
    Meet(operation, data.dtype, data.size(), data.data);
    const int64_t begin = EvenBegin(data.size(), size_, rank_);
    ReducePiece(reduction, data.dtype, begin,
                EvenCount(data.size(), size_, rank_),
                At(data.data, begin, data.dtype));
    group_->barrier_.arrive_and_wait();  // All pieces are there.
    for (int r = 0; r < size_; ++r) {
      const int64_t piece = EvenBegin(data.size(), size_, r);
      Copy(At(group_->calls_[r].data, piece, data.dtype),
           EvenCount(data.size(), size_, r) * SizeOf(data.dtype),
           At(data.data, piece, data.dtype));
    }
    Leave();
    traffic_ += AllReduceTraffic(data.size(), SizeOf(data.dtype), rank_, size_);
    return absl::OkStatus();
  }

  ThreadGroup* const group_;
  const int rank_;
  const int size_;
  uint64_t traffic_ = 0;
  std::vector<const void*> sources_;
};

ThreadGroup::ThreadGroup(int size)
    : barrier_(size), calls_(size), mailboxes_(size * size) {}

std::unique_ptr<Collective> ThreadGroup::Join(int rank) {
  return std::make_unique<ThreadCollective>(this, rank);
}

void RunAsRanks(int size, const std::function<void(Collective&)>& work) {
  ThreadGroup group(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] { work(*group.Join(rank)); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace caracal
