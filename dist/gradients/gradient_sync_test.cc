// Sums over ranks, parts, and an optimizer that is cut up, against one process.
#include "dist/gradients/gradient_sync.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"
#include "core/model/shard.h"
#include "core/optim/adamw.h"
#include "dist/mesh/thread_mesh.h"

namespace caracal {
namespace {

constexpr int kLayers = 3;
constexpr int64_t kHeads = 5;

// Per head [H, 4, 2] and [H], at the stream [3, 6], and one for all [1, 7].
void Declare(int tensor_rank, int tensor_ranks, ParameterStore* store) {
  const IndexRange heads = Shard{tensor_rank, tensor_ranks}.Of(kHeads);
  const bool replicas = tensor_ranks > 1, first = tensor_rank == 0;
  for (int i = 0; i < kLayers; ++i) {
    const std::string layer = "layers." + std::to_string(i);
    store->Add(layer + ".map", ParameterGroup::kFeatureMap,
               {heads.size(), 4, 2},
               {.whole = {kHeads, 4, 2}, .begin = {heads.begin}, .layer = i});
    store->Add(layer + ".factor", ParameterGroup::kWindowFactor, {heads.size()},
               {.whole = {kHeads}, .begin = {heads.begin}, .layer = i});
    store->Add(
        layer + ".A", ParameterGroup::kLora, {3, 6},
        {.whole = {3, 6}, .shared = replicas, .owned = first, .layer = i});
    store->Add(
        layer + ".one", ParameterGroup::kFeatureMap, {1, 7},
        {.whole = {1, 7}, .shared = replicas, .owned = first, .layer = i});
  }
  store->Allocate();
}

int64_t RowSize(const Parameter& p) {
  return p.value.size() / p.value.shape[0];
}

// A number of an element, by its place in the whole model.
double PlaceOf(const Parameter& p, int64_t i) {
  return static_cast<double>(p.name.size() * 31 + p.name[7] * 7 +
                             p.slice.begin[0] * RowSize(p) + i);
}
float ValueAt(const Parameter& p, int64_t i) {
  return static_cast<float>(std::sin(PlaceOf(p, i)));
}
// What a rank adds to an element's gradient.
double GradientAt(const Parameter& p, int64_t i, int step, int rank) {
  return std::cos(PlaceOf(p, i) * (step + 1) + 17.0 * rank);
}

const AdamWSettings kSettings = {.weight_decay = {0.1f, 0, 0.2f, 0.3f}};
const std::vector<ParameterGroup> kGroups = {ParameterGroup::kFeatureMap,
                                             ParameterGroup::kWindowFactor,
                                             ParameterGroup::kLora};
constexpr int kSteps = 3;

void SetValues(ParameterStore& store) {
  for (const Parameter& p : store.parameters()) {
    for (int64_t i = 0; i < p.value.size(); ++i) {
      p.value.f32()[i] = ValueAt(p, i);
    }
  }
}

// Three steps of one process, whose gradients are the sums over all ranks; and
// their norms.
std::vector<double> RunWhole(const MeshShape& shape, ParameterStore* store) {
  Declare(0, 1, store);
  store->SetTrained(kGroups);
  SetValues(*store);
  AdamW optimizer(store, kSettings);
  ThreadPool pool(1);
  const Context ctx = {.pool = &pool};
  std::vector<double> norms;
  for (int step = 0; step < kSteps; ++step) {
    for (const Parameter* p : store->trained()) {
      const bool everywhere =
          p->group == ParameterGroup::kLora || p->value.shape[0] == 1;
      for (int64_t i = 0; i < p->grad.size(); ++i) {
        double sum = 0;
        for (int rank = 0; rank < shape.ranks(); ++rank) {
          const int tensor = PlaceOf(shape, rank).tensor;
          const IndexRange heads = Shard{tensor, shape.tensor}.Of(kHeads);
          const int64_t head = i / RowSize(*p);
          if (everywhere || (head >= heads.begin && head < heads.end)) {
            sum += GradientAt(*p, i, step, rank);
          }
        }
        p->grad.f32()[i] = static_cast<float>(sum);
      }
    }
    norms.push_back(optimizer.Step(ctx, 0.01f));
  }
  return norms;
}

void CheckMesh(const MeshShape& shape, int64_t bucket_elements) {
  SCOPED_TRACE(testing::Message()
               << FormatMesh(shape) << ", buckets of " << bucket_elements);
  ParameterStore whole;
  const std::vector<double> norms = RunWhole(shape, &whole);
  RunAsMesh(shape, [&](MeshGroups& groups) {
    Gang gang(std::move(groups));
    ParameterStore store;
    Declare(gang.place().tensor, shape.tensor, &store);
    store.SetTrained(kGroups);
    SetValues(store);
    GradientSync sync(&store, &gang, bucket_elements);
    AdamW optimizer(&store, kSettings, sync.parts());
    ThreadPool pool(1);
    const Context ctx = {.pool = &pool};
    for (int step = 0; step < kSteps; ++step) {
      store.ZeroGradients();
      // A pass that one rank records, but has to launch after all, tells twice.
      for (int layer = kLayers - 1; step == 1 && layer >= 0; --layer) {
        if (gang.rank() == 0) sync.LayerDone(layer);
      }
      // As backward does it: from the last layer to the first.
      for (int layer = kLayers - 1; layer >= 0; --layer) {
        for (const Parameter* p : store.trained()) {
          if (p->slice.layer != layer) continue;
          for (int64_t i = 0; i < p->grad.size(); ++i) {
            p->grad.f32()[i] +=
                static_cast<float>(GradientAt(*p, i, step, gang.rank()));
          }
        }
        // The last one is left for Finish().
        if (layer == 0) continue;
        if (const int whole = sync.LayerDone(layer); whole >= 0) {
          sync.Start(whole);
        }
      }
      CARACAL_CHECK_OK(sync.Finish());
      std::array<double, kLayers> by_layer = {};
      optimizer.BeginSquares(ctx);
      optimizer.AddSquares(ctx, absl::MakeSpan(by_layer));
      CARACAL_CHECK_OK(gang.Sum(absl::MakeSpan(by_layer)));
      const double squares =
          std::accumulate(by_layer.begin(), by_layer.end(), 0.0);
      EXPECT_NEAR(std::sqrt(squares), norms[step], 1e-5 * norms[step]);
      optimizer.Update(ctx, 0.01f, std::sqrt(squares));
      CARACAL_CHECK_OK(sync.GatherValues());
    }
    for (const Parameter& p : store.parameters()) {
      const Parameter* other = whole.Find(p.name);
      const int64_t begin = p.slice.begin[0] * RowSize(p);
      for (int64_t i = 0; i < p.value.size(); ++i) {
        // AdamW's step of 0.01 magnifies a gradient's rounding at most so far.
        EXPECT_NEAR(p.value.f32()[i], other->value.f32()[begin + i], 1e-5)
            << p.name << " " << i << " rank " << gang.rank();
      }
    }
  });
}

TEST(GradientSyncTest, EveryMeshUpdatesAsOneProcess) {
  for (const MeshShape& shape : {MeshShape{},
                                 {.data = 2},
                                 {.data = 4},
                                 {.tensor = 3},
                                 {.data = 2, .tensor = 2},
                                 {.data = 3, .tensor = 2}}) {
    // A bucket a layer, two of them in one, all in one.
    for (const int64_t elements : {1, 71, 100000}) CheckMesh(shape, elements);
  }
}

TEST(GradientBucketsTest, EveryElementHasOneRank) {
  ParameterStore store;
  Declare(0, 1, &store);
  store.SetTrained(kGroups);
  for (const int ranks : {1, 2, 3, 7}) {
    const auto buckets = MakeGradientBuckets(store, ranks, 71);
    EXPECT_EQ(buckets.size(), 2);
    std::vector<std::set<int64_t>> seen(store.trained_runs().size());
    for (int rank = 0; rank < ranks; ++rank) {
      for (const RunRange& part : PartsOf(buckets, rank)) {
        // Whole rows: checked inside.
        RowsOf(store, part);
        for (int64_t i = part.begin; i < part.end; ++i) {
          EXPECT_TRUE(seen[part.run].insert(i).second);
        }
      }
    }
    for (size_t run = 0; run < seen.size(); ++run) {
      EXPECT_EQ(seen[run].size(), store.trained_runs()[run].grad.size());
    }
  }
}

}  // namespace
}  // namespace caracal
