#include "jobs/model/rank_gpu.h"

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/collective/gather_text.h"

namespace caracal {
namespace {

int FirstOf(const std::vector<std::string>& all, const std::string& what) {
  int rank = 0;
  while (all[rank] != what) ++rank;
  return rank;
}

}  // namespace

absl::StatusOr<int> GpuOfRank(Gang& gang,
                              const std::vector<std::string>& bus_ids) {
  if (gang.alone()) return 0;
  ASSIGN_OR_RETURN(const std::vector<std::string> hosts,
                   GatherText(gang.world(), gang.host()));
  size_t before = 0, ranks = 0;
  for (int r = 0; r < gang.size(); ++r) {
    if (hosts[r] != gang.host()) continue;
    ++ranks;
    if (r < gang.rank()) ++before;
  }
  const size_t index = bus_ids.size() == 1 ? 0 : before;
  absl::Status mine;
  if (index >= bus_ids.size()) {
    mine = absl::NotFoundError(absl::StrCat(
        "device cuda: ", gang.host(), " has ", ranks, " ranks, but shows ",
        bus_ids.size(), bus_ids.size() == 1 ? " GPU" : " GPUs",
        "; each rank needs one of its own"));
  }
  RETURN_IF_ERROR(gang.Agree(mine));
  const std::string place = absl::StrCat(gang.host(), " ", bus_ids[index]);
  ASSIGN_OR_RETURN(const std::vector<std::string> places,
                   GatherText(gang.world(), place));
  const int first = FirstOf(places, place);
  if (first != gang.rank()) {
    mine = absl::FailedPreconditionError(
        absl::StrCat("device cuda: ranks ", first, " and ", gang.rank(), " of ",
                     gang.host(), " would share the GPU ", bus_ids[index],
                     "; each rank needs one of its own"));
  }
  RETURN_IF_ERROR(gang.Agree(mine));
  return static_cast<int>(index);
}

}  // namespace caracal
