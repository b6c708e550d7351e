// The coordinator as a state machine: events in, effects out. No I/O, no clock,
// no threads.
#ifndef CARACAL_JOBS_COORDINATOR_STATE_COORDINATOR_STATE_H_
#define CARACAL_JOBS_COORDINATOR_STATE_COORDINATOR_STATE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobs/coordinator/state/effects.h"
#include "jobs/coordinator/state/job_counts.h"
#include "jobs/coordinator/state/job_record.h"
#include "jobs/curriculum/director.h"
#include "jobs/spec/problem.h"
#include "proto/job.pb.h"

namespace caracal {

struct CoordinatorLimits {
  int64_t slots = 1;  // of all gangs together
  // The n-th retry in a row waits for first_back_off 2^(n - 1), at most
  // longest_back_off.
  absl::Duration first_back_off = absl::Seconds(10);
  absl::Duration longest_back_off = absl::Minutes(10);
  // A gang that was not heard of for so long is given up; after a start it has
  // start_timeout.
  absl::Duration heartbeat_timeout = absl::Seconds(30);
  absl::Duration start_timeout = absl::Minutes(10);
  // How long a gang that was asked to stop may take to save.
  absl::Duration stop_grace = absl::Minutes(2);
  // Jobs that wait, of one user, and that have not ended, of all; 0: any
  // number.
  int64_t most_waiting_of_user = 0;
  int64_t most_unfinished = 0;
  // Jobs that have ended are forgotten after so long.
  absl::Duration retention = absl::InfiniteDuration();
};

// Jobs with the highest priority go first, then those submitted first. One that
// does not fit is waited for: nothing behind it starts, so that large jobs are
// not starved by small ones.
//
// A gang holds its slots until it is known to have ended, even when it was
// given up: two gangs of a job never write into one run folder.
//
// `now` never goes back. Not thread-safe.
class CoordinatorState {
 public:
  explicit CoordinatorState(const CoordinatorLimits& limits);

  // Jobs as the store has them, by id, before any other event. Every gang that
  // may be there is looked for.
  void Recover(std::vector<JobRecord> jobs, JobId next_id, absl::Time now,
               Effects* effects);

  // What of a request is refused whatever its job says: all of it, by field, is
  // added to `problems`. A request whose idempotency key is known has none.
  // The error of the only one, else kInvalidArgument.
  absl::Status CheckRequest(const JobRequest& request,
                            std::vector<Problem>* problems) const;

  // From people. All of these may be sent again, and then change nothing: with
  // the idempotency key of one of a job's last 16 changes it is that one again,
  // and OK, whatever has happened to the job since.
  //
  // kInvalidArgument: a job that needs more slots than there are, or negative
  // numbers; kResourceExhausted: there are as many jobs as may be; kNotFound:
  // an unknown job in `after`; kFailedPrecondition: one of them has failed
  // already; kAlreadyExists: the owner's idempotency key was used for another
  // request.
  absl::StatusOr<JobId> Submit(const JobRequest& request, absl::Time now,
                               Effects* effects);
  // kNotFound. A job that has ended stays as it is.
  absl::Status Cancel(JobId id, const std::string& who, absl::Time now,
                      Effects* effects,
                      const std::string& idempotency_key = "");
  // A job that failed or was cancelled goes on from its newest checkpoint.
  // kFailedPrecondition when it has succeeded, is not over, or is still to end;
  // kResourceExhausted as of Submit.
  absl::Status Resume(JobId id, const std::string& idempotency_key,
                      absl::Time now, Effects* effects);
  // Forgets a job that has ended. kFailedPrecondition when it has not, or when
  // others wait for it; kNotFound for a number that no job has had. One that is
  // forgotten already is OK, which needs no key: numbers are not given again.
  absl::Status Remove(JobId id, Effects* effects);
  // kFailedPrecondition when the job has ended.
  absl::Status SetPriority(JobId id, int64_t priority, absl::Time now,
                           Effects* effects,
                           const std::string& idempotency_key = "");
  // Sets values over the job's curricula, from the next steps on; what is empty
  // is taken back. Errors of CheckTuning; kFailedPrecondition when the job has
  // ended.
  absl::Status Tune(JobId id, const Tuning& tuning,
                    const std::string& idempotency_key, Effects* effects);

  // From gangs. kAborted when the epoch is not that of the job's gang: whoever
  // calls is to end. kNotFound as well.
  absl::Status Register(JobId id, uint64_t epoch, absl::Time now,
                        Effects* effects);
  // Where its ranks are, in their order. Errors as of Register.
  absl::Status SetHosts(JobId id, uint64_t epoch,
                        const std::vector<std::string>& hosts,
                        Effects* effects);
  // Whether the gang may go on; else it is to save and end.
  absl::StatusOr<bool> Heartbeat(JobId id, uint64_t epoch,
                                 const JobProgress& progress, absl::Time now,
                                 Effects* effects);
  // Lines of its metrics, the first of them its `first`th, from 1. Those that
  // came before are left out; a gang that had no room for more may leave some
  // out, too. The number of the last, so that it knows where to go on.
  absl::StatusOr<int64_t> Report(JobId id, uint64_t epoch, int64_t first,
                                 const std::vector<std::string>& lines,
                                 Effects* effects);

  // The same of what a gang has left behind, which has ended and was not said
  // to have (GangEnded): also of one that was given up. `progress` as of the
  // last line; its total is not needed.
  absl::StatusOr<int64_t> ReportLeft(JobId id, uint64_t epoch,
                                     const JobProgress& progress, int64_t first,
                                     const std::vector<std::string>& lines,
                                     Effects* effects);

  // What the curriculum sets for coming steps of the gang's job. Errors as of
  // Register and of the free Direct().
  absl::StatusOr<CurriculumWindow> Direct(JobId id, uint64_t epoch,
                                          const CurriculumPoint& point,
                                          Effects* effects);

  // From launchers. Those of older epochs are ignored.
  //
  // The gang is there (after kFind).
  void GangFound(JobId id, uint64_t epoch, absl::Time now, Effects* effects);
  // A cluster has it waiting, for this reason: its time to start begins anew.
  void GangWaits(JobId id, uint64_t epoch, const std::string& reason,
                 absl::Time now, Effects* effects);
  // A cluster answers no more, or does again: while it does not, no gang that
  // is to start is given up, and afterwards its time to start begins anew.
  void SetClusterSilent(bool silent, absl::Time now);
  // It has ended, or was never started and never will be.
  void GangEnded(JobId id, uint64_t epoch, GangEnd end,
                 const std::string& reason, absl::Time now, Effects* effects);

  // Whatever is due: back-offs, timeouts, retention. `planned`: when this was
  // to be called at the latest. Much later than that, this process was stopped,
  // and has heard of nobody meanwhile: no gang is given up for it.
  void Tick(absl::Time now, Effects* effects,
            absl::Time planned = absl::InfiniteFuture());
  // When Tick is next needed; InfiniteFuture when nothing is to come.
  absl::Time NextTick() const;

  // Why a job is not started that waits, in words: for other jobs, for slots,
  // or for its turn. "": for time to pass, or it does not wait.
  std::string WaitsFor(JobId id) const;
  // Null when there is none. Valid until the next event.
  const JobRecord* Find(JobId id) const;
  const std::map<JobId, JobRecord>& jobs() const { return jobs_; }
  JobId next_id() const { return next_id_; }
  const JobCounts& counts() const { return counts_; }
  const CoordinatorLimits& limits() const { return limits_; }

  // CHECKs what must hold between any two events, in time linear in the jobs.
  void CheckInvariants() const;

 private:
  // What is due at some time if nothing happens before.
  enum class Deadline { kBackOff, kHeard, kKill, kForget };
  using Key = std::pair<int64_t, JobId>;  // of ready_

  static Key KeyOf(const JobRecord& job) {
    return {-job.request.priority, job.id};
  }
  static absl::Status NoSuchJob(JobId id);
  JobRecord* FindMutable(JobId id);
  // The job, if the epoch is that of a gang that it still has.
  absl::StatusOr<JobRecord*> FindGang(JobId id, uint64_t epoch);
  absl::StatusOr<int64_t> AddLines(JobRecord& job, int64_t first,
                                   const std::vector<std::string>& lines,
                                   Effects* effects);
  // kResourceExhausted when one more job of this user would be one too many.
  absl::Status CheckRoom(const std::string& owner) const;
  // What is counted of jobs, as one enters a state (1) or leaves it (-1).
  void Count(const JobRecord& job, int64_t by);
  void Go(JobRecord& job, JobState to, JobCause cause,
          const std::string& reason, absl::Time now, Effects* effects);
  void SetReason(JobRecord& job, const std::string& reason, Effects* effects);
  // Ends the gang, whose end will count as `end`.
  void GiveUp(JobRecord& job, GangEnd end, const std::string& reason,
              absl::Time now, Effects* effects);
  void RetryOrFail(JobRecord& job, const std::string& reason, absl::Time now,
                   Effects* effects);
  // Of those that waited for `job`, which has just ended.
  void TellDependents(JobId id, absl::Time now, Effects* effects);
  // Makes what is remembered beside the records fit this one: readiness, the
  // end of a back-off, and who waits for whom.
  void Index(const JobRecord& job, absl::Time now);
  void StartReady(absl::Time now, Effects* effects);
  // How long a gang of the job may be silent.
  absl::Duration PatienceWith(const JobRecord& job) const {
    return job.state == JobState::kLaunching ? limits_.start_timeout
                                             : limits_.heartbeat_timeout;
  }
  // Whoever is to be heard of has its time for it anew.
  void HearAnew(absl::Time now);
  void SetDeadline(JobId id, Deadline what, absl::Time when);
  void ClearDeadline(JobId id);
  void Due(JobId id, Deadline what, absl::Time now, Effects* effects);
  void Forget(JobId id, Effects* effects);

  const CoordinatorLimits limits_;
  std::map<JobId, JobRecord> jobs_;
  JobId next_id_ = 1;
  JobCounts counts_;
  std::map<std::string, int64_t> waiting_;  // jobs, by owner; none is 0
  std::set<Key> ready_;
  std::map<JobId, std::set<JobId>> dependents_;  // waiting, by what they await
  std::map<std::pair<std::string, std::string>, JobId> keys_;  // owner, key
  // Of jobs whose gangs have asked for directives: the job as it was read, and
  // the last question, so that one that is asked again is no new decision.
  struct Directed {
    proto::Job job;
    uint64_t epoch = 0, tunings = 0;
    int stage = -1;
    int64_t step = 0;
  };
  std::map<JobId, Directed> directed_;
  // One a job at most.
  std::map<JobId, std::pair<absl::Time, Deadline>> deadlines_;
  std::set<std::pair<absl::Time, JobId>> due_;
  bool cluster_silent_ = false;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STATE_COORDINATOR_STATE_H_
