#include "dist/mpi/testing/mpi_test_main.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"

namespace caracal {
namespace {

MpiRuntime* runtime = nullptr;

// After each case the ranks tell each other how it went. Rank 0 keeps the
// record (the output and the XML file); a case that failed elsewhere fails
// there too.
class Referee : public testing::EmptyTestEventListener {
 public:
  explicit Referee(Collective* group) : group_(group) {}

  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed() || group_->rank() == 0) return;
    std::fprintf(stderr, "rank %d: %s:%d: %s\n", group_->rank(),
                 result.file_name() == nullptr ? "?" : result.file_name(),
                 result.line_number(), result.message());
  }

  void OnTestEnd(const testing::TestInfo& test) override {
    const uint8_t failed = test.result()->Failed() ? 1 : 0;
    std::vector<uint8_t> all(group_->size());
    // The other ranks may wait, in the middle of the case, for one that has
    // left it: that is an end too, but without a record of the case.
    if (const absl::Status met = group_->AllGatherBytes(&failed, 1, all.data());
        !met.ok()) {
      std::fprintf(stderr, "rank %d: after %s.%s: %s\n", group_->rank(),
                   test.test_suite_name(), test.name(), met.ToString().c_str());
      runtime->Abort(1);
    }
    std::vector<int> ranks;
    for (int r = 0; r < group_->size(); ++r) {
      if (all[r] != 0 && r != group_->rank()) ranks.push_back(r);
    }
    // Only what is not recorded yet: rank 0's own failures are.
    if (group_->rank() == 0 && !ranks.empty()) {
      ADD_FAILURE() << "failed on rank " << absl::StrJoin(ranks, ", ")
                    << " too: see the lines that begin with the rank";
    }
  }

 private:
  Collective* const group_;
};

}  // namespace

MpiRuntime& TestRuntime() { return *runtime; }

}  // namespace caracal

int main(int argc, char** argv) {
  using caracal::MpiRuntime;
  absl::StatusOr<std::unique_ptr<MpiRuntime>> started = MpiRuntime::Start();
  CARACAL_CHECK_OK(started.status());
  caracal::runtime = started->get();
  // The record is rank 0's.
  if (caracal::runtime->rank() != 0) {
    unsetenv("XML_OUTPUT_FILE");
    unsetenv("TEST_PREMATURE_EXIT_FILE");
  }
  testing::InitGoogleTest(&argc, argv);
  testing::TestEventListeners& listeners =
      testing::UnitTest::GetInstance()->listeners();
  if (caracal::runtime->rank() != 0) {
    delete listeners.Release(listeners.default_result_printer());
  }
  // A rank that fails a case leaves it early; no case takes as long as this.
  caracal::MpiOptions options;
  options.timeout = absl::Seconds(20);
  auto group = caracal::runtime->World("referees' group", options);
  CARACAL_CHECK_OK(group.status());
  listeners.Append(new caracal::Referee(group->get()));
  const int result = RUN_ALL_TESTS();
  group->reset();
  started->reset();
  return result;
}
