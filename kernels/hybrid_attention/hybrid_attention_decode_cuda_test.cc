// Decoding on the GPU, token by token from the first on, against the scalar
// reference of whole sequences in fp64, on inputs that bf16 holds exactly.
#include "kernels/hybrid_attention/hybrid_attention_decode_cuda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "kernels/common/cuda_testing.h"
#include "kernels/hybrid_attention/test_problem.h"
#include "kernels/hybrid_attention/test_shapes.h"

namespace caracal::kernels::testing {
namespace {

using ::caracal::testing::DeviceArray;
using ::caracal::testing::kBf16Rounding;
using ::caracal::testing::RoundToBf16;

using Bf16 = DeviceArray<uint16_t>;

// By so many tokens is the first sequence ahead of the others.
constexpr int64_t kLead = 7;

std::vector<Shape> DecodeShapes() {
  std::vector<Shape> shapes;
  const auto add = [&](int64_t length, int64_t sequences, int64_t heads,
                       int64_t kv_heads, int64_t D, int64_t F, int64_t window,
                       int64_t sinks, WindowKind kind) -> Shape& {
    Shape s;
    s.lengths.assign(sequences, length);
    s.lengths[0] += kLead;
    s.heads = heads;
    s.kv_heads = kv_heads;
    s.D = D;
    s.F = F;
    s.config.window = window;
    s.config.sinks = sinks;
    s.config.window_kind = kind;
    s.seed = shapes.size() + 1;
    shapes.push_back(s);
    return shapes.back();
  };
  const auto sliding = WindowKind::kSliding, terraced = WindowKind::kTerraced;
  add(1, 1, 1, 1, 64, 64, 64, 0, sliding);
  add(150, 2, 4, 1, 128, 64, 64, 0, sliding);
  add(150, 2, 4, 2, 128, 64, 64, 4, sliding);
  add(130, 3, 3, 1, 64, 64, 16, 4, sliding);
  add(130, 2, 2, 2, 96, 64, 16, 20, sliding);
  add(120, 1, 2, 1, 96, 32, 100, 4, sliding);
  add(60, 2, 2, 1, 64, 32, 1, 0, sliding);
  add(60, 2, 2, 1, 64, 32, 1, 3, sliding);
  add(140, 1, 2, 1, 256, 64, 64, 4, sliding);
  add(90, 1, 1, 1, 128, 256, 32, 0, sliding);
  add(90, 2, 1, 1, 64, 128, 16, 4, sliding);
  add(97, 2, 2, 1, 24, 18, 33, 3, sliding).bias = true;
  add(140, 1, 2, 1, 64, 48, 64, 70, sliding).config.affine = true;
  add(140, 2, 2, 1, 64, 64, 16, 0, terraced);
  add(140, 2, 2, 1, 128, 64, 32, 4, terraced);
  add(140, 1, 2, 1, 64, 64, 48, 20, terraced).config.affine = true;
  add(90, 2, 2, 1, 64, 64, 1, 2, terraced);
  // Enough heads for a kernel that takes the states alone.
  add(20, 130, 4, 1, 128, 64, 8, 2, sliding);
  add(30, 65, 8, 2, 64, 32, 1, 1, sliding).terms = TermSets();
  add(20, 260, 2, 1, 96, 64, 4, 0, sliding).terms = TermSets();
  add(12, 520, 1, 1, 24, 18, 3, 0, sliding).bias = true;
  add(40, 65, 8, 1, 128, 64, 16, 2, sliding);
  add(20, 103, 5, 1, 64, 256, 6, 0, sliding).terms = TermSets();
  add(90, 130, 4, 4, 128, 64, 64, 4, sliding).config.affine = true;
  add(12, 130, 4, 1, 64, 64, 3, 2, terraced);
  add(100, 3, 4, 2, 64, 64, 24, 4, sliding).terms = TermSets();
  add(100, 3, 3, 1, 64, 64, 24, 3, terraced).terms = TermSets();
  for (uint8_t terms : TermSets()) {
    add(90, 1, 2, 1, 128, 64, 32, 4, sliding).terms = {terms};
  }
  add(100, 1, 2, 1, 128, 64, 32, 4, sliding).score_size = 80;
  // Every feature map, also one shared by all heads; by both ways.
  for (int kind = 0; kind < kFeatureMapKinds; ++kind) {
    if (static_cast<FeatureMapKind>(kind) == FeatureMapKind::kIdentity)
      continue;
    for (const int64_t sequences : {2, 130}) {
      Shape& s =
          add(sequences == 2 ? 75 : 15, sequences, 4, 2, 64, 48, 8, 2, sliding);
      s.config.feature_map = static_cast<FeatureMapKind>(kind);
      s.bias = true;
      s.shared_map = kind % 2 == 0;
    }
  }
  Shape& identity = add(60, 1, 2, 1, 64, 64, 16, 2, sliding);
  identity.config.feature_map = FeatureMapKind::kIdentity;
  identity.terms = {kSwaOnlyTerms};
  return shapes;
}

// The problem's sequences on the device, a token at a time.
class Decoder {
 public:
  // `cos`, `sin` [positions, D / 2]: queries and keys are rotated on the way.
  // `waiting`: keys whose features wait beside the states; every step is then
  // of all sequences.
  explicit Decoder(const Problem& p, const std::vector<float>& cos = {},
                   const std::vector<float>& sin = {}, int64_t waiting = 0)
      : p_(p),
        s_(p.shape),
        N_(p.sequences()),
        waiting_rows_(waiting),
        // One row more than a window needs.
        ring_(2 * s_.config.window + 1 + waiting),
        sinks_(s_.config.sinks),
        weight_q_(p.weight_q.values),
        weight_k_(p.weight_k.values),
        bias_q_(p.bias_q.values),
        bias_k_(p.bias_k.values),
        factor_(p.factor.values),
        terms_(p.terms),
        ring_k_(N_ * ring_ * s_.kv_heads * s_.D),
        ring_v_(ring_k_.size()),
        sink_k_(N_ * sinks_ * s_.kv_heads * s_.D),
        sink_v_(sink_k_.size()),
        state_(std::vector<float>(N_ * s_.heads * p.Fout() * s_.D)),
        norm_(std::vector<float>(N_ * s_.heads * p.Fout())),
        waiting_(N_ * s_.heads * waiting * p.Fout()),
        length_(std::vector<int32_t>(N_)),
        begun_(std::vector<int32_t>(N_)),
        cos_(cos),
        sin_(sin),
        at_(N_) {}

  // One token of the first `sequences`; their outputs, [sequences, H * D].
  std::vector<double> Step(int64_t sequences) {
    const int64_t H = s_.heads, Hkv = s_.kv_heads, D = s_.D, F = s_.F;
    const Bf16 q = Tokens(p_.q, sequences), k = Tokens(p_.k, sequences);
    const Bf16 v = Tokens(p_.v, sequences), y(sequences * (H * D + kGap));
    HybridAttentionDecodeInputs in;
    in.q = Heads(q, sequences, H), in.k = Heads(k, sequences, Hkv);
    in.v = Heads(v, sequences, Hkv);
    const int64_t maps = p_.maps();
    in.weight_q = TensorView(weight_q_.data(), {maps, D, F});
    in.weight_k = TensorView(weight_k_.data(), {maps, D, F});
    if (s_.bias) {
      in.bias_q = TensorView(bias_q_.data(), {maps, F});
      in.bias_k = TensorView(bias_k_.data(), {maps, F});
    }
    in.window_factor = TensorView(factor_.data(), {H});
    if (cos_.size() > 0) {
      const int64_t positions = 2 * static_cast<int64_t>(cos_.size()) / D;
      in.cos = TensorView(cos_.data(), {positions, D / 2});
      in.sin = TensorView(sin_.data(), {positions, D / 2});
    }
    in.terms = terms_.data();
    HybridAttentionDecodeCache cache;
    cache.length = length_.data();
    const auto rows = [&](const Bf16& x, int64_t n) {
      return TensorView(x.data(), DType::kBF16, {sequences, n, Hkv, D});
    };
    cache.ring_k = rows(ring_k_, ring_), cache.ring_v = rows(ring_v_, ring_);
    if (sinks_ > 0) {
      cache.sink_k = rows(sink_k_, sinks_);
      cache.sink_v = rows(sink_v_, sinks_);
    }
    const int64_t Fout = p_.Fout();
    cache.state = TensorView(state_.data(), {sequences, H, Fout, D});
    cache.state_norm = TensorView(norm_.data(), {sequences, H, Fout});
    if (waiting_rows_ > 0) {
      cache.waiting =
          TensorView(waiting_.data(), {sequences, H, waiting_rows_, Fout});
      cache.begun = begun_.data();
    }
    const DeviceArray<char> memory(
        HybridAttentionDecodeCudaWorkspaceBytes(s_.config, in));
    HybridAttentionDecodeCuda({}, s_.config, in, cache, Heads(y, sequences, H),
                              {memory.data(), memory.size()});
    HybridAttentionDecodeAdvanceCuda({}, length_.data(), sequences);
    for (int64_t i = 0; i < sequences; ++i) ++at_[i];
    std::vector<double> out;
    const std::vector<uint16_t> bits = y.Host();
    for (int64_t i = 0; i < sequences; ++i) {
      for (int64_t c = 0; c < H * D + kGap; ++c) {
        const uint16_t x = bits[i * (H * D + kGap) + c];
        if (c < H * D) {
          out.push_back(FloatFromBf16(x));
        } else {
          EXPECT_EQ(x, 0xffff) << "written beside y";
        }
      }
    }
    return out;
  }
  int64_t at(int64_t i) const { return at_[i]; }

  // Goes on after the first lengths[i] tokens of each sequence: its state comes
  // from the kernel.
  void Start(const std::vector<int64_t>& lengths) {
    const int64_t H = s_.heads, Hkv = s_.kv_heads, D = s_.D, width = Hkv * D;
    std::vector<uint16_t> k, v;
    std::vector<uint16_t> ring_k = ring_k_.Host(), ring_v = ring_v_.Host();
    std::vector<uint16_t> sink_k = sink_k_.Host(), sink_v = sink_v_.Host();
    std::vector<int64_t> offsets = {0};
    for (int64_t i = 0; i < N_; ++i) {
      for (int64_t j = 0; j < lengths[i]; ++j) {
        const auto take = [&](const Table& t, std::vector<uint16_t>& all,
                              std::vector<uint16_t>& ring,
                              std::vector<uint16_t>& sinks) {
          const float* row = &t.values[(p_.offsets[i] + j) * t.columns];
          std::vector<uint16_t> bits;
          for (int64_t c = 0; c < width; ++c) {
            bits.push_back(Bf16FromFloat(row[c]));
          }
          std::copy(bits.begin(), bits.end(),
                    ring.begin() + (i * ring_ + j % ring_) * width);
          if (j < sinks_) {
            std::copy(bits.begin(), bits.end(),
                      sinks.begin() + (i * sinks_ + j) * width);
          }
          bits.resize(width + kGap, 0xffff);
          all.insert(all.end(), bits.begin(), bits.end());
        };
        take(p_.k, k, ring_k, sink_k);
        take(p_.v, v, ring_v, sink_v);
      }
      offsets.push_back(offsets.back() + lengths[i]);
    }
    ring_k_ = Bf16(ring_k), ring_v_ = Bf16(ring_v);
    sink_k_ = Bf16(sink_k), sink_v_ = Bf16(sink_v);
    length_ = DeviceArray<int32_t>(
        std::vector<int32_t>(lengths.begin(), lengths.end()));
    begun_ = DeviceArray<int32_t>(
        std::vector<int32_t>(lengths.begin(), lengths.end()));
    at_ = lengths;
    const Bf16 keys(k), values(v);
    HybridAttentionDecodeTexts texts;
    texts.k = Heads(keys, offsets.back(), Hkv);
    texts.v = Heads(values, offsets.back(), Hkv);
    texts.weight_k = TensorView(weight_k_.data(), {p_.maps(), D, s_.F});
    if (s_.bias) texts.bias_k = TensorView(bias_k_.data(), {p_.maps(), s_.F});
    texts.heads = H;
    texts.offsets = offsets.data();
    texts.sequences = N_;
    const DeviceArray<char> memory(
        HybridAttentionDecodeStatesCudaWorkspaceBytes(s_.config, texts));
    state_.Poison();
    norm_.Poison();
    HybridAttentionDecodeStatesCuda(
        {}, s_.config, texts, TensorView(state_.data(), {N_, H, p_.Fout(), D}),
        TensorView(norm_.data(), {N_, H, p_.Fout()}),
        {memory.data(), memory.size()});
  }

 private:
  static constexpr int64_t kGap = 8;
  TensorView Heads(const Bf16& x, int64_t rows, int64_t heads) const {
    TensorView v(x.data(), DType::kBF16, {rows, heads, s_.D});
    v.stride[0] = heads * s_.D + kGap;
    return v;
  }
  // The next token's row of each sequence, a gap after each.
  Bf16 Tokens(const Table& t, int64_t sequences) const {
    const int64_t columns = t.columns - kSkip;
    std::vector<uint16_t> bits(sequences * (columns + kGap), 0xffff);
    for (int64_t i = 0; i < sequences; ++i) {
      const float* row = &t.values[(p_.offsets[i] + at_[i]) * t.columns];
      for (int64_t c = 0; c < columns; ++c) {
        bits[i * (columns + kGap) + c] = Bf16FromFloat(row[c]);
      }
    }
    return Bf16(bits);
  }

  const Problem& p_;
  const Shape& s_;
  const int64_t N_, waiting_rows_, ring_, sinks_;
  DeviceArray<float> weight_q_, weight_k_, bias_q_, bias_k_, factor_;
  DeviceArray<uint8_t> terms_;
  Bf16 ring_k_, ring_v_, sink_k_, sink_v_;  // NaN to begin with
  DeviceArray<float> state_, norm_, waiting_;
  DeviceArray<int32_t> length_, begun_;
  DeviceArray<float> cos_, sin_;
  std::vector<int64_t> at_;
};

// A token of the first `sequences`, against the reference's rows.
void ExpectStep(const Problem& expected, const ReferenceProblem<double>& want,
                int64_t sequences, Decoder& decoder, double error) {
  const int64_t columns = expected.shape.heads * expected.shape.D;
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < sequences; ++i) {
    rows.push_back(expected.offsets[i] + decoder.at(i));
  }
  const std::vector<double> got = decoder.Step(sequences);
  for (int64_t i = 0; i < sequences; ++i) {
    for (int64_t c = 0; c < columns; ++c) {
      const double y = want.y[rows[i] * columns + c];
      ASSERT_NEAR(got[i * columns + c], y, kBf16Rounding * std::abs(y) + error)
          << "token " << decoder.at(i) - 1 << " of sequence " << i << " column "
          << c;
    }
  }
}

// Decodes all of `p`, and expects what the reference makes of `expected`.
void Check(const Problem& expected, Decoder& decoder, double error) {
  ReferenceProblem<double> want(expected);
  want.Forward();
  for (int64_t step = 0; step < expected.shape.lengths[0]; ++step) {
    ExpectStep(expected, want, step < kLead ? 1 : expected.sequences(), decoder,
               error);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

Problem Rounded(const Shape& shape) {
  Problem p(shape);
  for (Table* t : {&p.q, &p.k, &p.v}) {
    for (float& x : t->values) x = RoundToBf16(x);
  }
  return p;
}

template <typename Body>
void ForEachShape(const Body& body) {
  const char* most = std::getenv("MOST_ROWS");
  for (const Shape& s : DecodeShapes()) {
    int64_t rows = 0;
    for (int64_t n : s.lengths) rows += n;
    if (most != nullptr && rows > std::atoll(most)) continue;
    SCOPED_TRACE(::testing::Message()
                 << s.lengths.size() << " x " << s.lengths[0] << " tokens, H "
                 << s.heads << "/" << s.kv_heads << " D " << s.D << " F " << s.F
                 << " W " << s.config.window << " S " << s.config.sinks << " "
                 << NameOf(s.config.window_kind) << " terms "
                 << int{s.terms[0]});
    body(s);
    if (::testing::Test::HasFatalFailure()) return;
  }
}

TEST(HybridAttentionDecodeCuda, EveryTokenAsTheReferenceHasIt) {
  ForEachShape([](const Shape& s) {
    const Problem p = Rounded(s);
    Decoder decoder(p);
    // y is a mean of values with positive weights: an error of the weights
    // shows in numerator and denominator.
    Check(p, decoder, 2 * p.ErrorBound());
  });
}

// Little work for the two kernels that many heads take: for compute-sanitizer.
TEST(HybridAttentionDecodeCuda, ManyHeadsOfFewSequences) {
  Shape shape;
  shape.lengths.assign(8, 5);
  shape.lengths[0] += kLead;
  shape.heads = 64;
  shape.kv_heads = 8;
  shape.D = 16;
  shape.F = 8;
  shape.config.window = 2;
  shape.config.sinks = 1;
  const Problem p = Rounded(shape);
  Decoder decoder(p);
  Check(p, decoder, 2 * p.ErrorBound());
}

// The texts but for their last tokens at once, those one by one.
TEST(HybridAttentionDecodeCuda, GoesOnAfterWholeTexts) {
  static constexpr int64_t kLast = 4;
  ForEachShape([](const Shape& s) {
    const Problem p = Rounded(s);
    Decoder decoder(p);
    std::vector<int64_t> lengths;
    for (const int64_t n : s.lengths) {
      lengths.push_back(std::max<int64_t>(n - kLast, 0));
    }
    decoder.Start(lengths);
    ReferenceProblem<double> want(p);
    want.Forward();
    for (int64_t step = 0; step < std::min(kLast, s.lengths.back()); ++step) {
      ExpectStep(p, want, p.sequences(), decoder, 2 * p.ErrorBound());
      if (::testing::Test::HasFatalFailure()) return;
    }
  });
}

// States that are written once in two or eight tokens, from the first token on
// and from texts of different lengths on.
TEST(HybridAttentionDecodeCuda, KeysWaitBesideStates) {
  ForEachShape([](const Shape& s) {
    const int64_t N = s.lengths.size();
    const int64_t most =
        HybridAttentionDecodeCudaWaitingKeys(s.config, N, s.heads, s.D);
    if (most == 0) return;
    const Problem p = Rounded(s);
    ReferenceProblem<double> want(p);
    want.Forward();
    for (const int64_t waiting : {int64_t{1}, most}) {
      for (const bool texts : {false, true}) {
        Decoder decoder(p, {}, {}, waiting);
        std::vector<int64_t> lengths;
        for (int64_t i = 0; texts && i < N; ++i) {
          lengths.push_back(i % (s.lengths[i] / 2));
        }
        if (texts) decoder.Start(lengths);
        const int64_t steps =
            s.lengths.back() -
            (texts ? *std::max_element(lengths.begin(), lengths.end()) : 0);
        for (int64_t step = 0; step < steps; ++step) {
          ExpectStep(p, want, N, decoder, 2 * p.ErrorBound());
          if (::testing::Test::HasFatalFailure()) return;
        }
      }
    }
  });
}

// Rotated by the kernel, and before the reference sees them.
TEST(HybridAttentionDecodeCuda, RotatesQueriesAndKeys) {
  Shape shape;
  shape.lengths = {60 + kLead, 60};
  shape.heads = 4;
  shape.kv_heads = 2;
  shape.D = 64;
  shape.F = 32;
  shape.config.window = 16;
  shape.config.sinks = 3;
  const Problem p = Rounded(shape);
  Problem rotated = p;
  const int64_t half = shape.D / 2, positions = shape.lengths[0];
  std::vector<float> cos, sin;
  for (int64_t n = 0; n < positions; ++n) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = n * std::pow(100.0, -static_cast<double>(i) / half);
      cos.push_back(static_cast<float>(std::cos(angle)));
      sin.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  for (Table* t : {&rotated.q, &rotated.k}) {
    for (int64_t r = 0; r < t->rows; ++r) {
      const int64_t n = r < positions ? r : r - positions;
      float* const row = &t->values[r * t->columns];
      for (int64_t c = 0; c + shape.D <= t->columns; c += shape.D) {
        for (int64_t i = 0; i < half; ++i) {
          const float x = row[c + i], y = row[c + i + half];
          const float a = cos[n * half + i], b = sin[n * half + i];
          row[c + i] = RoundToBf16(x * a - y * b);
          row[c + i + half] = RoundToBf16(y * a + x * b);
        }
      }
    }
  }
  Decoder decoder(p, cos, sin);
  // An element may round the other way here than there: one of D in a score.
  Check(rotated, decoder,
        2 * rotated.ErrorBound() + kBf16Rounding * shape.score_size);
}

}  // namespace
}  // namespace caracal::kernels::testing
