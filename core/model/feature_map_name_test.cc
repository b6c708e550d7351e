#include "core/model/feature_map_name.h"

#include <gtest/gtest.h>

#include <set>

#include "core/base/status_matchers.h"

namespace caracal {
namespace {

using kernels::FeatureMapKind;

// Every kind of the kernels has a name, and every name leads back to its kind.
TEST(FeatureMapName, CoversAllKinds) {
  std::set<int> reached;
  for (const std::string& name : FeatureMapNames()) {
    for (const bool half : {false, true}) {
      const auto kind = FeatureMapFromName(name, half);
      if (!kind.ok()) continue;
      EXPECT_EQ(NameOf(*kind), name);
      EXPECT_EQ(IsHalfSpace(*kind), half);
      reached.insert(static_cast<int>(*kind));
    }
  }
  EXPECT_EQ(reached.size(), kernels::kFeatureMapKinds);
}

TEST(FeatureMapName, RefusesWhatThereIsNot) {
  const auto unknown = FeatureMapFromName("relu", false);
  EXPECT_NE(unknown.status().message().find("'relu'"), std::string::npos);
  EXPECT_NE(unknown.status().message().find("hedgehog_fla"), std::string::npos);
  EXPECT_NE(FeatureMapFromName("t2r", true).status().message().find("t2r"),
            std::string::npos);
  EXPECT_FALSE(FeatureMapFromName("hedgehog_fla", true).ok());
}

TEST(FeatureMapName, KnowsTheBiases) {
  EXPECT_TRUE(HasBiasByDefinition("t2r"));
  EXPECT_FALSE(HasBiasByDefinition("hedgehog"));
}

}  // namespace
}  // namespace caracal
