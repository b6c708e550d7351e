// Hopper version: cuts sequences into segments, lays out the scratch memory,
// orders the kernels, and adds up what segments and heads leave.
#include <algorithm>
#include <type_traits>
#include <vector>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_tensor_map.h"
#include "kernels/common/cuda_upload.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kOutputs = 128, kFeatures = 64;  // padded
// Tiles of a segment: blocks enough to fill the chip's 132 multiprocessors
// (one block each), but otherwise as long as may be: borders cost a pass over
// the keys.
constexpr int64_t kFewestTiles = 4, kBlocks = 128;

std::vector<Segment> Segments(const Args& a, const int64_t* offsets) {
  int64_t tiles = 0;
  for (int i = 0; i < a.sequences; ++i) {
    tiles += (offsets[i + 1] - offsets[i] + kTile - 1) / kTile;
  }
  const int64_t most =
      std::max((tiles * a.H + kBlocks - 1) / kBlocks, kFewestTiles);
  std::vector<Segment> segments;
  for (int i = 0; i < a.sequences; ++i) {
    const int64_t length = offsets[i + 1] - offsets[i];
    const int64_t count = (length + kTile - 1) / kTile;
    if (count == 0) continue;
    const int64_t pieces = (count + most - 1) / most;
    for (int64_t p = 0; p < pieces; ++p) {
      Segment s;
      s.begin = static_cast<int>(offsets[i]);
      s.length = static_cast<int>(length);
      s.first = static_cast<int>(count * p / pieces * kTile);
      s.last =
          static_cast<int>(std::min(count * (p + 1) / pieces * kTile, length));
      s.sequence = i;
      segments.push_back(s);
    }
  }
  return segments;
}

int64_t PaddedD(const Args& a) { return a.D <= 64 ? 64 : 128; }

// Cuts one block of memory; null: only counts.
class Cutter {
 public:
  explicit Cutter(void* memory) : memory_(memory) {}
  template <typename T>
  void Take(T*& pointer, int64_t count) {
    pointer =
        reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(memory_) + bytes_);
    bytes_ += (count * sizeof(T) + 255) / 256 * 256;
  }
  size_t bytes() const { return bytes_; }

 private:
  void* memory_;
  size_t bytes_ = 0;
};

HopperScratch Forward(const Args& a, const std::vector<Segment>& segments,
                      Cutter& cut) {
  HopperScratch s;
  s.count = static_cast<int>(segments.size());
  s.split = std::any_of(segments.begin(), segments.end(),
                        [](const Segment& x) { return x.first > 0; });
  Segment* table;
  cut.Take(table, s.count);
  s.segments = table;
  const int64_t weights = a.H * PaddedD(a) * kFeatures;
  cut.Take(s.weight_q, weights);
  cut.Take(s.weight_k, weights);
  if (s.split) {
    cut.Take(s.state, s.count * a.H * kOutputs * PaddedD(a));
    cut.Take(s.norm, s.count * a.H * kOutputs);
    cut.Take(s.sums, s.count * kPieces * a.H * kOutputs * PaddedD(a));
    cut.Take(s.norm_sums, s.count * kPieces * a.H * kOutputs);
  }
  return s;
}

HopperScratch Backward(const Args& a, const std::vector<Segment>& segments,
                       Cutter& cut) {
  HopperScratch s = Forward(a, segments, cut);
  const int64_t all = a.H * a.rows, parts = s.count * a.H;
  if (s.split) {
    cut.Take(s.suffix, parts * kOutputs * PaddedD(a));
    cut.Take(s.suffix_norm, parts * kOutputs);
  }
  if (a.target.data != nullptr) {
    cut.Take(s.dy.data, all * a.D);
    s.dy.row = a.H * a.D;
    s.dy.head = a.D;
    cut.Take(s.error, parts);
  }
  for (float** p : {&s.row_max, &s.inv_den, &s.delta, &s.dmax}) {
    cut.Take(*p, all);
  }
  cut.Take(s.argmax, all);
  const int64_t weights = parts * PaddedD(a) * kFeatures;
  if (a.dweight_q != nullptr) cut.Take(s.dweight_q, weights);
  if (a.dweight_k != nullptr) cut.Take(s.dweight_k, weights);
  cut.Take(s.dfactor, parts);
  if (a.dweight_q != nullptr) cut.Take(s.dz_q, all * kFeatures);
  if (a.dweight_k != nullptr) cut.Take(s.dz_k, all * kFeatures);
  if (a.sinks > 0 && a.sinks <= kPairSinks) {
    cut.Take(s.sinks, parts * 4 * kPairSinks * PaddedD(a));
  }
  if (a.H != a.Hkv) {
    if (a.dk.data != nullptr) cut.Take(s.dk, all * a.D);
    if (a.dv.data != nullptr) cut.Take(s.dv, all * a.D);
  }
  return s;
}

void FindPairs(const Args& a, const uint8_t* terms, HopperScratch& s) {
  for (int i = 0; i < a.sequences * a.H; ++i) {
    (OnePair(a, terms[i]) ? s.pairs : s.others) = true;
    const bool pair = OneKeyPair(a, terms[i]);
    (pair ? s.key_pairs : s.key_others) = true;
    if (pair) (LinearAlone(terms[i]) ? s.alone : s.beside) = true;
  }
}

PairMaps Maps(const Args& a) {
  const auto map = [&](const HeadRows<const bf16>& x, int heads) {
    return CudaRowsMap(x.data, a.rows, x.row, heads, x.head, a.D);
  };
  PairMaps maps;
  maps.q = map(a.q, a.H);
  maps.k = map(a.k, a.Hkv);
  maps.v = map(a.v, a.Hkv);
  maps.dy = a.dy.data == nullptr ? maps.q : map(a.dy, a.H);
  return maps;
}

void ForwardRows(const Args& a, const HopperScratch& s, cudaStream_t stream) {
  if (s.pairs) HopperForwardPairs(a, s, Maps(a), stream);
  if (s.others) HopperForwardOthers(a, s, stream);
}

}  // namespace

bool HopperSupports(const Args& a) {
  if (a.map != FeatureMapKind::kHedgehog || (a.F > 0 && a.maps != a.H)) {
    return false;
  }
  if (a.bias_q != nullptr || a.bias_k != nullptr || a.from_end) return false;
  if (a.D > 128 || a.F > kFeatures) return false;
  int device = 0, major = 0;
  CARACAL_CUDA_CHECK(cudaGetDevice(&device));
  CARACAL_CUDA_CHECK(cudaDeviceGetAttribute(
      &major, cudaDevAttrComputeCapabilityMajor, device));
  return major == 9;
}

size_t HopperForwardBytes(const Args& a, const int64_t* offsets) {
  Cutter cut(nullptr);
  Forward(a, Segments(a, offsets), cut);
  return cut.bytes();
}

void HopperForward(const Args& a, const int64_t* offsets, const uint8_t* terms,
                   void* memory, cudaStream_t stream) {
  const std::vector<Segment> segments = Segments(a, offsets);
  Cutter cut(memory);
  HopperScratch s = Forward(a, segments, cut);
  FindPairs(a, terms, s);
  CudaUpload(segments.data(), segments.size() * sizeof(Segment),
             const_cast<Segment*>(s.segments), stream);
  HopperWeights(a, s, stream);
  HopperStates(a, s, stream);
  ForwardRows(a, s, stream);
}

size_t HopperBackwardBytes(const Args& a, const int64_t* offsets) {
  Cutter cut(nullptr);
  Backward(a, Segments(a, offsets), cut);
  return cut.bytes();
}

void HopperBackward(const Args& args, const int64_t* offsets,
                    const uint8_t* terms, void* memory, cudaStream_t stream) {
  const std::vector<Segment> segments = Segments(args, offsets);
  Cutter cut(memory);
  HopperScratch s = Backward(args, segments, cut);
  FindPairs(args, terms, s);
  CudaUpload(segments.data(), segments.size() * sizeof(Segment),
             const_cast<Segment*>(s.segments), stream);
  HopperWeights(args, s, stream);
  HopperStates(args, s, stream);
  s.rows_done = TransferOnly(args);
  Args a = args;
  if (a.target.data != nullptr) {
    ForwardRows(a, s, stream);
    a.dy = {s.dy.data, s.dy.row, s.dy.head};
    a.target = {};
  } else if (s.key_pairs) {
    if (a.saved_y.data != nullptr) {
      HopperStatistics(a, s, stream);
    } else {
      HopperForwardPairs(a, s, Maps(a), stream);
    }
  }
  const bool keys =
      a.dk.data != nullptr || a.dv.data != nullptr || a.dweight_k != nullptr;
  if (s.key_pairs) {
    if (!s.rows_done || s.alone) {
      HopperBackwardRowPairs(a, s, Maps(a), stream);
    }
    if (a.dweight_q != nullptr) HopperMapGradients(a, s, false, stream);
  }
  if (s.key_others) HopperBackwardRowOthers(a, s, stream);
  if (keys) {
    HopperSuffixes(a, s, stream);
    if (s.key_pairs) {
      HopperBackwardKeyPairs(a, s, Maps(a), stream);
      if (a.dweight_k != nullptr) HopperMapGradients(a, s, true, stream);
    }
    if (s.key_others) HopperBackwardKeyOthers(a, s, stream);
  }
  const bool sinks =
      s.beside && a.sinks > 0 && (a.dk.data != nullptr || a.dv.data != nullptr);
  if (sinks) HopperSinkParts(a, s, stream);
  HopperReduce(args, s, stream);
  if (sinks) HopperAddSinks(a, s, stream);
}

}  // namespace caracal::kernels::cuda
