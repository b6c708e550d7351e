// LoRA on the GPU against the scalar reference's loops in fp64, on inputs that
// bf16 holds exactly. The second product of each pair is compared on the first
// one's rounded result, which is compared by itself.
#include "kernels/lora/lora_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
#include <utility>
#include <vector>

#include "kernels/common/cuda_testing.h"
#include "kernels/lora/lora_ref.h"

namespace caracal::kernels {
namespace {

using testing::DeviceArray;
using testing::DeviceMatrix;
using testing::kBf16Rounding;
using testing::kUnitRoundoff;
using testing::Uniform;

using Matrix = DeviceMatrix<uint16_t>;
using Values = std::vector<double>;

struct Shape {
  int64_t rows, in, out, rank;
};
const Shape kShapes[] = {{1, 8, 8, 1},       {5, 24, 40, 8},  {33, 576, 192, 8},
                         {130, 64, 576, 16}, {7, 72, 33, 3},  {20, 40, 48, 20},
                         {600, 128, 64, 64}, {9, 32, 16, 256}};

constexpr float kScale = 1.75f;

Values Abs(Values x) {
  for (double& v : x) v = std::abs(v);
  return x;
}

// `terms` are the sums of the terms' absolute values, n the longest sum. What
// was added to (or nothing) may have been added to a product already rounded.
void ExpectNear(const Values& got, const Values& expected, const Values& terms,
                int64_t n, double rounding, const char* what,
                const Values& before = {}) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    const double product = before.empty() ? 0 : expected[i] - before[i];
    ASSERT_NEAR(got[i], expected[i],
                rounding * (std::abs(expected[i]) + std::abs(product)) +
                    2 * (n + 6) * kUnitRoundoff * terms[i])
        << what << " at " << i;
  }
}

struct Library {
  MatMulCudaPlans plans;
  DeviceArray<char> memory{kMatMulCudaWorkspaceBytes};
  Workspace workspace{memory.data(), memory.size()};
};

// s = scale x w^T (or added), as the reference does it.
Values Project(const Values& x, const Values& w, double scale, int64_t rows,
               int64_t rank, int64_t n) {
  Values s(rows * rank);
  LoraProjectReference<double>(x.data(), n, w.data(), n, scale, rows, rank, n,
                               false, s.data(), rank);
  return s;
}
// x += scale s w, w [rank, n].
Values Expand(const Values& s, const Values& w, double scale, int64_t rows,
              int64_t rank, int64_t n, Values x) {
  LoraExpandReference<double>(s.data(), rank, w.data(), n, scale, rows, rank, n,
                              x.data(), n);
  return x;
}
// w += s^T x, w [rank, n].
Values Outer(const Values& s, const Values& x, int64_t rows, int64_t rank,
             int64_t n, Values w) {
  LoraOuterReference<double>(s.data(), rank, x.data(), n, rows, rank, n,
                             w.data(), n);
  return w;
}
// [rows, columns] to [columns, rows].
Values Turn(const Values& x, int64_t rows, int64_t columns) {
  Values out(x.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c)
      out[c * rows + r] = x[r * columns + c];
  }
  return out;
}

TEST(LoraCuda, ForwardMatchesDouble) {
  Library library;
  for (const Shape& s : kShapes) {
    for (bool accumulate : {false, true}) {
      const Matrix x(s.rows, s.in, Uniform(1)), a(s.rank, s.in, Uniform(2));
      const Matrix b(s.out, s.rank, Uniform(3)), xa(s.rows, s.rank);
      const Matrix y(s.rows, s.out, Uniform(4));
      const Values before = accumulate ? y.Host() : Values(s.rows * s.out, 0.0);
      LoraForwardCuda({}, library.plans, x.View(), a.View(), b.View(), kScale,
                      accumulate, xa.View(), y.View(), library.workspace);
      ExpectNear(xa.Host(),
                 Project(x.Host(), a.Host(), 1, s.rows, s.rank, s.in),
                 Project(Abs(x.Host()), Abs(a.Host()), 1, s.rows, s.rank, s.in),
                 s.in, kBf16Rounding, "xa");
      const Values up = Turn(b.Host(), s.out, s.rank);
      ExpectNear(y.Host(),
                 Expand(xa.Host(), up, kScale, s.rows, s.rank, s.out, before),
                 Expand(Abs(xa.Host()), Abs(up), kScale, s.rows, s.rank, s.out,
                        Abs(before)),
                 s.rank, kBf16Rounding, "y", before);
      EXPECT_TRUE(xa.GapsIntact() && y.GapsIntact());
    }
  }
}

TEST(LoraCuda, BackwardMatchesDouble) {
  Library library;
  for (const Shape& s : kShapes) {
    for (bool accumulate : {false, true}) {
      const Matrix x(s.rows, s.in, Uniform(1)), a(s.rank, s.in, Uniform(2));
      const Matrix b(s.out, s.rank, Uniform(3)), xa(s.rows, s.rank, Uniform(5));
      const Matrix dy(s.rows, s.out, Uniform(6)), dxa(s.rows, s.rank);
      const Matrix dx(s.rows, s.in, Uniform(7));
      const DeviceMatrix<float> da(s.rank, s.in, Uniform(8));
      const DeviceMatrix<float> db(s.out, s.rank, Uniform(9));
      const Values da_before = da.Host(), db_before = db.Host();
      const Values dx_before =
          accumulate ? dx.Host() : Values(s.rows * s.in, 0.0);
      LoraBackwardCuda({}, library.plans, dy.View(), x.View(), xa.View(),
                       a.View(), b.View(), kScale, accumulate, dxa.View(),
                       da.View(), db.View(), dx.View(), library.workspace);
      const Values d = dy.Host(), up = Turn(b.Host(), s.out, s.rank);
      ExpectNear(dxa.Host(), Project(d, up, kScale, s.rows, s.rank, s.out),
                 Project(Abs(d), Abs(up), kScale, s.rows, s.rank, s.out), s.out,
                 kBf16Rounding, "dxa");
      Values scaled = xa.Host();
      for (double& v : scaled) v *= kScale;
      const Values db_turned = Turn(db_before, s.out, s.rank);
      ExpectNear(
          Turn(db.Host(), s.out, s.rank),
          Outer(scaled, d, s.rows, s.rank, s.out, db_turned),
          Outer(Abs(scaled), Abs(d), s.rows, s.rank, s.out, Abs(db_turned)),
          s.rows, kUnitRoundoff, "db");
      const Values sx = dxa.Host();
      ExpectNear(
          da.Host(), Outer(sx, x.Host(), s.rows, s.rank, s.in, da_before),
          Outer(Abs(sx), Abs(x.Host()), s.rows, s.rank, s.in, Abs(da_before)),
          s.rows, kUnitRoundoff, "da");
      ExpectNear(dx.Host(),
                 Expand(sx, a.Host(), 1, s.rows, s.rank, s.in, dx_before),
                 Expand(Abs(sx), Abs(a.Host()), 1, s.rows, s.rank, s.in,
                        Abs(dx_before)),
                 s.rank, kBf16Rounding, "dx", dx_before);
      EXPECT_TRUE(dxa.GapsIntact() && dx.GapsIntact() && da.GapsIntact() &&
                  db.GapsIntact());
    }
  }
}

TEST(LoraCuda, WithoutInputGradientAndSameBits) {
  Library library;
  const Shape s = {5000, 64, 48, 8};
  const Matrix x(s.rows, s.in, Uniform(1)), a(s.rank, s.in, Uniform(2));
  const Matrix b(s.out, s.rank, Uniform(3)), xa(s.rows, s.rank, Uniform(5));
  const Matrix dy(s.rows, s.out, Uniform(6));
  std::vector<float> bits[2];
  for (int i = 0; i < 2; ++i) {
    const Matrix dxa(s.rows, s.rank), dx(s.rows, s.in, Uniform(7));
    const DeviceMatrix<float> da(s.rank, s.in, Uniform(8));
    const DeviceMatrix<float> db(s.out, s.rank, Uniform(9));
    LoraBackwardCuda({}, library.plans, dy.View(), x.View(), xa.View(),
                     a.View(), b.View(), kScale, true, dxa.View(), da.View(),
                     db.View(), i == 0 ? TensorView() : dx.View(),
                     library.workspace);
    bits[i] = da.Bits();
    for (float v : db.Bits()) bits[i].push_back(v);
  }
  EXPECT_EQ(std::memcmp(bits[0].data(), bits[1].data(),
                        bits[0].size() * sizeof(float)),
            0);
}

// Columns [begin, begin + columns) of a dense [rows, width].
Values Columns(const Values& x, int64_t width, int64_t begin, int64_t columns) {
  Values out;
  for (size_t at = 0; at < x.size(); at += width) {
    out.insert(out.end(), &x[at] + begin, &x[at] + begin + columns);
  }
  return out;
}

TensorView Block(TensorView view, int64_t row, int64_t rows, int64_t column,
                 int64_t columns) {
  view.data = static_cast<uint16_t*>(view.data) + row * view.stride[0] + column;
  view.shape[0] = rows;
  view.shape[1] = columns;
  return view;
}

// Against the adapter beside its projection, in fp64 on the weight as folded.
TEST(LoraCuda, FoldedMatchesDouble) {
  Library library;
  for (const Shape& s : kShapes) {
    const int64_t width = s.in + s.rank, height = s.out + s.rank;
    const Matrix weight(height, width, Uniform(1));
    const Values before = weight.Host();
    const DeviceMatrix<float> a(s.rank, s.in, Uniform(2));
    const DeviceMatrix<float> b(s.out, s.rank, Uniform(3));
    LoraFoldCuda({}, a.View(), b.View(), kScale,
                 Block(weight.View(), s.out, s.rank, 0, s.in),
                 Block(weight.View(), 0, s.out, s.in, s.rank));
    const Values folded = weight.Host();
    const Values da = a.Host(), db = b.Host();
    for (int64_t r = 0; r < height; ++r) {
      for (int64_t c = 0; c < width; ++c) {
        const float expected = r < s.out && c < s.in ? before[r * width + c]
                               : c < s.in  ? da[(r - s.out) * s.in + c]
                               : r < s.out ? kScale * db[r * s.rank + c - s.in]
                                           : before[r * width + c];
        ASSERT_EQ(folded[r * width + c], testing::RoundToBf16(expected));
      }
    }
    const auto rows_of = [&](int64_t begin, int64_t rows) {
      return Values(&folded[begin * width],
                    &folded[begin * width] + rows * width);
    };
    const Values top = rows_of(0, s.out);  // [W, scale B]
    const Values down = Columns(rows_of(s.out, s.rank), width, 0, s.in);  // A
    const Values up = Columns(top, width, s.in, s.rank);  // scale B

    const Matrix x(s.rows, width, Uniform(5)), y(s.rows, s.out);
    const Values x_in = Columns(x.Host(), width, 0, s.in);
    LoraFoldedForwardCuda({}, library.plans, x.View(), weight.View(), s.rank,
                          y.View(), library.workspace);
    const Values x_all = x.Host();
    EXPECT_EQ(Columns(x_all, width, 0, s.in), x_in);
    ExpectNear(Columns(x_all, width, s.in, s.rank),
               Project(x_in, down, 1, s.rows, s.rank, s.in),
               Project(Abs(x_in), Abs(down), 1, s.rows, s.rank, s.in), s.in,
               kBf16Rounding, "xa");
    ExpectNear(y.Host(), Project(x_all, top, 1, s.rows, s.out, width),
               Project(Abs(x_all), Abs(top), 1, s.rows, s.out, width), width,
               kBf16Rounding, "y");

    const Matrix dy(s.rows, height, Uniform(6)), dx(s.rows, s.in);
    const Values d = Columns(dy.Host(), height, 0, s.out);
    LoraFoldedBackwardCuda({}, library.plans, dy.View(), weight.View(), s.rank,
                           false, dx.View(), library.workspace);
    const Values dy_all = dy.Host(), turned = Turn(up, s.out, s.rank);
    EXPECT_EQ(Columns(dy_all, height, 0, s.out), d);
    ExpectNear(Columns(dy_all, height, s.out, s.rank),
               Project(d, turned, 1, s.rows, s.rank, s.out),
               Project(Abs(d), Abs(turned), 1, s.rows, s.rank, s.out), s.out,
               kBf16Rounding, "dxa");
    const Values left = Columns(folded, width, 0, s.in);  // [W; A]
    const Values zero(s.rows * s.in);
    ExpectNear(dx.Host(), Expand(dy_all, left, 1, s.rows, height, s.in, zero),
               Expand(Abs(dy_all), Abs(left), 1, s.rows, height, s.in, zero),
               height, kBf16Rounding, "dx");
    EXPECT_TRUE(x.GapsIntact() && y.GapsIntact() && dy.GapsIntact() &&
                dx.GapsIntact() && weight.GapsIntact());
  }
}

// One launch writes what one call an adapter does.
TEST(LoraCuda, FoldsManyAtOnce) {
  std::vector<LoraFoldBlock> blocks;
  std::vector<Matrix> once, each;
  std::vector<DeviceMatrix<float>> sources;
  sources.reserve(2 * std::size(kShapes));
  once.reserve(std::size(kShapes));
  each.reserve(std::size(kShapes));
  for (const Shape& s : kShapes) {
    const int64_t width = s.in + s.rank, height = s.out + s.rank;
    once.emplace_back(height, width, Uniform(1));
    each.emplace_back(height, width, Uniform(1));
    const auto& a = sources.emplace_back(s.rank, s.in, Uniform(2));
    const auto& b = sources.emplace_back(s.out, s.rank, Uniform(3));
    const auto places = [&](const Matrix& weight) {
      return std::pair(Block(weight.View(), s.out, s.rank, 0, s.in),
                       Block(weight.View(), 0, s.out, s.in, s.rank));
    };
    LoraFoldCuda({}, a.View(), b.View(), kScale, places(each.back()).first,
                 places(each.back()).second);
    const auto [a_place, b_place] = places(once.back());
    blocks.push_back(LoraFoldBlockOf(a.View(), 1, a_place));
    blocks.push_back(LoraFoldBlockOf(b.View(), kScale, b_place));
  }
  const auto count = static_cast<int64_t>(blocks.size());
  const DeviceArray<char> memory(LoraFoldTableBytes(count));
  LoraFoldCuda({}, MakeLoraFoldTable({}, blocks.data(), count, memory.data()));
  for (size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(once[i].Host(), each[i].Host()) << "shape " << i;
    EXPECT_TRUE(once[i].GapsIntact());
  }
}

Values Doubles(const std::vector<float>& x) { return {x.begin(), x.end()}; }

// Adapters side by side, against each by itself in fp64.
TEST(LoraCuda, GradientsSideBySideMatchDouble) {
  Library library;
  constexpr int64_t kOuts[] = {40, 16, 24}, kOut = 80;
  for (const Shape& s : {Shape{1, 24, kOut, 8}, Shape{33, 576, kOut, 8},
                         Shape{600, 128, kOut, 5}}) {
    const int64_t ranks = 3 * s.rank;
    const Matrix x(s.rows, s.in, Uniform(1)), dy(s.rows, kOut, Uniform(2));
    const Matrix xa(s.rows, ranks, Uniform(3)), dxa(s.rows, ranks, Uniform(4));
    std::vector<DeviceArray<float>> da, db;
    std::vector<Values> da_before, db_before;
    LoraPart parts[3];
    int64_t begin = 0;
    for (int i = 0; i < 3; ++i) {
      da.emplace_back(testing::RandomVector(s.rank * s.in, Uniform(5 + i)));
      db.emplace_back(testing::RandomVector(kOuts[i] * s.rank, Uniform(8 + i)));
      da_before.push_back(Doubles(da[i].Host()));
      db_before.push_back(Doubles(db[i].Host()));
      parts[i] = {begin, TensorView(da[i].data(), {s.rank, s.in}),
                  TensorView(db[i].data(), {kOuts[i], s.rank})};
      begin += kOuts[i];
    }
    const DeviceArray<char> scratch(
        LoraGradientsCudaScratchBytes(s.in, kOut, ranks));
    LoraGradientsCuda({}, library.plans, dy.View(), x.View(), xa.View(),
                      dxa.View(), kScale, parts, 3,
                      {scratch.data(), scratch.size()}, library.workspace);
    for (int i = 0; i < 3; ++i) {
      const Values d = Columns(dy.Host(), kOut, parts[i].out_begin, kOuts[i]);
      Values up = Columns(xa.Host(), ranks, i * s.rank, s.rank);
      for (double& v : up) v *= kScale;
      const Values before = Turn(db_before[i], kOuts[i], s.rank);
      ExpectNear(Turn(Doubles(db[i].Host()), kOuts[i], s.rank),
                 Outer(up, d, s.rows, s.rank, kOuts[i], before),
                 Outer(Abs(up), Abs(d), s.rows, s.rank, kOuts[i], Abs(before)),
                 s.rows, 2 * kUnitRoundoff, "db");
      const Values down = Columns(dxa.Host(), ranks, i * s.rank, s.rank);
      ExpectNear(Doubles(da[i].Host()),
                 Outer(down, x.Host(), s.rows, s.rank, s.in, da_before[i]),
                 Outer(Abs(down), Abs(x.Host()), s.rows, s.rank, s.in,
                       Abs(da_before[i])),
                 s.rows, 2 * kUnitRoundoff, "da");
    }
  }
}

}  // namespace
}  // namespace caracal::kernels
