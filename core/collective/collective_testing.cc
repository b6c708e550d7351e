#include "core/collective/collective_testing.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "core/base/status_matchers.h"
#include "core/collective/traffic.h"

namespace caracal::collective_testing {
namespace {

// What rank `rank` brings at `index`: signs and magnitudes from 2^-8 to 2^7, so
// that sums depend on the order of their terms.
float Value(int rank, int64_t index) {
  uint32_t bits = static_cast<uint32_t>(index) * 2654435761u + rank * 40503u;
  bits ^= bits >> 15;
  bits *= 2246822519u;
  bits ^= bits >> 13;
  const float magnitude =
      std::ldexp(1.0f + (bits & 0xffff) * 0x1p-16f, int(bits >> 16 & 15) - 8);
  return (bits >> 20 & 1) != 0 ? -magnitude : magnitude;
}

void Store(float value, DType dtype, void* data, int64_t index) {
  if (dtype == DType::kF32) {
    static_cast<float*>(data)[index] = value;
  } else if (dtype == DType::kBF16) {
    static_cast<uint16_t*>(data)[index] = Bf16FromFloat(value);
  } else {  // whole numbers: the bits are what counts
    const int64_t bits = std::bit_cast<uint32_t>(value);
    std::memcpy(static_cast<char*>(data) + index * SizeOf(dtype), &bits,
                SizeOf(dtype));
  }
}

// Elements with a border that nobody may write to.
class Buffer {
 public:
  Buffer(int64_t n, DType dtype)
      : n_(n), dtype_(dtype), bytes_(n * SizeOf(dtype) + 2 * kBorder, kMark) {}
  ~Buffer() {
    for (int64_t i = 0; i < kBorder; ++i) {
      EXPECT_EQ(bytes_[i], kMark) << "written before the view";
      EXPECT_EQ(bytes_[bytes_.size() - 1 - i], kMark) << "and after it";
    }
  }
  TensorView view() { return View(0, n_); }
  TensorView View(int64_t begin, int64_t count) {
    return TensorView(&bytes_[kBorder + begin * SizeOf(dtype_)], dtype_,
                      {count});
  }
  void Fill(int rank, int64_t begin, int64_t count, int64_t index_of_begin) {
    for (int64_t i = 0; i < count; ++i) {
      Store(Value(rank, index_of_begin + i), dtype_, view().data, begin + i);
    }
  }
  // Whether all bits are the same; if not, where.
  void ExpectEqual(Buffer& other, const Collective& group) {
    const size_t size = SizeOf(dtype_);
    const char* mine = static_cast<const char*>(view().data);
    const char* others = static_cast<const char*>(other.view().data);
    for (int64_t i = 0; i < n_; ++i) {
      if (std::memcmp(mine + i * size, others + i * size, size) != 0) {
        ADD_FAILURE() << "element " << i << " of " << n_ << " "
                      << NameOf(dtype_) << " on rank " << group.rank() << " of "
                      << group.size();
        return;
      }
    }
  }

 private:
  static constexpr int64_t kBorder = 64;
  static constexpr uint8_t kMark = 0xa5;
  const int64_t n_;
  const DType dtype_;
  std::vector<uint8_t> bytes_;
};

float RoundTrip(float value, DType dtype) {
  return dtype == DType::kBF16 ? FloatFromBf16(Bf16FromFloat(value)) : value;
}

// Elements begin .. begin + count of the sum over the ranks.
void FillWithSum(const Collective& group, DType dtype, int64_t begin,
                 int64_t count, Buffer* out) {
  for (int64_t i = 0; i < count; ++i) {
    float sum = RoundTrip(Value(0, begin + i), dtype);
    for (int r = 1; r < group.size(); ++r) {
      sum += RoundTrip(Value(r, begin + i), dtype);
    }
    Store(sum, dtype, out->view().data, i);
  }
}

int64_t Total(const std::vector<int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{0});
}

int64_t BeginOf(const std::vector<int64_t>& counts, int rank) {
  return std::accumulate(counts.begin(), counts.begin() + rank, int64_t{0});
}

}  // namespace

std::vector<int64_t> UnevenCounts(int size, int64_t scale) {
  std::vector<int64_t> counts(size);
  for (int r = 0; r < size; ++r) counts[r] = r == 1 ? 0 : (r + 1) * scale + r;
  return counts;
}

void CheckAllReduce(Collective& group, int64_t n, DType dtype) {
  SCOPED_TRACE(testing::Message() << "AllReduceSum of " << n);
  Buffer data(n, dtype), expected(n, dtype);
  data.Fill(group.rank(), 0, n, 0);
  FillWithSum(group, dtype, 0, n, &expected);
  const uint64_t sent = group.traffic();
  EXPECT_OK(group.AllReduceSum(data.view()));
  data.ExpectEqual(expected, group);
  EXPECT_EQ(group.traffic() - sent,
            AllReduceTraffic(n, SizeOf(dtype), group.rank(), group.size()));
}

void CheckReduceScatter(Collective& group, const std::vector<int64_t>& counts,
                        DType dtype, bool in_place) {
  SCOPED_TRACE(testing::Message() << "ReduceScatterSum of " << Total(counts)
                                  << " in place: " << in_place);
  const int64_t n = Total(counts);
  const int64_t begin = BeginOf(counts, group.rank());
  const int64_t mine = counts[group.rank()];
  Buffer data(n, dtype), before(n, dtype);
  Buffer separate(mine, dtype), expected(mine, dtype);
  data.Fill(group.rank(), 0, n, 0);
  before.Fill(group.rank(), 0, n, 0);
  FillWithSum(group, dtype, begin, mine, &expected);
  const TensorView out = in_place ? data.View(begin, mine) : separate.view();
  const uint64_t sent = group.traffic();
  EXPECT_OK(group.ReduceScatterSum(data.view(), counts, out));
  if (in_place) {
    // The other pieces are as they were.
    std::memcpy(separate.view().data, out.data, mine * SizeOf(dtype));
    std::memcpy(out.data, before.View(begin, mine).data, mine * SizeOf(dtype));
  }
  separate.ExpectEqual(expected, group);
  data.ExpectEqual(before, group);
  EXPECT_EQ(group.traffic() - sent,
            ReduceScatterTraffic(counts, SizeOf(dtype), group.rank()));
}

void CheckAllGather(Collective& group, const std::vector<int64_t>& counts,
                    DType dtype, bool in_place) {
  SCOPED_TRACE(testing::Message() << "AllGather of " << Total(counts)
                                  << " in place: " << in_place);
  const int64_t n = Total(counts);
  Buffer all(n, dtype), separate(counts[group.rank()], dtype);
  Buffer expected(n, dtype);
  for (int r = 0; r < group.size(); ++r) {
    expected.Fill(r, BeginOf(counts, r), counts[r], 7);
  }
  const int64_t begin = BeginOf(counts, group.rank());
  const int64_t mine = counts[group.rank()];
  if (in_place) {
    all.Fill(group.rank(), begin, mine, 7);
  } else {
    separate.Fill(group.rank(), 0, mine, 7);
  }
  const uint64_t sent = group.traffic();
  EXPECT_OK(group.AllGather(in_place ? all.View(begin, mine) : separate.view(),
                            counts, all.view()));
  all.ExpectEqual(expected, group);
  EXPECT_EQ(group.traffic() - sent,
            AllGatherTraffic(counts, SizeOf(dtype), group.rank()));
}

void CheckBroadcast(Collective& group, int64_t n, DType dtype, int root) {
  SCOPED_TRACE(testing::Message() << "Broadcast of " << n << " from " << root);
  Buffer data(n, dtype), expected(n, dtype);
  data.Fill(group.rank(), 0, n, 0);
  expected.Fill(root, 0, n, 0);
  const uint64_t sent = group.traffic();
  EXPECT_OK(group.Broadcast(data.view(), root));
  data.ExpectEqual(expected, group);
  EXPECT_EQ(
      group.traffic() - sent,
      BroadcastTraffic(n * SizeOf(dtype), root, group.rank(), group.size()));
}

void CheckAllGatherBytes(Collective& group, size_t bytes) {
  SCOPED_TRACE(testing::Message() << "AllGatherBytes of " << bytes);
  const int64_t size = bytes;
  Buffer mine(size, DType::kU8), all(size * group.size(), DType::kU8);
  Buffer expected(size * group.size(), DType::kU8);
  mine.Fill(group.rank(), 0, size, 0);
  for (int r = 0; r < group.size(); ++r) {
    expected.Fill(r, r * size, size, 0);
  }
  const uint64_t sent = group.traffic();
  EXPECT_OK(group.AllGatherBytes(mine.view().data, bytes, all.view().data));
  all.ExpectEqual(expected, group);
  EXPECT_EQ(group.traffic() - sent, AllGatherBytesTraffic(bytes, group.size()));
}

void CheckRing(Collective& group, int64_t n, DType dtype) {
  SCOPED_TRACE(testing::Message() << "ring of " << n);
  constexpr int kMessages = 3;
  const int next = (group.rank() + 1) % group.size();
  const int previous = (group.rank() + group.size() - 1) % group.size();
  const uint64_t sent = group.traffic();
  uint64_t bytes = 0;
  const auto send = [&] {
    for (int m = 0; m < kMessages; ++m) {
      Buffer data(n + m, dtype);
      data.Fill(group.rank(), 0, n + m, m);
      EXPECT_OK(group.Send(data.view(), next));
      bytes += (n + m) * SizeOf(dtype);
    }
  };
  const auto receive = [&] {
    for (int m = 0; m < kMessages; ++m) {
      Buffer data(n + m, dtype), expected(n + m, dtype);
      expected.Fill(previous, 0, n + m, m);
      EXPECT_OK(group.Receive(data.view(), previous));
      data.ExpectEqual(expected, group);
    }
  };
  if (group.rank() == 0) {  // Somebody has to begin.
    send();
    receive();
  } else {
    receive();
    send();
  }
  EXPECT_EQ(group.traffic() - sent, bytes);
}

void CheckMaximum(Collective& group, DType dtype, bool nan_wins) {
  SCOPED_TRACE("AllReduceMax");
  const int64_t n = 41;
  Buffer data(n, dtype), expected(n, dtype);
  data.Fill(group.rank(), 0, n, 0);
  for (int64_t i = 0; i < n; ++i) {
    float largest = Value(0, i);
    for (int r = 1; r < group.size(); ++r) {
      largest = std::max(largest, Value(r, i));
    }
    Store(largest, dtype, expected.view().data, i);
  }
  // One element is NaN on the last rank, another one on rank 0.
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const int last = group.size() - 1;
  if (nan_wins) {
    if (group.rank() == last) Store(nan, dtype, data.view().data, 5);
    if (group.rank() == 0) Store(nan, dtype, data.view().data, 30);
    Store(nan, dtype, expected.view().data, 5);
    Store(nan, dtype, expected.view().data, 30);
  }
  EXPECT_OK(group.AllReduceMax(data.view()));
  data.ExpectEqual(expected, group);
}

void CheckEverything(Collective& group, int64_t largest, bool nan_wins) {
  const int size = group.size();
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const int64_t n : {0, 1, 2, 3, 5, 1023, 1024, 4099}) {
      CheckAllReduce(group, n, dtype);
    }
    CheckAllReduce(group, largest, dtype);
    CheckMaximum(group, dtype, nan_wins);
    for (const bool in_place : {false, true}) {
      CheckReduceScatter(group, EvenCounts(1001, size), dtype, in_place);
      CheckReduceScatter(group, UnevenCounts(size, 700), dtype, in_place);
      CheckReduceScatter(group, std::vector<int64_t>(size), dtype, in_place);
    }
    CheckReduceScatter(group, UnevenCounts(size, largest / 8), dtype, true);
  }
  for (const DType dtype :
       {DType::kF32, DType::kBF16, DType::kU8, DType::kI64}) {
    for (const bool in_place : {false, true}) {
      CheckAllGather(group, EvenCounts(1001, size), dtype, in_place);
      CheckAllGather(group, UnevenCounts(size, 700), dtype, in_place);
      CheckAllGather(group, std::vector<int64_t>(size), dtype, in_place);
    }
    for (int root = 0; root < size; ++root) {
      CheckBroadcast(group, 1001, dtype, root);
    }
    CheckBroadcast(group, 0, dtype, 0);
    if (size > 1) CheckRing(group, 1001, dtype);
  }
  CheckAllGather(group, UnevenCounts(size, largest / 8), DType::kF32, true);
  CheckBroadcast(group, largest, DType::kU8, size - 1);
  if (size > 1) CheckRing(group, largest, DType::kU8);
  CheckAllGatherBytes(group, 0);
  CheckAllGatherBytes(group, 13);
  EXPECT_OK(group.Barrier());
}

}  // namespace caracal::collective_testing
