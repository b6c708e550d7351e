#include "core/collective/agree.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {
namespace {

constexpr char kRankPayload[] = "caracal/rank";

// A status as bytes of fixed size.
struct PackedStatus {
  int32_t rank = 0;  // whose it is
  char message[1020] = {};
};

// What a rank has: nothing, an error that was brought to it, or its own.
struct Offer {
  int32_t code = 0;
  int32_t own = 0;
};

}  // namespace

absl::Status AgreeOn(Collective& group, const absl::Status& mine) {
  if (group.size() == 1) return mine;
  // Nearly always there is nothing to tell.
  const std::optional<int> brought = RankOfError(mine);
  const Offer offer = {static_cast<int32_t>(mine.code()),
                       !mine.ok() && !brought.has_value()};
  std::vector<Offer> offers(group.size());
  absl::Status status =
      group.AllGatherBytes(&offer, sizeof(offer), offers.data());
  if (!status.ok()) return status;
  auto first = std::find_if(offers.begin(), offers.end(),
                            [](const Offer& o) { return o.own != 0; });
  if (first == offers.end()) {
    first = std::find_if(offers.begin(), offers.end(),
                         [](const Offer& o) { return o.code != 0; });
  }
  if (first == offers.end()) return absl::OkStatus();
  PackedStatus packed;
  packed.rank = brought.value_or(group.rank());
  const std::string message(mine.message());
  std::memcpy(packed.message, message.data(),
              std::min(message.size(), sizeof(packed.message) - 1));
  std::vector<PackedStatus> all(group.size());
  status = group.AllGatherBytes(&packed, sizeof(packed), all.data());
  if (!status.ok()) return status;
  const int rank = static_cast<int>(first - offers.begin());
  if (rank == group.rank()) return mine;
  const PackedStatus& told = all[rank];
  // What was brought has its rank's number before it already.
  return ErrorOfRank(
      absl::Status(static_cast<absl::StatusCode>(first->code),
                   first->own ? absl::StrCat("rank ", rank, ": ", told.message)
                              : std::string(told.message)),
      told.rank);
}

std::optional<int> RankOfError(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRankPayload);
  int rank = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &rank)) {
    return std::nullopt;
  }
  return rank;
}

absl::Status ErrorOfRank(absl::Status status, int rank) {
  status.SetPayload(kRankPayload, absl::Cord(absl::StrCat(rank)));
  return status;
}

absl::Status AnnotateRanked(const absl::Status& status,
                            absl::string_view context) {
  const absl::Status out = Annotate(status, context);
  const std::optional<int> rank = RankOfError(status);
  return rank.has_value() ? ErrorOfRank(out, *rank) : out;
}

}  // namespace caracal
