// Hopper version: cuts sequences into segments, lays out the scratch memory,
// orders the kernels, and adds up what segments and heads leave.
#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "kernels/common/cuda_check.h"
#include "kernels/common/cuda_early_launch.h"
#include "kernels/common/cuda_tensor_map.h"
#include "kernels/common/cuda_upload.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_bind.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper.h"
#include "kernels/hybrid_attention/hybrid_attention_cuda_hopper_kernels.h"

namespace caracal::kernels::cuda {
namespace {

constexpr int kOutputs = 128, kFeatures = 64;  // padded
// Tiles of a segment: blocks enough to fill the chip's 132 multiprocessors
// (one block each), but otherwise as long as may be: borders cost a pass over
// the keys.
constexpr int64_t kFewestTiles = 4, kBlocks = 128;

// Most sums that whoever begins at a border adds up, times their columns; a
// scan adds up more.
constexpr int64_t kMostSumColumns = 1024;

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
      s.number = static_cast<int>(p);
      s.count = static_cast<int>(pieces);
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

// How the sums at borders are formed: by how many blocks a segment, and who
// adds up several. Without a border states stays null.
void PlanSums(const Args& a, const std::vector<Segment>& segments,
              HopperScratch& s) {
  int64_t borders = 0, most = 0;
  for (const Segment& x : segments) {
    if (x.number > 0) ++borders;
    most = std::max<int64_t>(most, x.number);
  }
  s.count = static_cast<int>(segments.size());
  s.split = borders > 0 && a.F > 0;
  const int64_t most_sums = kMostSumColumns / PaddedD(a);
  s.scanned = most > most_sums;
  if (!s.split || s.scanned) return;
  s.pieces = static_cast<int>(std::max<int64_t>(
      std::min(kBlocks / (borders * a.H), most_sums / most), 1));
}

void CutSums(const Args& a, const HopperScratch& s, BorderSums& sums,
             Cutter& cut) {
  if (!s.split) return;
  const int64_t parts = int64_t{s.count} * s.pieces * a.H;
  cut.Take(sums.state, parts * kOutputs * PaddedD(a));
  cut.Take(sums.norm, parts * kOutputs);
}

// Where the tables lie in device memory: segments, offsets, terms.
struct TablePlaces {
  size_t offsets, terms, bytes;
  TablePlaces(const Args& a, int64_t segments) {
    offsets = (segments * sizeof(Segment) + 7) / 8 * 8;
    terms = offsets + (a.sequences + 1) * sizeof(int64_t);
    bytes = terms + a.sequences * a.H;
  }
};

// In one go, terms only where they are not there yet.
void UploadTables(const std::vector<Segment>& segments,
                  const HybridAttentionInputs& in, const HopperScratch& s,
                  Args& a, cudaStream_t stream) {
  const TablePlaces at(a, s.count);
  const bool terms = in.device_terms == nullptr;
  std::vector<char> tables(terms ? at.bytes : at.terms);
  std::memcpy(tables.data(), segments.data(), s.count * sizeof(Segment));
  std::memcpy(&tables[at.offsets], in.offsets, at.terms - at.offsets);
  if (terms) std::memcpy(&tables[at.terms], in.terms, at.bytes - at.terms);
  CudaUpload(tables.data(), tables.size(), s.tables, stream);
  a.offsets = reinterpret_cast<const int64_t*>(s.tables + at.offsets);
  a.terms = terms ? reinterpret_cast<const uint8_t*>(s.tables + at.terms)
                  : in.device_terms;
}

HopperScratch Forward(const Args& a, const std::vector<Segment>& segments,
                      Cutter& cut) {
  HopperScratch s;
  PlanSums(a, segments, s);
  cut.Take(s.tables, TablePlaces(a, s.count).bytes);
  s.segments = reinterpret_cast<const Segment*>(s.tables);
  const int64_t weights = a.H * PaddedD(a) * kFeatures;
  cut.Take(s.weight_q, weights);
  cut.Take(s.weight_k, weights);
  CutSums(a, s, s.states, cut);
  return s;
}

HopperScratch Backward(const Args& a, const std::vector<Segment>& segments,
                       Cutter& cut) {
  HopperScratch s = Forward(a, segments, cut);
  const int64_t all = a.H * a.rows, parts = s.count * a.H;
  CutSums(a, s, s.suffixes, cut);
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

// Which kernels the heads take.
void FindPairs(const Args& a, uint32_t term_kinds, HopperScratch& s) {
  bool alone = false;
  for (int terms = 0; terms < kTermKinds; ++terms) {
    if ((term_kinds >> terms & 1) == 0) continue;
    (OnePair(a, terms) ? s.pairs : s.others) = true;
    if (LinearAlone(terms)) {
      alone = true;
    } else {
      (OneKeyPair(a, s, terms) ? s.beside : s.key_others) = true;
    }
  }
  s.alone = alone && OnePair(a, kLaOnlyTerms) && !s.key_others;
  s.key_others = s.key_others || (alone && !s.alone);
  s.key_pairs = s.alone || s.beside;
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

void ForwardRows(const Args& a, const HopperScratch& s, const PairMaps& maps,
                 cudaStream_t stream) {
  if (s.pairs) HopperForwardPairs(a, s, maps, stream);
  if (s.others) HopperForwardOthers(a, s, stream);
}

// The states where a forward left them.
BorderSums Kept(const Args& a, const HopperScratch& s, void* memory) {
  BorderSums sums;
  Cutter cut(memory);
  CutSums(a, s, sums, cut);
  return sums;
}

// Of a number and bytes (FNV-1a).
uint64_t Mix(uint64_t number, const void* data, size_t bytes) {
  const auto* from = static_cast<const unsigned char*>(data);
  for (size_t i = 0; i < bytes; ++i) {
    number = (number ^ from[i]) * 0x100000001b3;
  }
  return number;
}

}  // namespace

bool HopperSupports(const Args& a) {
  if (a.map != FeatureMapKind::kHedgehog || (a.F > 0 && a.maps != a.H)) {
    return false;
  }
  if (a.bias_q != nullptr || a.bias_k != nullptr || a.from_end) return false;
  if (a.D > 128 || a.F > kFeatures) return false;
  return MajorCapability() == 9;
}

HybridAttentionBorders HopperBorders(const Args& a, const int64_t* offsets) {
  const std::vector<Segment> segments = Segments(a, offsets);
  HopperScratch s;
  PlanSums(a, segments, s);
  Cutter cut(nullptr);
  CutSums(a, s, s.states, cut);
  HybridAttentionBorders borders;
  borders.bytes = cut.bytes();
  const int64_t shape[] = {a.H, PaddedD(a), s.pieces, s.scanned};
  borders.segments = Mix(Mix(1, shape, sizeof(shape)), segments.data(),
                         segments.size() * sizeof(Segment));
  return borders;
}

size_t HopperForwardBytes(const Args& a, const int64_t* offsets) {
  Cutter cut(nullptr);
  Forward(a, Segments(a, offsets), cut);
  return cut.bytes();
}

void HopperForward(const Args& args, const HybridAttentionInputs& in,
                   void* memory, void* borders, cudaStream_t stream) {
  const std::vector<Segment> segments = Segments(args, in.offsets);
  Args a = args;
  Cutter cut(memory);
  HopperScratch s = Forward(a, segments, cut);
  if (borders != nullptr) s.states = Kept(a, s, borders);
  FindPairs(a, TermKinds(in), s);
  UploadTables(segments, in, s, a, stream);
  HopperWeights(a, s, stream);
  const PairMaps maps = Maps(a);
  HopperStates(a, s, maps, stream);
  ForwardRows(a, s, maps, stream);
}

size_t HopperBackwardBytes(const Args& a, const int64_t* offsets) {
  Cutter cut(nullptr);
  Backward(a, Segments(a, offsets), cut);
  return cut.bytes();
}

void HopperBackward(const Args& args, const HybridAttentionInputs& in,
                    void* memory, void* borders, cudaStream_t stream) {
  const std::vector<Segment> segments = Segments(args, in.offsets);
  Args a = args;
  Cutter cut(memory);
  HopperScratch s = Backward(a, segments, cut);
  s.rows_done = TransferOnly(args);
  FindPairs(a, TermKinds(in), s);
  UploadTables(segments, in, s, a, stream);
  HopperWeights(a, s, stream);
  PairMaps maps = Maps(a);
  if (borders != nullptr) {
    s.states = Kept(a, s, borders);
  } else {
    HopperStates(a, s, maps, stream);
  }
  if (a.target.data != nullptr) {
    ForwardRows(a, s, maps, stream);
    a.dy = {s.dy.data, s.dy.row, s.dy.head};
    a.target = {};
    maps = Maps(a);
  } else if (s.key_pairs) {
    if (a.saved_y.data != nullptr) {
      HopperStatistics(a, s, stream);
    } else {
      HopperForwardPairs(a, s, maps, stream);
    }
  }
  const bool keys =
      a.dk.data != nullptr || a.dv.data != nullptr || a.dweight_k != nullptr;
  if (s.key_pairs) {
    if (!s.rows_done || s.alone) {
      HopperBackwardRowPairs(a, s, maps, stream);
    }
    if (a.dweight_q != nullptr) HopperMapGradients(a, s, false, stream);
  }
  if (s.key_others) HopperBackwardRowOthers(a, s, stream);
  if (keys) {
    HopperSuffixes(a, s, maps, stream);
    if (s.key_pairs) {
      HopperBackwardKeyPairs(a, s, maps, stream);
      if (a.dweight_k != nullptr) HopperMapGradients(a, s, true, stream);
    }
    if (s.key_others) HopperBackwardKeyOthers(a, s, stream);
  }
  const bool sinks =
      s.beside && a.sinks > 0 && (a.dk.data != nullptr || a.dv.data != nullptr);
  if (sinks) HopperSinkParts(a, s, stream);
  a.target = args.target;
  HopperReduce(a, s, stream);
  if (sinks) HopperAddSinks(a, s, stream);
}

}  // namespace caracal::kernels::cuda
