// Ends a gang that lost a rank: a thread that watches the other ranks and shows
// them that this one is alive.
#ifndef CARACAL_DIST_LIVENESS_LIVENESS_H_
#define CARACAL_DIST_LIVENESS_LIVENESS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/collective/collective.h"
#include "dist/liveness/beats.h"
#include "dist/liveness/last_word.h"
#include "dist/liveness/process_ends.h"
#include "dist/liveness/watch.h"

namespace caracal {

struct LivenessOptions {
  // How long a rank may give no sign of life. The end of a process on the same
  // machine is seen at once.
  absl::Duration limit = absl::Seconds(6);
  // Exit status of a gang that lost a rank. Not 0.
  int lost_status = 75;
  // Set when this process is asked to stop. Null: never.
  const std::atomic<bool>* stop = nullptr;
  // Print a line; called once on a machine, by one of its ranks.
  std::function<void(const std::string& line)> tell;
  // Ends all ranks with an exit status; does not return.
  std::function<void(int exit_status)> abort;
  // Ends this process alone, because another rank is ending the gang.
  std::function<void(int exit_status)> quit;
  Clock* clock = Clock::Real();
};

// The callbacks come from any thread. What this can't see: a rank whose
// process runs but whose training got stuck.
class Liveness {
 public:
  // All ranks of `world` call; it and `beats` are this object's alone. One rank
  // needs no watching: no thread then.
  static absl::StatusOr<std::unique_ptr<Liveness>> Start(
      std::unique_ptr<Collective> world, const std::string& host,
      std::unique_ptr<Beats> beats, LivenessOptions options);
  Liveness(const Liveness&) = delete;
  Liveness& operator=(const Liveness&) = delete;
  // Stops watching.
  ~Liveness();

  // AgreeOn() over all ranks, for the thread that started this.
  absl::Status Agree(const absl::Status& mine);

  // The step this rank has finished: ranks go in step, so that it is told of
  // others too. Thread-safe, as Where() is.
  void SetStep(absl::string_view stage, int64_t step);
  // "while loading", "after step 17 of finetune".
  std::string Where() const;

  // Ends the gang for this rank's error, told by `line` unless another rank has
  // told one. With `others_first` another rank is expected to tell: this one
  // gives it `limit` to do so. Does not return where `abort` does not.
  void Fail(int exit_status, const std::string& line, bool others_first);

  // A clean end: waits for all ranks, and stops watching.
  absl::Status Leave();

 private:
  Liveness(std::unique_ptr<Collective> world, std::unique_ptr<Beats> beats,
           LivenessOptions options);

  absl::Status Meet(const std::string& host);
  void Run();
  void Stop();

  const LivenessOptions options_;
  std::unique_ptr<Collective> world_;
  std::unique_ptr<Beats> beats_;
  std::vector<RankProcess> ranks_;
  std::unique_ptr<LastWord> word_;
  std::unique_ptr<Watch> watch_;
  std::unique_ptr<ProcessEnds> ends_;

  mutable std::mutex mutex_;  // of the next two
  std::string stage_;
  int64_t step_ = 0;

  std::atomic<bool> stopping_{false};
  std::thread thread_;  // last: it uses the above
};

}  // namespace caracal

#endif  // CARACAL_DIST_LIVENESS_LIVENESS_H_
