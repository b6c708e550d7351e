#include "dist/handshake/handshake.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "core/collective/thread_collective.h"

namespace caracal {
namespace {

using testing::HasSubstr;

std::vector<Fact> GoodFacts() {
  return {{"job", "j1"}, {"model", "m1"}, {"seed", "17"}};
}

// The outcome on three ranks (of hosts node0 .. node2), which is the same on
// all.
absl::Status Outcome(const std::function<std::vector<Fact>(int rank)>& facts) {
  std::vector<absl::Status> outcomes(3);
  RunAsRanks(3, [&](Collective& group) {
    const int rank = group.rank();
    outcomes[rank] =
        CompareFacts(group, absl::StrCat("node", rank), facts(rank));
  });
  EXPECT_EQ(outcomes[0], outcomes[1]);
  EXPECT_EQ(outcomes[0], outcomes[2]);
  return outcomes[0];
}

TEST(Handshake, EqualFactsPass) {
  EXPECT_OK(Outcome([](int) { return GoodFacts(); }));
  EXPECT_OK(Outcome([](int) { return std::vector<Fact>(); }));
  // Whatever their order, and whatever their bytes.
  EXPECT_OK(Outcome([](int rank) {
    std::vector<Fact> facts = GoodFacts();
    facts.push_back({"12:odd", std::string("\0:7:\xff", 5)});
    std::swap(facts[rank], facts[3]);
    return facts;
  }));
  SingleProcessCollective alone;
  EXPECT_OK(CompareFacts(alone, "node0", GoodFacts()));
}

TEST(Handshake, ADifferenceNamesBothValuesRanksAndHosts) {
  EXPECT_THAT(Outcome([](int rank) {
                std::vector<Fact> facts = GoodFacts();
                if (rank == 2) facts[1].value = "m2";
                return facts;
              }),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "the ranks differ in the model: \"m1\" on rank 0 "
                       "(node0), \"m2\" on rank 2 (node2)"));
}

TEST(Handshake, TheFirstDifferenceIsToldAndTheOthersNamed) {
  EXPECT_THAT(Outcome([](int rank) {
                std::vector<Fact> facts = GoodFacts();
                if (rank == 1) facts[2].value = "18";
                if (rank == 2) facts[0].value = "j2";
                return facts;
              }),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       "the ranks differ in the job: \"j1\" on rank 0 (node0), "
                       "\"j2\" on rank 2 (node2); and in the seed"));
}

TEST(Handshake, AFactThatOneRankLacksIsADifference) {
  EXPECT_THAT(Outcome([](int rank) {
                std::vector<Fact> facts = GoodFacts();
                if (rank == 1) facts.pop_back();
                return facts;
              }),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("the seed: \"17\" on rank 0 (node0), none on "
                                 "rank 1 (node1)")));
  EXPECT_THAT(Outcome([](int rank) {
                std::vector<Fact> facts = GoodFacts();
                if (rank == 2) facts.push_back({"device", "cpu"});
                return facts;
              }),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("the device: none on rank 0 (node0), \"cpu\" "
                                 "on rank 2 (node2)")));
}

TEST(Handshake, LongAndOddValuesArePrintedSafely) {
  const absl::Status status = Outcome([](int rank) {
    return std::vector<Fact>{
        {"job", rank == 0 ? std::string(5000, 'x') : "\x1b[31m"}};
  });
  EXPECT_LT(status.message().size(), 500);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\\x1b[31m"));
}

// A group whose rank 1 says something else.
class Strange : public SingleProcessCollective {
 public:
  explicit Strange(std::string said) : said_(std::move(said)) {}
  int size() const override { return 2; }
  absl::Status AllGatherBytes(const void* mine, size_t bytes,
                              void* all) override {
    said_.resize(bytes, ' ');
    std::copy_n(static_cast<const char*>(mine), bytes, static_cast<char*>(all));
    std::copy_n(said_.data(), bytes, static_cast<char*>(all) + bytes);
    return absl::OkStatus();
  }
  absl::Status AllGather(ConstTensorView, absl::Span<const int64_t>,
                         TensorView) override {
    return absl::InternalError("asked for what was never announced");
  }

 private:
  std::string said_;
};

TEST(Handshake, RanksOfAnotherProgramAreRefused) {
  for (const std::string said :
       {"GET / HTTP/1.1", "caracal handshake 2, bytes 0000000004",
        "caracal handshake 1, bytes 9999999999"}) {
    Strange group(said);
    EXPECT_THAT(CompareFacts(group, "node0", GoodFacts()),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("rank 1 is of another program: it said \"" +
                                   said.substr(0, 20))))
        << said;
  }
}

TEST(Handshake, TheProgramsFactsAreOfThisProgram) {
  ASSERT_OK_AND_ASSIGN(const std::vector<Fact> facts,
                       ProgramFacts(FileSystem::Posix()));
  ASSERT_EQ(facts.size(), 3);
  EXPECT_THAT(facts[0].value, HasSubstr("caracal"));
  EXPECT_EQ(facts[1].value.size(), 32);
  EXPECT_EQ(facts[2].value, "little");
}

}  // namespace
}  // namespace caracal
