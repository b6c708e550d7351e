#include "dist/liveness/liveness.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/collective/agree.h"

namespace caracal {
namespace {

constexpr int kBeatsPerLimit = 12;

// What ranks tell each other, as bytes of fixed size.
struct Card {
  char host[256] = {};
  char machine[128] = {};
  int32_t pid = 0;
  int32_t word_fd = -1;
};

template <size_t N>
void CopyText(const std::string& text, char (&out)[N]) {
  text.copy(out, N - 1);
}

// Where process numbers mean the same: this boot of this machine, and this
// container's number space.
std::string ThisMachine() {
  char space[64] = "";
  (void)!readlink("/proc/self/ns/pid", space, sizeof(space) - 1);
  const absl::StatusOr<std::string> boot =
      FileSystem::Posix()->ReadFile("/proc/sys/kernel/random/boot_id");
  return absl::StrCat(boot.ok() ? boot->substr(0, 36) : "", " ", space);
}

}  // namespace

Liveness::Liveness(std::unique_ptr<Collective> world,
                   std::unique_ptr<Beats> beats, LivenessOptions options)
    : options_(std::move(options)),
      world_(std::move(world)),
      beats_(std::move(beats)) {}

absl::StatusOr<std::unique_ptr<Liveness>> Liveness::Start(
    std::unique_ptr<Collective> world, const std::string& host,
    std::unique_ptr<Beats> beats, LivenessOptions options) {
  std::unique_ptr<Liveness> out(
      new Liveness(std::move(world), std::move(beats), std::move(options)));
  RETURN_IF_ERROR(out->Meet(host));
  if (out->world_->size() == 1) return out;
  out->watch_ =
      std::make_unique<Watch>(out->ranks_, out->world_->rank(),
                              out->options_.limit, out->options_.clock);
  std::map<int, int> pids;
  for (const int r : out->watch_->Neighbours()) pids[r] = out->ranks_[r].pid;
  out->ends_ = std::make_unique<ProcessEnds>(pids);
  out->thread_ = std::thread([liveness = out.get()] { liveness->Run(); });
  return out;
}

absl::Status Liveness::Meet(const std::string& host) {
  ASSIGN_OR_RETURN(word_, LastWord::Create());
  Card mine;
  CopyText(host, mine.host);
  CopyText(ThisMachine(), mine.machine);
  mine.pid = getpid();
  mine.word_fd = word_->fd();
  std::vector<Card> cards(world_->size());
  RETURN_IF_ERROR(world_->AllGatherBytes(&mine, sizeof(mine), cards.data()));
  for (const Card& card : cards) {
    ranks_.push_back({card.host, card.machine, card.pid});
  }
  // The word of a machine is that of its first rank. Without leave to open it
  // this rank keeps its own: more than one may speak then.
  const auto first =
      std::find_if(cards.begin(), cards.end(), [&](const Card& card) {
        return std::strcmp(card.machine, mine.machine) == 0;
      });
  std::unique_ptr<LastWord> own;
  if (first - cards.begin() != world_->rank()) {
    absl::StatusOr<std::unique_ptr<LastWord>> opened =
        LastWord::Open(first->pid, first->word_fd);
    if (opened.ok()) own = std::exchange(word_, *std::move(opened));
  }
  // Nobody drops a word that another is about to open.
  return world_->Barrier();
}

Liveness::~Liveness() { Stop(); }

absl::Status Liveness::Agree(const absl::Status& mine) {
  return AgreeOn(*world_, mine);
}

void Liveness::SetStep(absl::string_view stage, int64_t step) {
  const std::lock_guard<std::mutex> lock(mutex_);
  stage_.assign(stage.data(), stage.size());
  step_ = step;
}

std::string Liveness::Where() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stage_.empty()) return "while loading";
  return absl::StrCat("after step ", step_, " of ", stage_);
}

void Liveness::Fail(int exit_status, const std::string& line,
                    bool others_first) {
  // As a rule this process is ended meanwhile.
  if (others_first && world_->size() > 1) absl::SleepFor(options_.limit);
  if (word_->Claim(exit_status)) options_.tell(line);
  options_.abort(word_->exit_status());
}

absl::Status Liveness::Leave() {
  RETURN_IF_ERROR(world_->Barrier());
  Stop();
  return absl::OkStatus();
}

void Liveness::Stop() {
  if (!thread_.joinable()) return;
  stopping_ = true;
  ends_->Wake();
  thread_.join();
}

void Liveness::Run() {
  const absl::Duration interval = options_.limit / kBeatsPerLimit;
  absl::Duration next_beat = options_.clock->Now();
  while (true) {
    const absl::Duration now = options_.clock->Now();
    if (now >= next_beat) {
      beats_->Send();
      next_beat = now + interval;
    }
    const std::vector<int> ended = ends_->Wait(next_beat - now);
    if (stopping_) return;
    if (options_.stop != nullptr && *options_.stop && ended.empty()) {
      watch_->Stopping();
    }
    for (const int rank : ended) watch_->Ended(rank);
    if (beats_->Receive()) watch_->Beat();
    // Told already, and the gang begins to end: to wait for whoever started it
    // to end this process could take long.
    if (watch_->saw_an_end() && word_->exit_status() != 0) {
      options_.quit(word_->exit_status());
      return;
    }
    const std::optional<LostRank> lost = watch_->Lost();
    if (!lost.has_value()) continue;
    if (word_->Claim(options_.lost_status)) {
      options_.tell(absl::StrCat("rank ", lost->rank, " on ",
                                 ranks_[lost->rank].host, " was lost ", Where(),
                                 ": ", lost->reason));
      options_.abort(options_.lost_status);
      return;
    }
  }
}

}  // namespace caracal
